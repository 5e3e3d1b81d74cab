//! When to do what. Pure: the instants and the random numbers are arguments.

use std::time::Duration;

use sikkerkey_protocol::sync::MAX_WAIT_SECONDS;

use crate::clock::UnixMillis;

/// The longest pause between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The range of the first pause.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// No pause is shorter: a server that fails at once is not asked in a tight loop.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
/// The longest pause that a server's `Retry-After` can impose.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);
/// The longest pause that a server can impose between two questions.
const MAX_PAUSE: Duration = Duration::from_mins(5);
/// The first pause after an answer that was neither news nor held: a server that does not hold is not asked in a tight
/// loop. Each further one doubles it.
const UNHELD_PAUSE: Duration = Duration::from_secs(1);

/// Files never count as stale sooner: one slow answer is not a server that is away.
const MIN_STALENESS: Duration = Duration::from_secs(5);

/// Nor later: an instant beyond it may not exist.
const MAX_STALENESS: Duration = Duration::from_hours(10 * 365 * 24);

/// How long files stay while the server is away.
pub fn staleness(max_staleness_seconds: u64) -> Duration {
    Duration::from_secs(max_staleness_seconds).clamp(MIN_STALENESS, MAX_STALENESS)
}

/// When to renew an identity that ends at `expires_at` (0: never): after 60 to 70 percent of what remains, so that pods
/// that started together do not renew together and a third of the lifetime is left for trying again.
pub fn renewal(now: UnixMillis, expires_at: UnixMillis, jitter: u64) -> Option<UnixMillis> {
    if expires_at == 0 {
        return None;
    }
    let remaining = u64::try_from(expires_at.saturating_sub(now)).unwrap_or(0);
    let share = 600 + jitter % 101;
    let delay = (remaining / 1000).saturating_mul(share).max(1000);
    Some(now.saturating_add_unsigned(delay))
}

/// How long to wait after `failures` failures in a row: a random time up to a bound that doubles, and never less than
/// what the server asked for.
pub fn backoff(failures: u32, jitter: u64, retry_after: Option<Duration>) -> Duration {
    let bound = FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(MAX_BACKOFF);
    let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    let own = Duration::from_millis(jitter % (millis + 1)).max(MIN_BACKOFF);
    match retry_after {
        // Those who were sent away together do not come back together.
        Some(asked) => asked.min(MAX_RETRY_AFTER) + own,
        None => own,
    }
}

/// How long the server may hold its answer. A held answer is silence, so it must end before the files count as stale and
/// when the identity is due for renewal.
pub fn wait_seconds(max_staleness: Duration, until_renewal: Option<Duration>) -> u32 {
    let longest = Duration::from_secs(u64::from(MAX_WAIT_SECONDS)).min(max_staleness / 2);
    let bound = until_renewal.map_or(longest, |left| longest.min(left));
    u32::try_from(bound.as_secs()).unwrap_or(MAX_WAIT_SECONDS)
}

/// Whether an answer that took `took` was held, when the server might hold it for `waited` seconds (`None`: it was wanted
/// at once).
pub fn was_held(waited: Option<u32>, took: Duration) -> bool {
    waited.is_none_or(|seconds| seconds > 0 && took >= Duration::from_secs(u64::from(seconds)) / 2)
}

/// How long to pause after an answer. The server says so; what it says is bounded, and a server that neither holds its
/// answers nor has news, `idle` times in a row, is asked less and less often.
pub fn pause(next_sync_millis: u64, was_news: bool, idle: u32) -> Duration {
    let asked = Duration::from_millis(next_sync_millis).min(MAX_PAUSE);
    if was_news {
        asked.max(MIN_BACKOFF)
    } else if idle == 0 {
        asked
    } else {
        asked.max(UNHELD_PAUSE.saturating_mul(1 << (idle - 1).min(16)).min(MAX_BACKOFF))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn an_identity_is_renewed_at_two_thirds_of_its_life() {
        for (expires_at, jitter, at) in [
            (HOUR, 0, Some(2_160_000)),
            (HOUR, 67, Some(2_401_200)),
            (HOUR, 100, Some(2_520_000)),
            (HOUR, 101, Some(2_160_000)),
            (0, 5, None),
        ] {
            assert_eq!(renewal(0, expires_at, jitter), at, "{expires_at} {jitter}");
        }
    }

    #[test]
    fn an_identity_that_has_ended_is_renewed_in_a_second() {
        assert_eq!(renewal(2 * HOUR, HOUR, 7), Some(2 * HOUR + 1000));
        assert_eq!(renewal(HOUR, HOUR, 7), Some(HOUR + 1000));
    }

    #[test]
    fn a_retry_waits_longer_each_time_up_to_a_bound() {
        let longest = |failures| backoff(failures, u64::MAX - u64::MAX % 2, None);
        for (failures, jitter, millis) in
            [(1, 200, 200), (1, 201, 50), (2, 400, 400), (3, 800, 800), (8, 25_600, 25_600), (9, 30_000, 30_000)]
        {
            assert_eq!(backoff(failures, jitter, None), Duration::from_millis(millis), "{failures}");
        }
        assert!(longest(u32::MAX) <= MAX_BACKOFF);
        assert_eq!(backoff(0, 0, None), MIN_BACKOFF);
    }

    #[test]
    fn a_retry_never_comes_before_the_server_wants_it() {
        assert_eq!(backoff(1, 100, Some(Duration::from_secs(30))), Duration::from_millis(30_100));
        let bounded = backoff(1, 100, Some(Duration::from_hours(24)));
        assert_eq!(bounded, MAX_RETRY_AFTER + Duration::from_millis(100));
    }

    #[test]
    fn a_held_answer_ends_before_the_files_are_stale_and_when_renewal_is_due() {
        let seconds = Duration::from_secs;
        for (staleness, renewal, wait) in [
            (86_400, None, 55),
            (86_400, Some(600), 55),
            (86_400, Some(9), 9),
            (86_400, Some(0), 0),
            (30, None, 15),
            (30, Some(4), 4),
            (5, None, 2),
        ] {
            assert_eq!(wait_seconds(seconds(staleness), renewal.map(seconds)), wait, "{staleness} {renewal:?}");
        }
    }

    #[test]
    fn files_are_stale_neither_at_once_nor_beyond_the_calendar() {
        for (asked, seconds) in [(0, 5), (5, 5), (6, 6), (86_400, 86_400), (u64::MAX, 315_360_000)] {
            assert_eq!(staleness(asked), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn the_server_decides_the_pause_within_bounds() {
        for (asked, was_news, idle, pause_millis) in [
            (0, false, 0, 0),
            (300, false, 0, 300),
            (0, false, 1, 1000),
            (5000, false, 1, 5000),
            (0, false, 2, 2000),
            (0, false, 5, 16_000),
            (0, false, 6, 30_000),
            (0, false, u32::MAX, 30_000),
            (0, true, 0, 50),
            (200, true, 0, 200),
            (u64::MAX, true, 0, 300_000),
        ] {
            assert_eq!(pause(asked, was_news, idle), Duration::from_millis(pause_millis), "{asked} {was_news} {idle}");
        }
    }

    #[test]
    fn an_answer_was_held_when_it_took_at_least_half_of_what_it_could() {
        for (waited, took, held) in [
            (Some(55), 55_000, true),
            (Some(55), 27_500, true),
            (Some(55), 27_499, false),
            (Some(55), 3, false),
            (Some(0), 3, false),
            (None, 3, true),
        ] {
            assert_eq!(was_held(waited, Duration::from_millis(took)), held, "{waited:?} {took}");
        }
    }

    proptest! {
        #[test]
        fn an_identity_that_lives_is_renewed_before_it_ends(
            now in 0i64..4_000_000_000_000, life in 3000i64..40_000_000_000, jitter: u64,
        ) {
            let at = renewal(now, now + life, jitter).unwrap();
            prop_assert!(now < at && at < now + life);
        }

        #[test]
        fn a_pause_is_always_bounded(failures: u32, jitter: u64, retry_after in proptest::option::of(0u64..u64::MAX)) {
            let pause = backoff(failures, jitter, retry_after.map(Duration::from_secs));
            prop_assert!(pause >= MIN_BACKOFF && pause <= MAX_RETRY_AFTER + MAX_BACKOFF);
        }
    }
}
