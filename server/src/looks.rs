//! Who looked at what a moment ago: a page that stays open asks again and again, and is written down once in a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::millis::Millis;

/// A look is written down again after so many seconds.
const SECONDS: u64 = 10 * 60;
/// How many looks are remembered. What is forgotten is written down again.
const MOST: usize = 10_000;

/// Looks that are written down in the audit.
#[derive(Default)]
pub struct Looks(Mutex<HashMap<(String, String), Millis>>);

impl Looks {
    /// Whether a look of this session is written down. `page` is what tells it from others, and short.
    pub fn is_known(&self, session: &str, page: &str, now: Millis) -> bool {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = looks.get(&(session.to_owned(), page.to_owned()));
        at.is_some_and(|it| now < it.plus_seconds(SECONDS))
    }

    /// It was written down.
    pub fn remember(&self, session: &str, page: &str, now: Millis) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= MOST {
            looks.retain(|_, at| now < at.plus_seconds(SECONDS));
        }
        if looks.len() >= MOST {
            looks.clear();
        }
        looks.insert((session.to_owned(), page.to_owned()), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_known_for_ten_minutes_to_its_own_session_at_its_own_page() {
        let looks = Looks::default();
        looks.remember("s", "/p", Millis(0));
        let at = |seconds| Millis(0).plus_seconds(seconds);
        assert!(looks.is_known("s", "/p", at(599)));
        assert!(!looks.is_known("s", "/p", at(600)));
        assert!(!looks.is_known("t", "/p", at(0)));
        assert!(!looks.is_known("s", "/q", at(0)));
    }

    #[test]
    fn what_is_too_much_to_remember_is_written_down_again() {
        let looks = Looks::default();
        for page in 0..=MOST {
            looks.remember("s", &page.to_string(), Millis(0));
        }
        assert!(!looks.is_known("s", "0", Millis(1)));
        assert!(looks.is_known("s", &MOST.to_string(), Millis(1)));
    }
}
