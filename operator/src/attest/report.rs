//! `POST /v1/report`: a pod's sidecar has an Event told about its own pod, by the same checks as an attestation.
//!
//! The token says which pod it is. Whoever has it may say one of a few reasons and a short line of text about that pod,
//! as whoever may write its log can anyway.
//!
//! What costs the API server something comes after what keeps it from being asked too much:
//!
//! 1. A token that it has vouched for within the last minute is known ([`verified`](super::verified)). Any other takes from what
//!    its address may ask: whoever sends what is no token is soon sent away, and with it nobody but its neighbours.
//! 2. The pod's own bound.
//! 3. What was told not long ago is not told again, and is done with.
//! 4. The bound of the pod's namespace, and then that of all together: pods of one namespace leave room for the others.
//! 5. That very pod is read, uncached.

use std::net::IpAddr;

use sikkerkey_protocol::report::{Report, Reported};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::claimant::Claimant;
use super::decide::standing;
use super::denial::Denial;
use super::limit::network;
use super::{Attestation, TURN};

impl Attestation {
    /// Takes one report from `address`.
    pub async fn report(&self, body: &[u8], address: IpAddr) -> Result<Reported, Denial> {
        let report: Report = serde_json::from_slice(body).map_err(|_| Denial::MalformedReport)?;
        let known = self.verified.find(report.token.expose(), Instant::now());
        if known.is_none() && !self.report_limiter.admits(network(address), Instant::now()) {
            return Err(Denial::TooManyReports);
        }
        // Whoever is over its own bound takes no turn from others.
        if let Some(claimant) = &known
            && !self.events.admits_report(claimant)
        {
            return Err(Denial::TooManyReports);
        }
        let claimant = match known {
            Some(claimant) => claimant,
            None => self.identify(report.token.expose()).await?,
        };
        tracing::debug!(namespace = claimant.namespace, pod = claimant.pod, reason = ?report.reason, "a pod reports");
        if self.events.was_told(&claimant, report.reason, &report.message) {
            return Ok(Reported {});
        }
        if !self.events.admits_of_namespace(&claimant) {
            return Err(Denial::TooManyReports);
        }
        let _turn = turn(&self.report_turns).await?;
        let pod = self.pod(&claimant).await?;
        standing(&claimant, pod.as_ref())?;
        self.events.reported(&claimant, report.reason, &report.message).await;
        Ok(Reported {})
    }

    /// Whose a token is that was not known, if the pod may report.
    async fn identify(&self, token: &str) -> Result<Claimant, Denial> {
        // Another one than those that are known take: these do not wait behind what may be a flood.
        let _turn = turn(&self.review_turns).await?;
        let claimant = self.review(token).await?;
        self.verified.remember(token, &claimant, Instant::now());
        if self.events.admits_report(&claimant) { Ok(claimant) } else { Err(Denial::TooManyReports) }
    }
}

async fn turn(turns: &Semaphore) -> Result<SemaphorePermit<'_>, Denial> {
    timeout(TURN, turns.acquire()).await.ok().and_then(Result::ok).ok_or(Denial::Busy)
}

#[cfg(test)]
mod tests;
