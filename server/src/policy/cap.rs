//! What a cap counts together: the minutes and the days.

use sikkerkey_protocol::policy::PolicyDocument;

use super::window::{start_of_day, time_zone};
use crate::model::millis::Millis;

/// A stretch of time, its end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first instant.
    pub start: Millis,
    /// The first instant after it.
    pub end: Millis,
}

/// The minute of the clock around `now`.
pub fn minute_of(now: Millis) -> Period {
    let start = now.0.div_euclid(60_000).saturating_mul(60_000);
    Period { start: Millis(start), end: Millis(start.saturating_add(60_000)) }
}

/// The day of the policy's time zone around `now`: 23 or 25 hours long where the clock is put forward or back. The error
/// says what is wrong with the zone.
pub fn day_of(document: &PolicyDocument, now: Millis) -> Result<Period, String> {
    let zone = time_zone(document)?;
    Ok(Period { start: start_of_day(&zone, now, 0)?, end: start_of_day(&zone, now, 1)? })
}
