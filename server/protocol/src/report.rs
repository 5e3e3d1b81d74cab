//! What a sidecar has the operator say about its pod, as an Event that `kubectl describe pod` shows.

use serde::{Deserialize, Serialize};

use crate::Call;
use crate::secret_text::{self, SecretText};

/// The longest message that is shown, in characters.
pub const MAX_MESSAGE: usize = 512;

/// A pod's sidecar says how it stands. Sent to the operator, which believes of it only what it may say of itself.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The pod's projected service-account token, audience `sikkerkey`.
    #[serde(serialize_with = "secret_text::serialize")]
    pub token: SecretText,
    /// What it is.
    pub reason: ReportReason,
    /// The same for a person, in at most [`MAX_MESSAGE`] characters. It holds no value.
    pub message: String,
}

/// What a sidecar may report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReportReason {
    /// The server refuses the pod an identity.
    EnrolmentRefused,
    /// The pod has no identity yet, for a reason that may pass.
    EnrolmentFailed,
    /// The server does not answer.
    ServerUnreachable,
    /// A read was denied.
    ReadDenied,
    /// A read waits for its co-signer.
    CoSignAwaited,
    /// The files are gone, because the server was away for too long.
    FilesStale,
    /// Files were removed, because access to them is over.
    FilesRemoved,
    /// A file cannot be written, whatever the server gives: its value does not fit its format, or the files do not fit the
    /// volume.
    FilesNotWritten,
    /// The sidecar enrolled anew, which ended the pod's earlier machine.
    MachineReplaced,
}

impl ReportReason {
    /// What of `message` makes it another thing to tell. Trouble on the way has other words each time; a denial is of a
    /// file, a secret and for a reason, and what follows may be an instant that moves; a co-signer is asked by the request's
    /// id.
    pub fn gist(self, message: &str) -> &str {
        let last = match self {
            Self::EnrolmentFailed | Self::ServerUnreachable | Self::FilesStale => return "",
            Self::ReadDenied => 1,
            Self::FilesRemoved => 2,
            Self::EnrolmentRefused | Self::CoSignAwaited | Self::FilesNotWritten | Self::MachineReplaced => {
                return message;
            }
        };
        let end = message.match_indices(": ").nth(last);
        end.and_then(|(end, _)| message.get(..end)).unwrap_or(message)
    }
}

/// The report was taken. An Event may still be left out, where there are many.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reported {}

impl Call for Report {
    const PATH: &'static str = "/v1/report";
    type Answer = Reported;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_another_reason_is_none() {
        let text = r#"{"token":"t","reason":"CoSignAwaited","message":"file a waits"}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(report.reason, ReportReason::CoSignAwaited);
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
        assert!(!format!("{report:?}").contains("\"t\""));
        assert!(serde_json::from_str::<Report>(&text.replace("CoSignAwaited", "Enrolled")).is_err());
    }

    #[test]
    fn the_gist_is_what_does_not_move() {
        use ReportReason as R;
        for (reason, message, gist) in [
            (R::ServerUnreachable, "no route", ""),
            (R::FilesStale, "the files are removed: no route", ""),
            (R::ReadDenied, "file a: RateCapReached: at 1", "file a: RateCapReached"),
            (R::ReadDenied, "file a: NotGranted", "file a: NotGranted"),
            (R::ReadDenied, "", ""),
            (R::FilesRemoved, "a: b: PolicyEnded: 1", "a: b: PolicyEnded"),
            (R::CoSignAwaited, "a: b: c: request 1", "a: b: c: request 1"),
            (R::FilesNotWritten, "cannot write: no permission", "cannot write: no permission"),
        ] {
            assert_eq!(reason.gist(message), gist, "{reason:?} {message}");
        }
    }
}
