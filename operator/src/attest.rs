//! The attest endpoint: vouches at the server for the key of a pod's sidecar. Served by every replica.
//!
//! # The way of one attestation
//!
//! 1. The proof: whoever asks has the private half of the key (before anything that costs a request).
//! 2. `TokenReview` for our audience: the API server says which pod the token belongs to ([`claimant`]). Nothing is taken
//!    from the request but the token and the key.
//! 3. That very pod is read, uncached ([`decide::standing`]): a token outlives its pod by seconds.
//! 4. The pod is compared with its Machine by the rule of admission ([`decide::authorise`]).
//! 5. The server issues a voucher for this key and this pod's uid.
//!
//! Beside it a sidecar reports how it stands (`/v1/report`), and both become Events about the pod ([`pod_events`]).
//!
//! # Failure modes
//!
//! Every refusal has a status, a word and a sentence ([`denial`]). When the API server or the server is away the answer
//! is a 503 and the sidecar tries again; nothing is ever vouched for without either.

pub mod claimant;
pub mod decide;
pub mod denial;
pub mod limit;
pub mod pod_events;
mod report;
pub mod verified;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use serde_json::json;
use sikkerkey_crds::names::AUDIENCE;
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::{Attest, Attested};
use sikkerkey_protocol::kubernetes::{IssueVoucher, IssuedVoucher, ObjectKey};
use sikkerkey_traces::span;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use self::claimant::{Claimant, Reviewed, explain};
use self::decide::{Standing, authorise, is_alive, standing};
use self::denial::Denial;
use self::limit::{Limiter, network};
use self::pod_events::PodEvents;
use self::verified::Verified;
use crate::ca::TrustBundle;
use crate::clock::Clock;
use crate::server::Session;
use crate::webhook::machines::Machines;

/// The largest body: a projected token has less than 2 KiB.
pub const MAX_BODY: usize = 32 * 1024;
/// Attestations in work at once: each holds two requests to the API server and one to the server.
const AT_ONCE: usize = 64;
/// Reports in work at once, and as many tokens of such under review: they must not keep attestations waiting.
const REPORTS_AT_ONCE: usize = 8;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// How long the API server has for one answer.
const BOUND: Duration = Duration::from_secs(5);
/// A node's pods may share one address; a full node restarts at once.
const BURST: u32 = 1000;
/// After a burst, one in so long.
const INTERVAL: Duration = Duration::from_millis(10);
/// Reports from one address with tokens that are not known, at once, and then one in each interval: the pods of a node that
/// all report at once pass.
const UNKNOWN: (u32, Duration) = (250, Duration::from_millis(200));

/// What the endpoint works with.
pub struct Attestation {
    client: Client,
    machines: Arc<Machines>,
    session: Session,
    server_url: String,
    trust: TrustBundle,
    clock: Clock,
    limiter: Limiter<IpAddr>,
    turns: Semaphore,
    events: PodEvents,
    report_limiter: Limiter<IpAddr>,
    review_turns: Semaphore,
    report_turns: Semaphore,
    verified: Verified,
}

impl Attestation {
    /// Vouches through `session`; its server is the one that sidecars are told.
    pub fn new(
        client: Client,
        machines: Arc<Machines>,
        session: Session,
        trust: TrustBundle,
        clock: Clock,
        events: PodEvents,
    ) -> Self {
        Self {
            client,
            machines,
            server_url: session.url().as_str().to_owned(),
            session,
            trust,
            clock,
            limiter: Limiter::new(BURST, INTERVAL),
            turns: Semaphore::new(AT_ONCE),
            events,
            report_limiter: Limiter::new(UNKNOWN.0, UNKNOWN.1),
            review_turns: Semaphore::new(REPORTS_AT_ONCE),
            report_turns: Semaphore::new(REPORTS_AT_ONCE),
            verified: Verified::default(),
        }
    }

    /// Answers one attestation from `address`.
    pub async fn attest(&self, body: &[u8], address: IpAddr) -> Result<Attested, Denial> {
        let mut trail = Trail::default();
        let outcome = self.answer(body, address, &mut trail).await;
        trail.log(address, outcome.as_ref().err());
        if let Some(pod) = &trail.alive {
            self.events.attested(pod, &trail.machine, outcome.as_ref().err());
        }
        outcome
    }

    async fn answer(&self, body: &[u8], address: IpAddr, trail: &mut Trail) -> Result<Attested, Denial> {
        if !self.limiter.admits(network(address), Instant::now()) {
            return Err(Denial::TooMany);
        }
        let request: Attest = serde_json::from_slice(body).map_err(|_| Denial::Malformed)?;
        trail.key = request.public_key.fingerprint();
        let proven = possession(Purpose::Attest, request.token.expose(), &request.public_key);
        request.public_key.verify(&proven, &request.proof).map_err(|_| Denial::ProofInvalid)?;

        let _turn = timeout(TURN, self.turns.acquire()).await.ok().and_then(Result::ok).ok_or(Denial::Busy)?;
        let claimant = self.review(request.token.expose()).instrument(span!("review token")).await?;
        trail.pod = format!("{}/{} ({})", claimant.namespace, claimant.pod, claimant.uid);
        let pod = self.pod(&claimant).instrument(span!("read pod")).await?;
        if is_alive(&claimant, pod.as_ref()) {
            trail.alive = Some(claimant.clone());
        }
        let standing = standing(&claimant, pod.as_ref())?;
        trail.node.clone_from(&standing.pod.node);
        trail.machine.clone_from(&standing.machine);
        let machine = self.machines.find(&claimant.namespace, &standing.machine).await?;
        authorise(&standing, machine.as_deref())?;
        let voucher = self.vouch(&standing, &request).await?;
        Ok(Attested {
            voucher: voucher.voucher,
            server_url: self.server_url.clone(),
            vault_id: voucher.vault_id,
            trust_bundle: self.trust.pem().to_string(),
        })
    }

    /// Asks the API server whose token it is. By hand: the library logs a body that it cannot read, and the API server
    /// repeats the token in this one.
    async fn review(&self, token: &str) -> Result<Claimant, Denial> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        });
        let request = http::Request::post("/apis/authentication.k8s.io/v1/tokenreviews")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes())
            .map_err(|_| Denial::TokenInvalid)?;
        let answer =
            timeout(BOUND, self.client.request_text(request)).await.map_err(|_| Denial::ApiServerUnavailable)?;
        let answer = Zeroizing::new(answer.map_err(|error| {
            tracing::warn!(error = %class(&error), "TokenReview failed");
            Denial::ApiServerUnavailable
        })?);
        let reviewed: Reviewed = serde_json::from_str(&answer).map_err(|_| Denial::ApiServerUnavailable)?;
        Claimant::of(&reviewed.status).map_err(|denial| match denial {
            Denial::TokenInvalid => explain(token, self.clock.now()),
            other => other,
        })
    }

    async fn pod(&self, claimant: &Claimant) -> Result<Option<Pod>, Denial> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &claimant.namespace);
        let pod = timeout(BOUND, api.get_opt(&claimant.pod)).await.map_err(|_| Denial::ApiServerUnavailable)?;
        pod.map_err(|error| {
            tracing::warn!(error = %class(&error), "could not read a pod");
            Denial::ApiServerUnavailable
        })
    }

    async fn vouch(&self, standing: &Standing, request: &Attest) -> Result<IssuedVoucher, Denial> {
        let call = IssueVoucher {
            machine: ObjectKey { namespace: standing.pod.namespace.clone(), name: standing.machine.clone() },
            pod: standing.pod.clone(),
            public_key: request.public_key,
        };
        self.session.call(&call).await.map_err(|error| Denial::of_server(&error, &standing.machine))
    }
}

/// An error of the API server in a word: its own text may repeat what was sent.
fn class(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        kube::Error::SerdeError(_) => "unreadable answer".to_owned(),
        _ => "no answer".to_owned(),
    }
}

/// What an attestation leaves in the log.
#[derive(Default)]
struct Trail {
    key: String,
    pod: String,
    node: String,
    machine: String,
    /// The pod, once it was seen to be there.
    alive: Option<Claimant>,
}

impl Trail {
    fn log(&self, address: IpAddr, denial: Option<&Denial>) {
        let Self { key, pod, node, machine, .. } = self;
        match denial {
            None => tracing::info!(%address, pod, node, machine, key, "vouched for a pod"),
            Some(denial) => {
                tracing::warn!(%address, pod, node, machine, key, reason = denial.reason(), "did not vouch: {denial}");
            }
        }
    }
}

impl std::fmt::Debug for Attestation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attestation").field("server_url", &self.server_url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
