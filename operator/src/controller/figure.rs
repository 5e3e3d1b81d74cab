//! Figures of the server as a status holds them.

use k8s_openapi::jiff::Timestamp;
use sikkerkey_crds::Time;

/// A count that fits; a larger one shows as the largest.
pub fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// A large count.
pub fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An instant, from Unix milliseconds, to the second: a status shows no more.
pub fn time(millis: Option<i64>) -> Option<Time> {
    Timestamp::from_second(millis?.div_euclid(1_000)).ok().map(Time)
}

/// An instant of a spec, in Unix milliseconds.
pub fn millis(time: &Time) -> i64 {
    time.0.as_millisecond()
}

/// `now`, to the second.
pub fn second(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
