//! Requests that are counted instead of audited one by one.

use crate::model::millis::Millis;

/// Requests that are counted instead of audited one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActivityKind {
    /// Lists of secrets and projects.
    List,
    /// Polls.
    Poll,
    /// Syncs that a sidecar began.
    Sync,
    /// Requests refused before anything about them was verified, beyond those that were audited.
    Unauthenticated,
    /// Requests refused because the address or machine is locked out.
    LockedOut,
    /// Requests that no route could understand: nothing was asked that could be audited.
    Malformed,
    /// Requests refused because their signer asked too often.
    RateLimited,
    /// Requests refused because the server had too much to do, or could not reach or write its database.
    Overloaded,
    /// Public sealing keys that were fetched.
    SealingKey,
    /// Scripts with which hosts begin that were fetched.
    BootstrapScript,
}

impl ActivityKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::List,
        Self::Poll,
        Self::Sync,
        Self::Unauthenticated,
        Self::LockedOut,
        Self::RateLimited,
        Self::Overloaded,
        Self::Malformed,
        Self::SealingKey,
        Self::BootstrapScript,
    ];

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// The name in the database and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Poll => "poll",
            Self::Sync => "sync",
            Self::Unauthenticated => "unauthenticated",
            Self::LockedOut => "locked_out",
            Self::Malformed => "malformed",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::SealingKey => "sealing_key",
            Self::BootstrapScript => "bootstrap_script",
        }
    }
}

/// Kind and minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActivityKey {
    /// Minutes since the epoch.
    pub minute: i64,
    /// What was asked.
    pub kind: ActivityKind,
}

impl ActivityKey {
    /// The minute of `now`.
    pub fn at(kind: ActivityKind, now: Millis) -> Self {
        Self { minute: now.0.div_euclid(60_000), kind }
    }
}

/// How often, with the first and the last example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// How often in that minute.
    pub count: u64,
    /// Who was the first.
    pub first: String,
    /// Who was the last.
    pub last: String,
}

impl Activity {
    /// One by `who`.
    pub fn by(who: String) -> Self {
        Self { count: 1, first: who.clone(), last: who }
    }

    /// Adds what came later.
    pub fn add(&mut self, later: Self) {
        self.count += later.count;
        self.last = later.last;
    }
}
