//! The clocks, as an argument.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::model::millis::Millis;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, by the wall clock, which somebody may set.
    fn now(&self) -> Millis;

    /// How long this has been running, by a clock that nobody can set.
    fn steady(&self) -> Duration;

    /// A shared database says what time it is. Whoever follows it tells that time from now on.
    fn observe(&self, _database: Millis) {}

    /// How far the machine's own clock is from the database's, in milliseconds.
    fn skew(&self) -> i64 {
        0
    }
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    fn now(&self) -> Millis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Duration {
        BEGINNING.elapsed()
    }
}

/// The clock of a shared database, followed by the machine's own: all servers on it decide by the same time.
#[derive(Debug, Default)]
pub struct DatabaseClock<C> {
    own: C,
    /// Milliseconds by which the database is ahead.
    ahead: AtomicI64,
}

impl<C> DatabaseClock<C> {
    /// Follows the database as soon as it has said something; until then, the machine's own clock.
    pub fn new(own: C) -> Self {
        Self { own, ahead: AtomicI64::new(0) }
    }
}

impl<C: Clock> Clock for DatabaseClock<C> {
    fn now(&self) -> Millis {
        Millis(self.own.now().0.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }

    fn steady(&self) -> Duration {
        self.own.steady()
    }

    fn observe(&self, database: Millis) {
        self.ahead.store(database.0.saturating_sub(self.own.now().0), Ordering::Relaxed);
    }

    fn skew(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }
}

/// How far the wall clock may run ahead of the steady one before what cannot be taken back waits.
const LEAP: i64 = 60_000;

/// Keeps a wall clock that leaps ahead (a wrong time source, a machine that was resumed) from doing what cannot be taken
/// back: raising the floor of nonces, ending identities, emptying the trash. Begun when the server begins: a restart is
/// a person's word that the clock is right.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    wall: Millis,
    steady: Duration,
}

impl Anchor {
    /// Begins now.
    pub fn new(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), steady: clock.steady() }
    }

    /// Now, but never further ahead than the steady clock allows.
    pub fn bounded_now(&self, clock: &dyn Clock) -> Millis {
        let passed = clock.steady().saturating_sub(self.steady).as_millis();
        let latest = self.wall.0.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX)).saturating_add(LEAP);
        clock.now().min(Millis(latest))
    }

    /// Whether the wall clock has leapt ahead.
    pub fn has_leapt(&self, clock: &dyn Clock) -> bool {
        self.bounded_now(clock) < clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clocks {
        wall: i64,
        steady: u64,
    }

    impl Clock for Clocks {
        fn now(&self) -> Millis {
            Millis(self.wall)
        }

        fn steady(&self) -> Duration {
            Duration::from_millis(self.steady)
        }
    }

    #[test]
    fn a_wall_clock_that_leaps_is_followed_for_a_minute_and_no_further() {
        let anchor = Anchor::new(&Clocks { wall: 1_000_000, steady: 500 });
        for (wall, steady, bounded, leapt) in [
            (1_005_000, 5_500, 1_005_000, false),
            (1_065_000, 5_500, 1_065_000, false),
            (1_065_001, 5_500, 1_065_000, true),
            (1_000_000 + 86_400_000, 5_500, 1_065_000, true),
            (900_000, 5_500, 900_000, false),
        ] {
            let clocks = Clocks { wall, steady };
            assert_eq!((anchor.bounded_now(&clocks).0, anchor.has_leapt(&clocks)), (bounded, leapt), "{wall}");
        }
    }
}
