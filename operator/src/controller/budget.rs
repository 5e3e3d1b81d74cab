//! So many writes in a second, and a few more that were saved up.

use std::sync::{Mutex, PoisonError};

use k8s_openapi::jiff::Timestamp;

/// A budget of writes. What is not used is saved up, to a bound.
#[derive(Debug)]
pub struct Budget {
    /// Time for each write, in milliseconds.
    cost: i64,
    /// So much time may be saved up, in milliseconds.
    saved: i64,
    /// Until when it is spent, in Unix milliseconds.
    spent_until: Mutex<i64>,
}

impl Budget {
    /// One write in each `cost` milliseconds, and at most `saved` milliseconds of them at once.
    pub fn new(cost: i64, saved: i64) -> Self {
        Self { cost, saved, spent_until: Mutex::default() }
    }

    /// Takes one write, if one is left.
    pub fn take(&self, now: Timestamp) -> bool {
        let now = now.as_millisecond();
        let mut spent_until = self.spent_until.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is spent in the future, unless the clock was put back.
        *spent_until = (*spent_until).min(now);
        let next = (*spent_until).max(now - self.saved) + self.cost;
        let is_left = next <= now;
        if is_left {
            *spent_until = next;
        }
        is_left
    }
}
