//! Why a pod was not vouched for. Constant sentences: nothing of a token, of an error or of another object is in them.

use std::time::Duration;

use sikkerkey_protocol::error_body::ErrorCode;
use thiserror::Error;

use crate::server::{Class, ServerError};
use crate::webhook::refusal::Refusal;

/// Why a pod was not vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Denial {
    #[error("the body is not an attestation: a token, a public key and a proof, as JSON")]
    Malformed,
    #[error("the body is not a report: a token, a reason of the list and a message, as JSON")]
    MalformedReport,
    #[error("too many reports of this pod, or from this address: the next one later")]
    TooManyReports,
    #[error("too many attestations from this address: try again later")]
    TooMany,
    #[error("the proof does not fit the key and the token: sign with the private half of the key that is sent")]
    ProofInvalid,
    #[error("the API server does not accept the token")]
    TokenInvalid,
    #[error("the token has expired: read its file again")]
    TokenExpired,
    #[error("the token is for another audience: it must be for sikkerkey")]
    WrongAudience,
    #[error("the token is not a pod's: use the one that is projected into the pod")]
    NotAPod,
    #[error("the pod of this token is gone")]
    PodGone,
    #[error("the pod is being deleted")]
    PodTerminating,
    #[error("the pod has not been placed on a node, or token and pod name different nodes")]
    NodeMismatch,
    #[error(
        "the pod was not admitted with a sidecar: it lacks the label sikkerkey.com/machine or what the webhook adds"
    )]
    NotInjected,
    #[error("Machine {machine} was deleted and made anew since the pod was admitted: replace the pod")]
    MachineReplaced { machine: String },
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("Machine {machine} is suspended, or waits for approval at the server")]
    MachineNotActive { machine: String },
    #[error("Machine {machine} is not at the server yet: try again")]
    MachineNotProgrammed { machine: String },
    #[error("the server refused: {0}")]
    ServerRefused(String),
    #[error("the API server did not answer: try again")]
    ApiServerUnavailable,
    #[error("the server cannot be reached ({0}): try again")]
    ServerUnreachable(Class),
    #[error("the server is sealed: an administrator must load its root key")]
    ServerSealed,
    #[error("the operator could not log in to the server: try again")]
    OperatorNotLoggedIn,
    #[error("the operator is busy: try again")]
    Busy,
}

impl Denial {
    /// One word, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed | Self::MalformedReport => "Malformed",
            Self::TooMany | Self::TooManyReports => "TooMany",
            Self::ProofInvalid => "ProofInvalid",
            Self::TokenInvalid => "TokenInvalid",
            Self::TokenExpired => "TokenExpired",
            Self::WrongAudience => "WrongAudience",
            Self::NotAPod => "NotAPod",
            Self::PodGone => "PodGone",
            Self::PodTerminating => "PodTerminating",
            Self::NodeMismatch => "NodeMismatch",
            Self::NotInjected => "NotInjected",
            Self::MachineReplaced { .. } => "MachineReplaced",
            Self::Refused(refusal) => refusal.reason(),
            Self::MachineNotActive { .. } => "MachineNotActive",
            Self::MachineNotProgrammed { .. } => "MachineNotProgrammed",
            Self::ServerRefused(_) => "ServerRefused",
            Self::ApiServerUnavailable => "ApiServerUnavailable",
            Self::ServerUnreachable(_) => "ServerUnreachable",
            Self::ServerSealed => "ServerSealed",
            Self::OperatorNotLoggedIn => "OperatorNotLoggedIn",
            Self::Busy => "Busy",
        }
    }

    /// The HTTP status: 401 for what is wrong with the token or the proof, 403 for what the pod may not do, 503 for what
    /// may succeed when it is tried again.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed | Self::MalformedReport => 400,
            Self::ProofInvalid | Self::TokenInvalid | Self::TokenExpired | Self::WrongAudience => 401,
            Self::TooMany | Self::TooManyReports => 429,
            Self::Refused(refusal) if refusal.is_transient() => 503,
            Self::NotAPod
            | Self::PodGone
            | Self::PodTerminating
            | Self::NodeMismatch
            | Self::NotInjected
            | Self::MachineReplaced { .. }
            | Self::Refused(_)
            | Self::MachineNotActive { .. }
            | Self::ServerRefused(_) => 403,
            Self::MachineNotProgrammed { .. }
            | Self::ApiServerUnavailable
            | Self::ServerUnreachable(_)
            | Self::ServerSealed
            | Self::OperatorNotLoggedIn
            | Self::Busy => 503,
        }
    }

    /// When to try again, where that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self.status(), 429 | 503).then_some(Duration::from_secs(1))
    }

    /// What the server's refusal of a voucher means for the pod.
    pub(super) fn of_server(error: &ServerError, machine: &str) -> Self {
        let machine = machine.to_owned();
        match error {
            ServerError::Unreachable { class } => Self::ServerUnreachable(*class),
            ServerError::Sealed => Self::ServerSealed,
            ServerError::NoToken(_) | ServerError::Refused { status: 401, .. } => Self::OperatorNotLoggedIn,
            ServerError::Refused { code: Some(ErrorCode::PodGone), .. } => Self::PodGone,
            ServerError::Refused { code: Some(ErrorCode::MachineNotActive), .. } => Self::MachineNotActive { machine },
            // The pod came right after its Machine; the operator is about to put it in force.
            ServerError::Refused { code: Some(ErrorCode::MachineNotFound), .. } => {
                Self::MachineNotProgrammed { machine }
            }
            ServerError::Refused { status: 429, .. } => Self::Busy,
            ServerError::Refused { text, .. } => Self::ServerRefused(text.clone()),
        }
    }
}
