//! The operator's small CA: one root, the certificates under it, and everybody's trust in it.
//!
//! The root lives in the core Secret [`store::CA_SECRET`]; whichever replica comes first makes it, unless somebody else has:
//! one with the keys `tls.crt` and `tls.key`, as cert-manager writes it, is used and never changed. Every replica issues
//! its own serving certificate, in memory. The leader issues the server's into [`store::SERVER_SECRET`] and is the only
//! writer of the `caBundle` of the webhook configurations. Certificates are replaced after two thirds of their life and
//! whenever the root or the names change.
//!
//! # Change of root
//!
//! After two thirds of the root's life, or when a person asks for it by the annotation [`store::CHANGE_ROOT`] on the Secret,
//! the leader puts a next root beside it. Both are trusted from then on: every replica hands them out as one bundle, and the
//! leader writes it into the webhook configurations. Only when it has stood there for a while ([`change`]) the next root
//! takes the place of the present one, and every replica issues leaves of it. The root before stays in the bundle, and with
//! each leaf goes a certificate by it of the new root's key: a sidecar that was given nothing but the old root goes on.

pub mod ca_bundle;
pub mod certificate;
mod change;
pub mod name;
pub mod root;
pub mod serving;
pub mod store;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use thiserror::Error;
use tokio::sync::watch;

use self::ca_bundle::Lacking;
use self::certificate::{Verdict, Why, judge};
use self::change::Step;
use self::name::Name;
use self::root::{Root, RootError};
use self::serving::Serving;
use self::store::{ServerCertificate, StoreError, Stored};
use crate::clock::Clock;
use crate::leader::Leadership;
use crate::metrics::{Certificate, Metrics};

/// How often everything is looked at.
const ROUND: Duration = Duration::from_secs(5);

/// What others shall trust: PEM certificates. Follows changes of the root.
#[derive(Clone, Debug)]
pub struct TrustBundle(watch::Receiver<Arc<str>>);

impl TrustBundle {
    /// The bundle as it is now.
    pub fn pem(&self) -> Arc<str> {
        Arc::clone(&self.0.borrow())
    }

    /// The bundle and its changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<str>> {
        self.0.clone()
    }

    /// A bundle that never changes.
    pub fn fixed(pem: &str) -> Self {
        // A receiver keeps its last value when the sender is gone.
        Self(watch::channel(Arc::from(pem)).1)
    }
}

/// For whom certificates are issued.
#[derive(Clone, Debug)]
pub struct Names {
    /// This replica's listener.
    pub serving: BTreeSet<Name>,
    /// The server; empty: somebody else sees to its certificate.
    pub server: BTreeSet<Name>,
}

/// The CA could not be kept.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the sources say it")]
pub enum CaError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not issue the certificate of the listener")]
    Serving(#[source] RootError),
    #[error(transparent)]
    Bundle(#[from] ca_bundle::BundleError),
}

/// The CA of one cluster.
pub struct Authority {
    client: Client,
    namespace: String,
    names: Names,
    clock: Clock,
    root: watch::Sender<Arc<Root>>,
    bundle: watch::Sender<Arc<str>>,
    serving: Arc<Serving>,
    metrics: Metrics,
    /// Since when this leader has found this bundle in the webhook configurations.
    spread: Mutex<Option<(Arc<str>, Timestamp)>>,
    /// Whether this replica has seen to webhooks that trust nobody.
    filled: AtomicBool,
}

impl Authority {
    /// Reads or makes the root, and issues the certificate of this replica's listener.
    pub async fn ensure(
        client: Client,
        namespace: &str,
        names: Names,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, CaError> {
        let root = Arc::new(store::root(&client, namespace, clock.now()).await?.root);
        let bundle = Arc::from(root.bundle_pem());
        let authority = Self {
            client,
            namespace: namespace.to_owned(),
            names,
            clock,
            root: watch::Sender::new(root),
            bundle: watch::Sender::new(bundle),
            serving: Arc::default(),
            metrics,
            spread: Mutex::default(),
            filled: AtomicBool::default(),
        };
        authority.keep_serving(authority.clock.now())?;
        Ok(authority)
    }

    /// What others shall trust.
    pub fn trust(&self) -> TrustBundle {
        TrustBundle(self.bundle.subscribe())
    }

    /// The certificate of this replica's listener.
    pub fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.serving)
    }

    /// Keeps everything current until `shutdown`. What fails is logged and tried again in the next round.
    pub async fn run(&self, leadership: Leadership, shutdown: impl Future<Output = ()> + Send) {
        let mut leads = leadership.subscribe();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            if let Err(error) = self.round(leadership.is_leader()).await {
                self.metrics.certificates_failed();
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not keep the certificates, trying again"
                );
            }
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(ROUND) => {}
                // A sender that is gone ends this branch for good; the sleep goes on.
                Ok(()) = leads.changed() => {}
            }
        }
    }

    async fn round(&self, leads: bool) -> Result<(), CaError> {
        let now = self.clock.now();
        let Stored { root, is_change_asked, is_supplied } = store::root(&self.client, &self.namespace, now).await?;
        let root = Arc::new(root);
        if root.bundle_pem() != **self.bundle.borrow() {
            tracing::info!("the root certificates have changed");
            self.bundle.send_replace(Arc::from(root.bundle_pem()));
            self.root.send_replace(Arc::clone(&root));
        }
        self.keep_serving(now)?;
        if !leads {
            *self.spread.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return self.fill().await;
        }
        // One that fails does not keep the other from its turn.
        let (server, spread) = tokio::join!(self.keep_server(&root, now), self.spread(now));
        server?;
        if is_supplied {
            return spread.map(drop);
        }
        self.change(&root, is_change_asked, spread?, now).await
    }

    async fn change(
        &self,
        root: &Root,
        is_asked: bool,
        spread_since: Timestamp,
        now: Timestamp,
    ) -> Result<(), CaError> {
        match change::step(root, is_asked, spread_since, now) {
            Step::Wait => {}
            Step::Announce => {
                if store::announce(&self.client, &self.namespace, now).await? {
                    tracing::info!(secret = store::CA_SECRET, "made the next root certificate, to be trusted first");
                }
            }
            Step::TakeOver => {
                if store::take_over(&self.client, &self.namespace, now).await? {
                    tracing::info!(secret = store::CA_SECRET, "the next root certificate takes over");
                }
            }
        }
        Ok(())
    }

    async fn keep_server(&self, root: &Root, now: Timestamp) -> Result<(), CaError> {
        if self.names.server.is_empty() {
            return Ok(());
        }
        let names = &self.names.server;
        let outcome = store::server_certificate(&self.client, &self.namespace, root, names, now).await?;
        if let ServerCertificate::Issued(why) = outcome {
            tracing::info!(secret = store::SERVER_SECRET, ?why, "issued the server's certificate");
        }
        Ok(())
    }

    /// Gives the bundle to webhooks that have none, once. Installed again, they are new, and the Lease of the last leader may have
    /// yet to run out: until there is another, no pod with our label could be made.
    async fn fill(&self) -> Result<(), CaError> {
        if self.filled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let bundle = Arc::clone(&self.bundle.borrow());
        let configurations = ca_bundle::spread(&self.client, &bundle, Lacking::Any).await?;
        if configurations > 0 {
            tracing::info!(configurations, "put the CA bundle into webhook configurations that had none");
        }
        self.filled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Since when the bundle stands in the webhook configurations.
    async fn spread(&self, now: Timestamp) -> Result<Timestamp, CaError> {
        let bundle = Arc::clone(&self.bundle.borrow());
        let configurations = ca_bundle::spread(&self.client, &bundle, Lacking::This).await?;
        if configurations > 0 {
            tracing::info!(configurations, "put the CA bundle into the webhook configurations");
        }
        let mut spread = self.spread.lock().unwrap_or_else(PoisonError::into_inner);
        let since = spread.take().filter(|(before, _)| *before == bundle && configurations == 0);
        let since = since.map_or(now, |(_, since)| since);
        *spread = Some((bundle, since));
        Ok(since)
    }

    /// Exchanges the listener's certificate when it no longer serves.
    fn keep_serving(&self, now: Timestamp) -> Result<Option<Why>, CaError> {
        let root = Arc::clone(&self.root.borrow());
        self.metrics.certificate_ends(Certificate::Root, root.facts().not_after.as_second());
        let facts = self.serving.facts();
        // Key and certificate are made together and never apart here.
        let present = facts.as_ref().map(|facts| (facts, facts.public_key.as_slice()));
        let Verdict::Issue(why) = judge(present, root.facts(), &self.names.serving, now) else { return Ok(None) };
        let leaf = root.issue(&self.names.serving, now).map_err(CaError::Serving)?;
        self.serving.exchange(&leaf).map_err(CaError::Serving)?;
        self.metrics.certificate_ends(Certificate::Serving, leaf.facts().not_after.as_second());
        tracing::info!(?why, not_after = %leaf.facts().not_after, "issued the listener's certificate");
        Ok(Some(why))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
