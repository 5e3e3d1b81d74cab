//! Leader election by a Lease: one replica runs the controllers, every replica serves.
//!
//! Nobody trusts another's clock. A holder is dead when the record has not changed for the length of its lease, measured
//! here from when we first saw it; a leader stops by its own clock well before the others may begin, also when the API
//! server is away. At an orderly end the record is emptied, so that the next one begins at once.

mod progress;
mod record;
mod server_view;

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use self::progress::Progress;
pub use self::progress::WentBack;
use self::record::{Record, Seen, Step, decide};
pub use self::server_view::{ServerView, server_view};
use crate::clock::Clock;

/// Name of the Lease.
pub const LEASE: &str = "sikkerkey-operator";

/// How long a record that nobody renews keeps others out.
const DURATION: Duration = Duration::from_secs(15);
/// How long a leader goes on without a renewal. Shorter than [`DURATION`] by more than a request may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often a leader renews.
const RENEWAL: Duration = Duration::from_secs(4);
/// How often a follower looks, and a leader whose renewal failed tries again.
const RETRY: Duration = Duration::from_secs(1);
/// How long one request may take.
const BOUND: Duration = Duration::from_secs(3);

/// The Lease could not be read or written.
#[derive(Debug, Error)]
enum LeaseError {
    #[error("could not {0} Lease {LEASE}")]
    Api(&'static str, #[source] kube::Error),
    #[error("the API server did not answer in time")]
    Timeout,
    #[error(transparent)]
    WentBack(#[from] WentBack),
}

/// Whether this replica leads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: watch::Receiver<Option<Instant>>,
    leads: watch::Receiver<bool>,
}

impl Leadership {
    /// Whether this replica leads at this moment, by its own clock.
    pub fn is_leader(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Its changes.
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }
}

/// Stands for election.
pub struct Leader {
    api: Api<Lease>,
    identity: String,
    clock: Clock,
    /// Whether the server answers; `None`: it was not asked yet.
    server: watch::Receiver<Option<bool>>,
    until: watch::Sender<Option<Instant>>,
    leads: watch::Sender<bool>,
}

impl Leader {
    /// A candidate. `identity` is unique among the replicas: the pod's name and uid. `server` says whether the server answers,
    /// which stands on the Lease of a leader.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: &str,
        clock: Clock,
        server: watch::Receiver<Option<bool>>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            identity: identity.to_owned(),
            clock,
            server,
            until: watch::Sender::new(None),
            leads: watch::Sender::new(false),
        }
    }

    /// A view of whether it leads.
    pub fn leadership(&self) -> Leadership {
        Leadership { until: self.until.subscribe(), leads: self.leads.subscribe() }
    }

    /// Stands for election until `shutdown`, then steps down. Ends at once when the cluster turns out to have gone back.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), WentBack> {
        let mut shutdown = std::pin::pin!(shutdown);
        let (mut seen, mut progress) = (None, Progress::default());
        loop {
            let pause = tokio::select! {
                () = &mut shutdown => break,
                pause = self.attempt(&mut seen, &mut progress) => pause?,
            };
            let mut wake = std::pin::pin!(tokio::time::sleep(pause));
            loop {
                tokio::select! {
                    () = &mut shutdown => {
                        self.step_down(seen).await;
                        return Ok(());
                    }
                    () = &mut wake => break,
                    () = self.deadline() => self.set(None),
                }
            }
        }
        self.step_down(seen).await;
        Ok(())
    }

    /// Looks once and acts; tells when to look again.
    async fn attempt(&self, seen: &mut Option<Seen>, progress: &mut Progress) -> Result<Duration, WentBack> {
        // From before the request: what the others see of a renewal is never older than this.
        let begun = Instant::now();
        let attempt = tokio::time::timeout(BOUND, self.look_and_act(seen, progress, begun));
        let outcome = tokio::select! {
            outcome = attempt => outcome.unwrap_or(Err(LeaseError::Timeout)),
            // A leader whose request hangs past its deadline has stopped leading, whatever the answer will be.
            () = self.deadline() => Err(LeaseError::Timeout),
        };
        Ok(match outcome {
            Ok(true) => {
                self.set(Some(begun + DEADLINE));
                RENEWAL
            }
            Ok(false) => {
                self.set(None);
                RETRY
            }
            Err(LeaseError::WentBack(back)) => {
                tracing::error!("{back}");
                self.set(None);
                return Err(back);
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    leads = *self.leads.borrow(),
                    "leader election"
                );
                // The record may have been written after all: look at it afresh.
                if self.until.borrow().is_none_or(|until| Instant::now() >= until) {
                    self.set(None);
                }
                RETRY
            }
        })
    }

    async fn look_and_act(
        &self,
        seen: &mut Option<Seen>,
        progress: &mut Progress,
        now: Instant,
    ) -> Result<bool, LeaseError> {
        let lease = self.api.get_opt(LEASE).await.map_err(|error| LeaseError::Api("read", error))?;
        lease.iter().try_for_each(|lease| progress.note(lease))?;
        let record = lease.as_ref().map(Record::of);
        *seen = record.map(|record| Seen::next(seen.take(), record, now));
        let answers = *self.server.borrow();
        let written = match decide(seen.as_ref(), &self.identity, now) {
            Step::Follow => return Ok(false),
            Step::Create => {
                let lease = record::first(&self.identity, DURATION, self.clock.now());
                self.api.create(&PostParams::default(), &server_view::told(lease, answers)).await
            }
            Step::Take | Step::Renew => {
                let lease = record::next(lease.unwrap_or_default(), &self.identity, DURATION, self.clock.now());
                self.api.replace(LEASE, &PostParams::default(), &server_view::told(lease, answers)).await
            }
        };
        match written {
            Ok(lease) => {
                progress.note(&lease)?;
                *seen = Some(Seen::next(seen.take(), Record::of(&lease), now));
                Ok(true)
            }
            // Somebody else was quicker.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
            Err(error) => Err(LeaseError::Api("write", error)),
        }
    }

    /// Waits until the time this replica may lead is over; for ever when it does not lead.
    async fn deadline(&self) {
        let until = *self.until.borrow();
        match until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    fn set(&self, until: Option<Instant>) {
        self.until.send_replace(until);
        let leads = until.is_some();
        let changed = self.leads.send_if_modified(|now| std::mem::replace(now, leads) != leads);
        if changed {
            tracing::info!(identity = self.identity, "{}", if leads { "began to lead" } else { "stopped leading" });
        }
    }

    /// Empties the record if it is ours, so that nobody has to wait for it to run out.
    async fn step_down(&self, seen: Option<Seen>) {
        self.set(None);
        if !seen.is_some_and(|seen| seen.is_held_by(&self.identity)) {
            return;
        }
        let release = async {
            let lease = self.api.get_opt(LEASE).await.map_err(|error| LeaseError::Api("read", error))?;
            let Some(lease) = lease.filter(|lease| Record::of(lease).holder == self.identity) else { return Ok(()) };
            let lease = record::released(lease, self.clock.now());
            self.api
                .replace(LEASE, &PostParams::default(), &lease)
                .await
                .map_err(|error| LeaseError::Api("write", error))?;
            Ok(())
        };
        let outcome = tokio::time::timeout(BOUND, release).await.unwrap_or(Err(LeaseError::Timeout));
        if let Err(error) = outcome {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not step down, the next leader waits");
        }
    }
}

impl std::fmt::Debug for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leader").field("identity", &self.identity).finish_non_exhaustive()
    }
}
