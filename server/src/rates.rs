//! How often one machine or agent may ask.
//!
//! A pod that reads in a loop must not fill the audit's disk, nor keep others from their turn. Only requests whose
//! signature verified count, so nobody can use up another's share by sending in its name.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A rate, and how much of it may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second. Zero: as many as they like.
    pub per_second: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_second: 200 }
    }
}

/// At once, as seconds of the rate.
const BURST: u32 = 2;
/// An operator speaks for all pods of its cluster.
const AGENT: u32 = 10;
/// A person asks at most as often, a second: pages cost more than a read.
const PERSON: u32 = 50;
/// Signers remembered before those are looked for that have used nothing for a while.
const TIDY: usize = 1_000;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A machine.
    Machine,
    /// An agent.
    Agent,
    /// A person, with all sessions of the account together.
    Person,
}

/// How often each signer has asked lately.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rate: Rate,
    /// When all that was asked would have been asked, had it come at the rate ("generic cell rate algorithm").
    asked: HashMap<String, Duration>,
    tidied: usize,
}

impl Rates {
    /// Puts another rate in force.
    pub fn set(&self, rate: Rate) {
        self.lock().rate = rate;
    }

    /// Whether `signer` may ask at `now`, by a clock that nobody sets. If not, after how long it may.
    pub fn check(&self, now: Duration, asker: Asker, signer: &str) -> Result<(), Duration> {
        let inner = self.lock();
        inner.next(now, asker, signer).map(drop)
    }

    /// Counts a request of `signer`, if it may ask.
    pub fn take(&self, now: Duration, asker: Asker, signer: &str) -> Result<(), Duration> {
        let mut inner = self.lock();
        let Some(next) = inner.next(now, asker, signer)? else { return Ok(()) };
        if let Some(asked) = inner.asked.get_mut(signer) {
            *asked = next;
            return Ok(());
        }
        if inner.asked.len() >= TIDY.max(2 * inner.tidied) {
            inner.asked.retain(|_, asked| *asked > now);
            inner.tidied = inner.asked.len();
        }
        inner.asked.insert(signer.to_owned(), next);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What to remember of one more request. None: nothing is counted.
    fn next(&self, now: Duration, asker: Asker, signer: &str) -> Result<Option<Duration>, Duration> {
        let per_second = match asker {
            Asker::Machine => self.rate.per_second,
            Asker::Agent => self.rate.per_second.saturating_mul(AGENT),
            Asker::Person => self.rate.per_second.min(PERSON),
        };
        let Some(each) = Duration::from_secs(1).checked_div(per_second) else { return Ok(None) };
        let burst = Duration::from_secs(u64::from(BURST));
        let next = self.asked.get(signer).copied().unwrap_or_default().max(now) + each;
        match next.checked_sub(now + burst) {
            None | Some(Duration::ZERO) => Ok(Some(next)),
            Some(wait) => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rates: &Rates, now: Duration, asker: Asker, signer: &str) -> usize {
        (0..100_000).take_while(|_| rates.take(now, asker, signer).is_ok()).count()
    }

    #[test]
    fn a_person_asks_less_often_than_a_machine() {
        let rates = Rates::default();
        let now = Duration::from_secs(1_000);
        assert_eq!(taken(&rates, now, Asker::Machine, "m"), 400);
        assert_eq!(taken(&rates, now, Asker::Person, "p"), 100);
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let rates = Rates::default();
        let now = Duration::from_secs(1000);
        assert_eq!(taken(&rates, now, Asker::Machine, "a"), 400);
        assert_eq!(rates.check(now, Asker::Machine, "a"), Err(Duration::from_millis(5)));
        assert_eq!(rates.check(now, Asker::Machine, "b"), Ok(()));
        assert_eq!(taken(&rates, now + Duration::from_millis(100), Asker::Machine, "a"), 20);
        assert_eq!(taken(&rates, now + Duration::from_secs(1), Asker::Machine, "a"), 180);
        assert_eq!(taken(&rates, now + Duration::from_hours(1), Asker::Machine, "a"), 400);
        assert_eq!(taken(&rates, now, Asker::Agent, "operator"), 4000);
    }

    #[test]
    fn looking_counts_nothing_and_zero_is_no_limit() {
        let rates = Rates::default();
        for _ in 0..1000 {
            assert_eq!(rates.check(Duration::ZERO, Asker::Machine, "a"), Ok(()));
        }
        assert_eq!(taken(&rates, Duration::ZERO, Asker::Machine, "a"), 400);
        rates.set(Rate { per_second: 0 });
        assert_eq!(taken(&rates, Duration::ZERO, Asker::Machine, "a"), 100_000);
    }

    #[test]
    fn whoever_has_not_asked_for_long_is_forgotten() {
        let rates = Rates::default();
        for n in 0..100_000_u64 {
            rates.take(Duration::from_millis(n), Asker::Machine, &n.to_string()).unwrap();
        }
        assert!(rates.lock().asked.len() <= TIDY + 1, "{}", rates.lock().asked.len());
    }
}
