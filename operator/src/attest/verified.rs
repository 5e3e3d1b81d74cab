//! Tokens that the API server has vouched for a short while ago: whoever reports again costs no review.
//!
//! For reports alone. Nothing is vouched for on its word, and whether the pod is still there is looked at each time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sikkerkey_protocol::canonical::sha256_hex;
use tokio::time::Instant;

use super::claimant::Claimant;

/// How long the API server's word is good.
const GOOD_FOR: Duration = Duration::from_mins(1);
/// How many are remembered at once. Beyond it, newcomers are not.
const REMEMBERED: usize = 4096;

/// Tokens by their hashes, with whose they are.
#[derive(Debug, Default)]
pub struct Verified {
    known: Mutex<HashMap<String, (Claimant, Instant)>>,
}

impl Verified {
    /// Whose the token is, if that was said a short while before `now`.
    pub fn find(&self, token: &str, now: Instant) -> Option<Claimant> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (claimant, until) = known.get(&sha256_hex(token.as_bytes()))?;
        (now < *until).then(|| claimant.clone())
    }

    /// The API server has said at `now` whose the token is.
    pub fn remember(&self, token: &str, claimant: &Claimant, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() < REMEMBERED {
            known.insert(sha256_hex(token.as_bytes()), (claimant.clone(), now + GOOD_FOR));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(uid: &str) -> Claimant {
        Claimant {
            namespace: "shop".into(),
            service_account: "web".into(),
            pod: "web-1".into(),
            uid: uid.into(),
            node: None,
        }
    }

    #[test]
    fn a_token_is_known_for_a_minute_and_no_other_is() {
        let (verified, start) = (Verified::default(), Instant::now());
        verified.remember("a", &claimant("p-1"), start);
        for (token, after, expected) in [
            ("a", Duration::ZERO, Some("p-1")),
            ("a", GOOD_FOR.checked_sub(Duration::from_millis(1)).unwrap(), Some("p-1")),
            ("a", GOOD_FOR, None),
            ("b", Duration::ZERO, None),
        ] {
            let found = verified.find(token, start + after).map(|it| it.uid);
            assert_eq!(found.as_deref(), expected, "{token} {after:?}");
        }
    }

    #[test]
    fn many_tokens_do_not_grow_memory_and_old_ones_make_room() {
        let (verified, start) = (Verified::default(), Instant::now());
        for n in 0..REMEMBERED + 10 {
            verified.remember(&n.to_string(), &claimant("p"), start);
        }
        assert_eq!(verified.known.lock().unwrap().len(), REMEMBERED);
        assert!(verified.find(&REMEMBERED.to_string(), start).is_none());
        verified.remember("new", &claimant("p"), start + GOOD_FOR);
        assert_eq!(verified.known.lock().unwrap().len(), 1);
    }
}
