//! `delivery.mode: Init`: the whole set of files is written once, the identity is given up, and nothing stays.
//!
//! The same loop as the sidecar's, until every required file is there. How long that may take follows from what it waits for:
//!
//! * **A clock or a person, and nothing else** ([`PATIENT`]: a window, a cap, an approval or its refusal, a release after a
//!   restore, a frozen project, a lockout): as long as it takes. The container runs, keeps its key and logs what it waits for, so no
//!   gate is needed and no approval is asked for anew.
//! * **Anything else for any of the files** (no grant, a server that is away, a volume that is full): [`PATIENCE`], counted anew after each time of the
//!   first kind. Then it ends with the reason as its last line, which the kubelet shows as the container's message, and the
//!   kubelet starts it again with its back-off; in a pod with `restartPolicy: Never` the pod has failed.
//! * **A refused enrolment**: not at all.
//!
//! It ends with 0 only when every required file is there: whatever goes wrong before, the application does not start. A server
//! that cannot be told of the end for [`RESIGNING`] does not hold the application back: the key is gone with this process, so
//! what stays at the server is a name that nobody can use. The operator revokes it with its pod, and it expires.
//!
//! An init container may be run again (the node was restarted, the pod's sandbox made anew). It then enrols anew, which ends the
//! machine before, and puts what is right now over what it finds; with the server away it does not take old files for right.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::agent::Agent;
use crate::fetch::PATIENT;
use crate::state::{State, reason};

/// How long to wait for what should be there already.
pub const PATIENCE: Duration = Duration::from_mins(5);
/// How long the application may be held back to give the identity up.
pub const RESIGNING: Duration = Duration::from_secs(10);

/// Why the files are not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The pod is refused: waiting is of no use.
    Refused,
    /// What it waits for did not come.
    GaveUp,
    /// Whoever runs it wants it to end.
    Asked,
}

/// The files are not written: one line for the pod's status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.line())]
pub struct Unfinished {
    why: Why,
    said: State,
}

impl Unfinished {
    /// With how it stood.
    pub fn new(why: Why, said: &State) -> Self {
        Self { why, said: said.clone() }
    }

    fn line(&self) -> String {
        let State { reason, message, .. } = &self.said;
        match self.why {
            Why::Refused => format!("{reason}: {message}"),
            Why::GaveUp => format!("{reason}: {message} (gave up after {} minutes)", PATIENCE.as_secs() / 60),
            Why::Asked => format!("asked to end before the files were there: {reason}: {message}"),
        }
    }
}

/// Writes the set. May be dropped at any `await`.
pub async fn write_once(agent: &mut Agent) -> Result<(), Why> {
    let mut deadline = Some(Instant::now() + PATIENCE);
    loop {
        let pause = within(deadline, pin!(agent.exchange())).await?;
        deadline = match prospect(agent.said()) {
            Prospect::Done => return Ok(()),
            Prospect::Refused => return Err(Why::Refused),
            Prospect::Hours => None,
            Prospect::Soon => deadline.or_else(|| Some(Instant::now() + PATIENCE)),
        };
        within(deadline, agent.rest(pause)).await?;
    }
}

async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Result<T, Why> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.map_err(|_| Why::GaveUp),
        None => Ok(future.await),
    }
}

/// What may be hoped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prospect {
    /// All is there.
    Done,
    /// Nothing.
    Refused,
    /// A clock or a person lets it through, in their own time.
    Hours,
    /// It comes soon, or something is wrong.
    Soon,
}

/// The state has a reason of [`PATIENT`] only if every required file that is missing has one.
fn prospect(said: &State) -> Prospect {
    match said.reason.as_str() {
        _ if said.ready => Prospect::Done,
        reason::ENROLMENT_REFUSED => Prospect::Refused,
        other if PATIENT.iter().any(|denied| denied.as_str() == other) => Prospect::Hours,
        _ => Prospect::Soon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ready: bool, reason: &str) -> State {
        let message = "file a waits".to_owned();
        State {
            ready,
            reason: reason.to_owned(),
            message,
            time: String::new(),
            machine: false,
            files_until: None,
            was_complete: false,
        }
    }

    #[test]
    fn it_waits_long_for_a_policy_not_long_for_a_fault_and_not_at_all_when_refused() {
        for (ready, reason, expected) in [
            (true, "Ready", Prospect::Done),
            (false, "EnrolmentRefused", Prospect::Refused),
            (false, "OutsideTimeWindow", Prospect::Hours),
            (false, "CoSignMissing", Prospect::Hours),
            (false, "RateCapReached", Prospect::Hours),
            (false, "CoSignRefused", Prospect::Hours),
            (false, "ReleaseMissing", Prospect::Hours),
            (false, "ProjectFrozen", Prospect::Hours),
            (false, "LockedOut", Prospect::Hours),
            (false, "NotGranted", Prospect::Soon),
            (false, "PolicyEnded", Prospect::Soon),
            (false, "MachineSuspended", Prospect::Soon),
            (false, "EnrolmentFailed", Prospect::Soon),
            (false, "ServerUnreachable", Prospect::Soon),
            (false, "VolumeFull", Prospect::Soon),
            (false, "Starting", Prospect::Soon),
        ] {
            assert_eq!(prospect(&said(ready, reason)), expected, "{reason}");
        }
    }

    #[test]
    fn the_last_line_says_why() {
        for (why, line) in [
            (Why::Refused, "NotGranted: file a waits"),
            (Why::GaveUp, "NotGranted: file a waits (gave up after 5 minutes)"),
            (Why::Asked, "asked to end before the files were there: NotGranted: file a waits"),
        ] {
            assert_eq!(Unfinished::new(why, &said(false, "NotGranted")).to_string(), line);
        }
    }
}
