//! What a call to the server can end with.

use std::fmt;
use std::time::Duration;

use sikkerkey_crds::reason::Reason;
use sikkerkey_protocol::error_body::ErrorCode;

/// Why the server could not be reached. The texts stand in conditions: never an address, never an error's own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nobody listens, or the connection broke.
    ConnectionRefused,
    /// The name does not resolve.
    NameNotResolved,
    /// Its certificate is not from the certificate authority we trust, or not for this name.
    CertificateNotTrusted,
    /// No answer in time.
    TimedOut,
    /// It answered that it cannot serve now.
    Unavailable,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectionRefused => "connection refused",
            Self::NameNotResolved => "name not resolved",
            Self::CertificateNotTrusted => "certificate not trusted",
            Self::TimedOut => "timed out",
            Self::Unavailable => "503",
        })
    }
}

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The server is away.
    #[error("the server cannot be reached ({class})")]
    Unreachable {
        /// In which way.
        class: Class,
    },
    /// The server runs without its root key.
    #[error("the server is sealed: load its root key")]
    Sealed,
    /// The server said no.
    #[error("the server refused ({status}): {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// For programs.
        code: Option<ErrorCode>,
        /// For people: what the server lets everybody know.
        text: String,
    },
    /// The API server gave no token to log in with.
    #[error("no token to log in to the server with: {0}")]
    NoToken(String),
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Only a change helps.
    Never,
    /// Again, with growing distance.
    BackOff,
    /// After this long.
    After(Duration),
}

impl ServerError {
    /// The reason as conditions and Events give it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unreachable { .. } | Self::NoToken(_) => Reason::ServerUnreachable,
            Self::Sealed => Reason::ServerSealed,
            Self::Refused { code, .. } => match code {
                Some(ErrorCode::AdoptionRequired) => Reason::AdoptionRequired,
                Some(ErrorCode::KeyInUse) => Reason::KeyInUse,
                Some(ErrorCode::SealedKeyUnknown) => Reason::SealedKeyUnknown,
                Some(ErrorCode::UnsealFailed) => Reason::UnsealFailed,
                Some(ErrorCode::SealedValueOutdated) => Reason::SealedValueOutdated,
                Some(ErrorCode::ValueTooLarge) => Reason::ValueTooLarge,
                Some(ErrorCode::MachineNotFound) => Reason::MachineNotFound,
                Some(ErrorCode::MachineNotActive) => Reason::MachineNotApproved,
                _ => Reason::ServerRefused,
            },
        }
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            // 401 is not logged in: a cluster is trusted a moment after its operator begins to ask.
            Self::Unreachable { .. } | Self::Sealed | Self::NoToken(_) | Self::Refused { status: 401, .. } => {
                Retry::BackOff
            }
            Self::Refused { code: Some(ErrorCode::Superseded), .. } => Retry::After(Duration::from_secs(1)),
            // Only a newer blob helps.
            Self::Refused { code: Some(ErrorCode::SealedValueOutdated), .. } => Retry::After(Duration::from_hours(1)),
            // A person may adopt, unfreeze or allow at the server at any time, and another object may let go of what this one
            // wants, as a key: nothing tells us.
            Self::Refused { status: 403 | 409 | 423, .. } => Retry::After(Duration::from_secs(30)),
            // Only an edit helps, of it or of what it names, which causes another pass by itself; or a newer server. The
            // server keeps a record of each refusal.
            Self::Refused { .. } => Retry::After(Duration::from_hours(1)),
        }
    }

    /// Whether the server is away, so that what is in force stays in force and a change waits.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Sealed | Self::NoToken(_))
    }

    /// Whether the server does not take what it was told, and has nothing newer.
    pub fn is_refusal(&self) -> bool {
        !self.is_away() && !self.is_superseded()
    }

    /// Whether the server has applied a newer generation than the one that was sent.
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Refused { code: Some(ErrorCode::Superseded), .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_an_edit_can_help_is_tried_again_once_an_hour() {
        let refused = |status, code| ServerError::Refused { status, code, text: "no".to_owned() };
        let after = |seconds| Retry::After(Duration::from_secs(seconds));
        for (error, retry) in [
            (refused(400, None), after(3_600)),
            (refused(400, Some(ErrorCode::Unsupported)), after(3_600)),
            (refused(409, Some(ErrorCode::KeyInUse)), after(30)),
            (refused(409, Some(ErrorCode::SealedValueOutdated)), after(3_600)),
            (refused(422, None), after(3_600)),
            (refused(409, Some(ErrorCode::Superseded)), after(1)),
            (refused(409, Some(ErrorCode::AdoptionRequired)), after(30)),
            (refused(409, None), after(30)),
            (refused(403, None), after(30)),
            (refused(423, None), after(30)),
            (ServerError::Sealed, Retry::BackOff),
            (ServerError::Unreachable { class: Class::TimedOut }, Retry::BackOff),
        ] {
            assert_eq!(error.retry(), retry, "{error}");
        }
    }
}
