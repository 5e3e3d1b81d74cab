//! Logins that go on.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::millis::Millis;

/// After so many seconds without a request a session ends.
pub const IDLE_SECONDS: u64 = 30 * 60;
/// A session ends this many seconds after the login, whatever is done with it.
pub const LIFE_SECONDS: u64 = 12 * 3600;
/// The last request is written down at most once in so many seconds. What is not written down counts as not done: a
/// session ends up to a minute early, never late, also after a restart and on whatever server of several.
pub const WRITTEN_SECONDS: u64 = 60;
/// For so many seconds after a person has proven who they are, they may change how they prove it.
pub const FRESH_SECONDS: u64 = 10 * 60;

/// A login that goes on. Its token is known to the person's browser alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// What it is listed and revoked by. No secret.
    pub id: String,
    /// Hex SHA-256 of its token.
    pub hash: String,
    /// Whose.
    pub account: String,
    /// When the person logged in.
    pub since: Millis,
    /// When the person last proved who they are.
    pub proven_at: Millis,
    /// When its last request was written down.
    pub used_at: Millis,
    /// Where it began.
    pub address: IpAddr,
    /// What it began with: the browser's own word, shortened.
    pub user_agent: String,
    /// Whether a second factor was asked for and given.
    pub second_factor: bool,
}

impl Session {
    /// When it ends unless it is used, not included.
    pub fn ends_at(&self) -> Millis {
        self.used_at.plus_seconds(IDLE_SECONDS).min(self.since.plus_seconds(LIFE_SECONDS))
    }

    /// Whether it is over.
    pub fn has_ended(&self, now: Millis) -> bool {
        self.ends_at() <= now
    }

    /// Whether the person proved who they are only just now.
    pub fn is_fresh(&self, now: Millis) -> bool {
        now < self.proven_at.plus_seconds(FRESH_SECONDS)
    }

    /// The session after a request at `now`, if that has to be written down.
    pub fn used(&self, now: Millis) -> Option<Self> {
        (self.used_at.plus_seconds(WRITTEN_SECONDS) <= now).then(|| Self { used_at: now, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            id: "s".into(),
            hash: "h".into(),
            account: "a".into(),
            since: Millis(0),
            proven_at: Millis(0),
            used_at: Millis(0),
            address: [192, 0, 2, 1].into(),
            user_agent: String::new(),
            second_factor: false,
        }
    }

    #[test]
    fn a_session_ends_after_half_an_hour_of_rest_and_after_half_a_day_of_work() {
        let at = |seconds| Millis(0).plus_seconds(seconds);
        for (used, now, ended) in [
            (0, 30 * 60 - 1, false),
            (0, 30 * 60, true),
            (29 * 60, 30 * 60, false),
            (12 * 3600 - 60, 12 * 3600 - 1, false),
            (12 * 3600 - 60, 12 * 3600, true),
        ] {
            let session = Session { used_at: at(used), ..session() };
            assert_eq!(session.has_ended(at(now)), ended, "used at {used}, now {now}");
        }
    }

    #[test]
    fn the_last_request_is_written_down_once_a_minute() {
        let at = |seconds| Millis(0).plus_seconds(seconds);
        assert_eq!(session().used(at(59)), None);
        assert_eq!(session().used(at(60)).map(|it| it.used_at), Some(at(60)));
    }

    #[test]
    fn a_proof_is_fresh_for_ten_minutes() {
        let at = |seconds| Millis(0).plus_seconds(seconds);
        assert!(session().is_fresh(at(599)));
        assert!(!session().is_fresh(at(600)));
    }
}
