//! What keeps the server from being ready.

use std::sync::atomic::{AtomicU32, Ordering};

/// What can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The database does not take writes.
    DatabaseWrites,
    /// The clock differs from the database's by more than 10 s.
    Clock,
    /// The root key is not there.
    RootKey,
    /// The server is about to end.
    Ending,
}

impl Missing {
    /// Everything that can be missing.
    pub const ALL: [Self; 4] = [Self::DatabaseWrites, Self::Clock, Self::RootKey, Self::Ending];

    /// The name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DatabaseWrites => "database_writes",
            Self::Clock => "clock",
            Self::RootKey => "root_key",
            Self::Ending => "ending",
        }
    }

    /// What a person reads.
    pub fn text(self) -> &'static str {
        match self {
            Self::DatabaseWrites => "the database does not take writes: nothing is answered until it does",
            Self::Clock => "the clock is more than 10 s away from the database's: set it right",
            Self::RootKey => "the server is sealed: it waits for its root key",
            Self::Ending => "the server is about to end",
        }
    }

    fn bit(self) -> u32 {
        1 << match self {
            Self::DatabaseWrites => 0,
            Self::Clock => 1,
            Self::RootKey => 2,
            Self::Ending => 3,
        }
    }
}

/// What keeps the server from being ready. Whoever finds out about one of them sets it, from anywhere.
#[derive(Debug, Default)]
pub struct Health(AtomicU32);

impl Health {
    /// Says whether it is missing.
    pub fn set(&self, what: Missing, is_missing: bool) {
        if is_missing {
            self.0.fetch_or(what.bit(), Ordering::Relaxed);
        } else {
            self.0.fetch_and(!what.bit(), Ordering::Relaxed);
        }
    }

    /// What is missing.
    pub fn missing(&self) -> Vec<Missing> {
        let bits = self.0.load(Ordering::Relaxed);
        Missing::ALL.into_iter().filter(|it| bits & it.bit() != 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_listed_until_it_is_there() {
        let health = Health::default();
        assert_eq!(health.missing(), []);
        for what in Missing::ALL {
            health.set(what, true);
        }
        assert_eq!(health.missing(), Missing::ALL);
        health.set(Missing::Clock, false);
        health.set(Missing::Clock, false);
        assert_eq!(health.missing(), [Missing::DatabaseWrites, Missing::RootKey, Missing::Ending]);
    }
}
