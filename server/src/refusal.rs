//! Why a request is not done. Knows no HTTP: one file there maps [`RefusalKind`] to a status.

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::error_body::ErrorCode;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The class, from which the status follows.
    pub kind: RefusalKind,
    /// Text for the client: what is wrong and what to do. No internals, no secrets.
    pub message: String,
    /// For a program, on the operator's routes.
    pub code: Option<ErrorCode>,
    /// Of a denied read: why.
    pub denial: Option<DenialReason>,
    /// When it may be tried again, in seconds.
    pub retry_after_seconds: Option<u64>,
}

/// Classes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request is malformed or asks for something impossible: 400.
    Invalid,
    /// Bad or stale signature, replay, unknown or expired machine, bad token: 401.
    Unauthenticated,
    /// Known, but not allowed: 403.
    Forbidden,
    /// No such thing for this client: 404.
    NotFound,
    /// In conflict with what is there: 409.
    Conflict,
    /// The project is frozen: 423.
    Frozen,
    /// Locked out, or a cap is reached: 429.
    TooMany,
    /// Sealed, or the database is away: 503. Nothing else may be: SDKs retry it and serve cached values.
    Unavailable,
}

impl Refusal {
    /// A refusal with a class and a text.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, denial: None, retry_after_seconds: None }
    }

    /// Adds a code for programs.
    #[must_use]
    pub fn code(mut self, code: ErrorCode) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds when it may be tried again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds the reason of a denied read.
    #[must_use]
    pub fn denial(mut self, reason: DenialReason) -> Self {
        self.denial = Some(reason);
        self
    }
}

/// The request is malformed or asks for something impossible.
pub fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Invalid, message)
}

/// Bad token, or nobody known.
pub fn unauthenticated(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Unauthenticated, message)
}

/// No such thing for this client.
pub fn not_found(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::NotFound, message)
}

/// In conflict with what is there.
pub fn conflict(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Conflict, message)
}
