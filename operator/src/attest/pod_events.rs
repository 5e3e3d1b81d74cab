//! Events about pods: what `kubectl describe pod` shows while a pod waits.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use sikkerkey_crds::reason::Reason;
use sikkerkey_protocol::report::{MAX_MESSAGE, ReportReason};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::claimant::Claimant;
use super::denial::Denial;
use super::limit::Limiter;
use crate::controller::events::{Events, News};

/// The same about one pod is told once in so long: a pod that is refused asks again and again, and a sidecar that waits
/// behind the hook of its start is started again and again, and each reports what it finds.
const AGAIN: Duration = Duration::from_mins(10);
/// Reports of one pod at once, and then one in each interval.
const REPORTS: (u32, Duration) = (5, Duration::from_secs(10));
/// Reports of all pods at once, and then one in each interval: what a pod says must not fill the API server.
const ALL_REPORTS: (u32, Duration) = (300, Duration::from_millis(100));
/// Those of a namespace's pods: a third of all, so that one namespace leaves room for others, and a tenth in the long run.
const OF_NAMESPACE: (u32, Duration) = (100, Duration::from_secs(1));
/// Good news on its way to the API server. Where it is slow, more of it is left out.
const UNDER_WAY: usize = 32;

/// Tells of pods.
pub struct PodEvents {
    events: Events,
    enrolled: Limiter<String>,
    refused: Limiter<String>,
    reported: Limiter<(String, ReportReason, u64)>,
    reports: Limiter<String>,
    of_namespace: Limiter<String>,
    all_reports: Limiter<()>,
    under_way: Arc<Semaphore>,
}

impl PodEvents {
    /// Publishes with `events`.
    pub fn new(events: Events) -> Self {
        Self {
            events,
            enrolled: Limiter::new(1, AGAIN),
            refused: Limiter::new(1, AGAIN),
            reported: Limiter::new(1, AGAIN),
            reports: Limiter::new(REPORTS.0, REPORTS.1),
            of_namespace: Limiter::new(OF_NAMESPACE.0, OF_NAMESPACE.1),
            all_reports: Limiter::new(ALL_REPORTS.0, ALL_REPORTS.1),
            under_way: Arc::new(Semaphore::new(UNDER_WAY)),
        }
    }

    /// Tells how the attestation of a pod went, without holding it up. What may pass by itself is not told. However much good
    /// news there is, a refusal is told: each kind has its own bounds.
    pub fn attested(&self, pod: &Claimant, machine: &str, denial: Option<&Denial>) {
        let now = Instant::now();
        let (news, permit) = match denial {
            None => {
                let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
                    return tracing::debug!(pod = pod.pod, "no Event: too many are under way");
                };
                if !self.enrolled.admits(pod.uid.clone(), now) {
                    return;
                }
                let message = format!("The operator vouched for this pod as Machine {machine}.");
                (News { is_warning: false, reason: Reason::Enrolled.to_string(), message }, Some(permit))
            }
            Some(denial) if denial.status() == 403 && self.refused.admits(pod.uid.clone(), now) => {
                (News::warning(Reason::EnrolmentRefused, denial.to_string()), None)
            }
            Some(_) => return,
        };
        let (events, regarding) = (self.events.clone(), reference(pod));
        // Nobody waits for it: an Event that is lost at the end of this process is lost.
        tokio::spawn(async move {
            events.publish(&regarding, "Attest", &news).await;
            drop(permit);
        });
    }

    /// Whether one more report of this pod is taken; it is counted if so.
    pub fn admits_report(&self, pod: &Claimant) -> bool {
        self.reports.admits(pod.uid.clone(), Instant::now())
    }

    /// Whether one more report of a pod of this namespace may be told; it is counted if so.
    pub fn admits_of_namespace(&self, pod: &Claimant) -> bool {
        let now = Instant::now();
        self.of_namespace.admits(pod.namespace.clone(), now) && self.all_reports.admits((), now)
    }

    /// Whether the same was told of this pod not long ago.
    pub fn was_told(&self, pod: &Claimant, reason: ReportReason, message: &str) -> bool {
        self.reported.is_full((pod.uid.clone(), reason, gist(reason, message)), Instant::now())
    }

    /// Tells what a pod's sidecar reports, unless it was told not long ago.
    pub async fn reported(&self, pod: &Claimant, reason: ReportReason, message: &str) {
        if !self.reported.admits((pod.uid.clone(), reason, gist(reason, message)), Instant::now()) {
            return tracing::debug!(pod = pod.pod, ?reason, "no Event: the same was told not long ago");
        }
        self.events.publish(&reference(pod), "Report", &News::warning(reason_of(reason), plain(message))).await;
    }
}

/// What makes it another thing to tell.
fn gist(reason: ReportReason, message: &str) -> u64 {
    let mut gist = DefaultHasher::new();
    reason.gist(message).hash(&mut gist);
    gist.finish()
}

fn reference(pod: &Claimant) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.pod.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

fn reason_of(reason: ReportReason) -> Reason {
    match reason {
        ReportReason::EnrolmentRefused => Reason::EnrolmentRefused,
        ReportReason::EnrolmentFailed => Reason::EnrolmentFailed,
        ReportReason::ServerUnreachable => Reason::ServerUnreachable,
        ReportReason::ReadDenied => Reason::ReadDenied,
        ReportReason::CoSignAwaited => Reason::CoSignAwaited,
        ReportReason::FilesStale => Reason::FilesStale,
        ReportReason::FilesRemoved => Reason::FilesRemoved,
        ReportReason::FilesNotWritten => Reason::FilesNotWritten,
        ReportReason::MachineReplaced => Reason::MachineReplaced,
    }
}

/// One line that does nothing to a terminal.
fn plain(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect()
}

impl std::fmt::Debug for PodEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodEvents").finish_non_exhaustive()
    }
}
