//! How much waits for the writer, and for how long it would.
//!
//! A server that takes more than it can write answers everybody late: clients give up after some seconds and ask again,
//! and the work for those who have given up is lost. So reads that would wait too long are refused before they cost
//! anything, and one signer never has more than a part of the queue.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::MAX_GROUP;
use super::QUEUE;
use super::task::Parts;
use crate::clock::Clock;
use crate::floods::Floods;
use crate::ledger::ActivityKind;
use crate::metrics::{Metrics, ShedCause};
use crate::refusal::{Refusal, RefusalKind};

/// Reads that would wait longer are refused. Official clients give up after 15 s.
const TOO_LONG: Duration = Duration::from_secs(3);
/// Beyond it reads are refused, so that changes, revocations above all, find a place.
const FULL: usize = QUEUE - QUEUE / 8;
/// The part of the queue that one signer may have.
const SHARE: usize = QUEUE / 4;
/// Of how many requests the time of a group is an average.
const SMOOTHING: u64 = 16;

/// How much waits for the writer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pressure(Arc<Inner>);

struct Inner {
    beginning: Instant,
    /// Requests that wait for their answer.
    waiting: AtomicUsize,
    /// Since the beginning, in microseconds: when the writer was last known to get on.
    progress: AtomicU64,
    /// Microseconds that one group takes. What is written together costs hardly more than one alone, so this times the
    /// groups ahead is the wait, and not the time of one request times the requests.
    group: AtomicU64,
    by_signer: Mutex<HashMap<String, usize>>,
    floods: Arc<Floods>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

/// One request that waits. Dropped when it is answered, or when nobody waits for the answer any more.
pub(super) struct Waiting {
    pressure: Pressure,
    signer: Option<String>,
    begun: u64,
    ahead: usize,
}

impl Pressure {
    pub(super) fn new(parts: &Parts) -> Self {
        Self::with(Arc::clone(&parts.floods), Arc::clone(&parts.metrics), Arc::clone(&parts.clock))
    }

    fn with(floods: Arc<Floods>, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            beginning: Instant::now(),
            waiting: AtomicUsize::new(0),
            progress: AtomicU64::new(0),
            group: AtomicU64::new(0),
            by_signer: Mutex::default(),
            floods,
            metrics,
            clock,
        }))
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Whether a read had better not wait.
    pub(super) fn is_too_much(&self) -> bool {
        let waiting = self.waiting();
        if waiting == 0 {
            return false;
        }
        let estimate = self.0.group.load(Ordering::Relaxed).saturating_mul(groups(waiting));
        // A writer that hangs gives no answer from which one could estimate.
        let stuck = self.now().saturating_sub(self.0.progress.load(Ordering::Relaxed));
        waiting >= FULL || Duration::from_micros(estimate.max(stuck)) >= TOO_LONG
    }

    /// Takes a place in the queue.
    pub(super) fn enter(&self, signer: Option<&str>) -> Result<Waiting, Refusal> {
        if let Some(signer) = signer {
            let mut by_signer = self.0.by_signer.lock().unwrap_or_else(PoisonError::into_inner);
            match by_signer.get_mut(signer) {
                Some(SHARE..) => {
                    self.0.metrics.count_shed(ShedCause::Share);
                    self.0.floods.count(ActivityKind::RateLimited, self.0.clock.now(), signer);
                    return Err(too_many());
                }
                Some(count) => *count += 1,
                None => drop(by_signer.insert(signer.to_owned(), 1)),
            }
        }
        let begun = self.now();
        let ahead = self.0.waiting.fetch_add(1, Ordering::Relaxed);
        if ahead == 0 {
            self.0.progress.store(begun, Ordering::Relaxed);
        }
        Ok(Waiting { pressure: self.clone(), signer: signer.map(str::to_owned), begun, ahead })
    }

    /// Refuses a read that would have to wait too long. Counted: each answer stands somewhere.
    pub(super) fn shed(&self, address: IpAddr) -> Refusal {
        self.0.metrics.count_shed(ShedCause::Writer);
        self.0.floods.count(ActivityKind::Overloaded, self.0.clock.now(), &address.to_string());
        overloaded()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.beginning.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Waiting {
    /// The writer has answered.
    pub(super) fn answered(self) {
        let (now, inner) = (self.pressure.now(), &self.pressure.0);
        inner.progress.store(now, Ordering::Relaxed);
        let group = now.saturating_sub(self.begun) / groups(self.ahead);
        let before = inner.group.load(Ordering::Relaxed);
        // Two at once may overwrite each other: it is an estimate.
        inner.group.store((before * (SMOOTHING - 1) + group) / SMOOTHING, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pressure.0.waiting.fetch_sub(1, Ordering::Relaxed);
        let Some(signer) = &self.signer else { return };
        let mut by_signer = self.pressure.0.by_signer.lock().unwrap_or_else(PoisonError::into_inner);
        match by_signer.get_mut(signer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(by_signer.remove(signer)),
        }
    }
}

/// In how many groups so many are written, and the one that is under way.
fn groups(waiting: usize) -> u64 {
    u64::try_from(waiting / MAX_GROUP + 1).unwrap_or(u64::MAX)
}

/// What a client hears whose read would have to wait too long.
pub(crate) fn overloaded() -> Refusal {
    let text = "the server has more to do than it can at the moment: nothing was done; try again";
    Refusal::new(RefusalKind::Unavailable, text).retry_after(1)
}

fn too_many() -> Refusal {
    let text = "too many requests of this machine wait for their answer: send fewer at once";
    Refusal::new(RefusalKind::TooMany, text).retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn pressure() -> Pressure {
        Pressure::with(Arc::default(), Arc::default(), Arc::new(SystemClock))
    }

    #[tokio::test(start_paused = true)]
    async fn one_signer_has_a_part_of_the_queue_and_the_others_theirs() {
        let pressure = pressure();
        let mut places: Vec<_> = (0..SHARE).map(|_| pressure.enter(Some("loop")).unwrap()).collect();
        let refusal = pressure.enter(Some("loop")).err().unwrap();
        assert_eq!((refusal.kind, refusal.retry_after_seconds), (RefusalKind::TooMany, Some(1)));
        let counted: Vec<_> = pressure.0.floods.take().into_iter().map(|(key, it)| (key.kind, it.count)).collect();
        assert_eq!(counted, [(ActivityKind::RateLimited, 1)]);
        places.push(pressure.enter(Some("web")).unwrap());
        places.push(pressure.enter(None).unwrap());
        assert_eq!(pressure.waiting(), SHARE + 2);
        drop(places.remove(0));
        places.push(pressure.enter(Some("loop")).unwrap());
        drop(places);
        assert_eq!((pressure.waiting(), pressure.0.by_signer.lock().unwrap().len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_wait_too_long_is_too_much() {
        let pressure = pressure();
        assert!(!pressure.is_too_much());
        // A writer that takes 400 ms for a group, whether one asks or many: eight groups are three seconds.
        for _ in 0..200 {
            let one = pressure.enter(None).unwrap();
            tokio::time::advance(Duration::from_millis(400)).await;
            one.answered();
        }
        let mut places: Vec<_> = (0..6 * MAX_GROUP).map(|_| pressure.enter(None).unwrap()).collect();
        assert!(!pressure.is_too_much());
        places.extend((0..2 * MAX_GROUP).map(|_| pressure.enter(None).unwrap()));
        assert!(pressure.is_too_much());
        drop(places);
        assert!(!pressure.is_too_much());
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_hangs_is_too_much_and_an_idle_one_is_not() {
        let pressure = pressure();
        tokio::time::advance(Duration::from_hours(1)).await;
        let one = pressure.enter(None).unwrap();
        assert!(!pressure.is_too_much());
        tokio::time::advance(Duration::from_millis(2_999)).await;
        assert!(!pressure.is_too_much());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(pressure.is_too_much());
        drop(one);
        assert!(!pressure.is_too_much());
    }

    #[tokio::test(start_paused = true)]
    async fn changes_find_a_place_where_reads_do_not() {
        let pressure = pressure();
        let places: Vec<_> = (0..FULL).map(|_| pressure.enter(None).unwrap()).collect();
        assert!(pressure.is_too_much());
        assert!(pressure.enter(Some("agent")).is_ok());
        drop(places);
    }
}
