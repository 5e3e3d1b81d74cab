//! `POST /v1/report`: a pod's sidecar has an Event told about its own pod, by the same checks as an attestation.
//!
//! The token says which pod it is. Whoever has it may say one of a few reasons and a short line of text about that pod,
//! as whoever may write its log can anyway.

use std::net::IpAddr;

use sikkerkey_protocol::report::{Report, Reported};
use tokio::time::{Instant, timeout};

use super::decide::standing;
use super::denial::Denial;
use super::limit::network;
use super::{Attestation, TURN};

impl Attestation {
    /// Takes one report from `address`.
    pub async fn report(&self, body: &[u8], address: IpAddr) -> Result<Reported, Denial> {
        if !self.report_limiter.admits(network(address), Instant::now()) {
            return Err(Denial::TooManyReports);
        }
        let report: Report = serde_json::from_slice(body).map_err(|_| Denial::MalformedReport)?;
        let _turn = timeout(TURN, self.report_turns.acquire()).await.ok().and_then(Result::ok).ok_or(Denial::Busy)?;
        let claimant = self.review(report.token.expose()).await?;
        let pod = self.pod(&claimant).await?;
        standing(&claimant, pod.as_ref())?;
        if !self.events.admits_report(&claimant) {
            return Err(Denial::TooManyReports);
        }
        tracing::debug!(namespace = claimant.namespace, pod = claimant.pod, reason = ?report.reason, "a pod reports");
        self.events.reported(&claimant, report.reason, &report.message).await;
        Ok(Reported {})
    }
}

#[cfg(test)]
mod tests;
