//! Instants in a person's words, in the person's zone.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::model::millis::Millis;

/// The longest text that is read.
const LONGEST: usize = 64;

/// Which end of a time it is: a day means its beginning or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// From there on.
    From,
    /// Up to there.
    To,
}

/// Reads an instant: `yesterday`, `2026-03-04`, `2026-03-04 14:30`, `14:30`, `3 hours ago`, or RFC 3339. What names no zone is
/// in this one, and in UTC where there is none of that name.
pub(super) fn instant(text: &str, zone: Option<&str>, now: Millis, end: End) -> Result<i64, String> {
    let text = text.trim();
    let read = if text.len() > LONGEST { None } else { read(text, zone, now, end) };
    read.ok_or_else(|| {
        let text: String = text.chars().take(LONGEST).collect();
        format!(
            "{text:?} is no instant: give a day such as 2026-03-04, a time such as 2026-03-04 14:30 or 14:30, or words such \
             as yesterday and 3 hours ago"
        )
    })
}

fn read(text: &str, zone: Option<&str>, now: Millis, end: End) -> Option<i64> {
    let zone = zone.and_then(|it| TimeZone::get(it).ok()).unwrap_or(TimeZone::UTC);
    let moment = Timestamp::from_millisecond(now.0).ok()?;
    let now = zone.to_datetime(moment);
    let small = text.to_ascii_lowercase();
    let day = |date: Date| {
        let date = if end == End::To { date.tomorrow().ok()? } else { date };
        Some(date.to_datetime(Time::midnight()))
    };
    let is_date = text.len() == "2026-03-04".len();
    let local = match small.as_str() {
        "now" => return Some(moment.as_millisecond()),
        "today" => day(now.date())?,
        "yesterday" => day(now.date().yesterday().ok()?)?,
        _ if is_date && text.parse::<Date>().is_ok() => day(text.parse().ok()?)?,
        _ => {
            if let Ok(exact) = text.parse::<Timestamp>() {
                return Some(exact.as_millisecond());
            }
            let local = || text.parse::<DateTime>().ok();
            let today = || Some(now.date().to_datetime(text.parse::<Time>().ok()?));
            let ago = || now.checked_sub(small.parse::<Span>().ok()?.abs()).ok();
            local().or_else(today).or_else(ago)?
        }
    };
    Some(zone.to_timestamp(local).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-03-04T12:00:00Z, a Wednesday.
    const NOW: Millis = Millis(1_772_625_600_000);

    fn told(text: &str, zone: Option<&str>, end: End) -> String {
        let at = instant(text, zone, NOW, end).unwrap_or_else(|error| panic!("{error}"));
        Timestamp::from_millisecond(at).unwrap().to_string()
    }

    #[test]
    fn words_days_times_and_spans_are_understood() {
        for (text, from, to) in [
            ("2026-03-02", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"),
            ("today", "2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"),
            ("Yesterday", "2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z"),
            ("now", "2026-03-04T12:00:00Z", "2026-03-04T12:00:00Z"),
            ("2026-03-02 14:30", "2026-03-02T14:30:00Z", "2026-03-02T14:30:00Z"),
            ("2026-03-02T14:30:05", "2026-03-02T14:30:05Z", "2026-03-02T14:30:05Z"),
            ("2026-03-02T14:30+02:00", "2026-03-02T12:30:00Z", "2026-03-02T12:30:00Z"),
            ("09:15", "2026-03-04T09:15:00Z", "2026-03-04T09:15:00Z"),
            ("3 hours ago", "2026-03-04T09:00:00Z", "2026-03-04T09:00:00Z"),
            (" 2 days ", "2026-03-02T12:00:00Z", "2026-03-02T12:00:00Z"),
            ("90m", "2026-03-04T10:30:00Z", "2026-03-04T10:30:00Z"),
        ] {
            assert_eq!((told(text, None, End::From), told(text, None, End::To)), (from.into(), to.into()), "{text}");
        }
    }

    #[test]
    fn a_zone_moves_days_and_times_and_no_exact_instant() {
        let oslo = Some("Europe/Oslo");
        assert_eq!(told("today", oslo, End::From), "2026-03-03T23:00:00Z");
        assert_eq!(told("2026-07-01 08:00", oslo, End::From), "2026-07-01T06:00:00Z");
        assert_eq!(told("2026-07-01T08:00Z", oslo, End::From), "2026-07-01T08:00:00Z");
        assert_eq!(told("2026-07-01 08:00", Some("Nowhere/Town"), End::From), "2026-07-01T08:00:00Z");
        // The day on which the clock is set forward has 23 hours.
        assert_eq!(told("2026-03-29", oslo, End::From), "2026-03-28T23:00:00Z");
        assert_eq!(told("2026-03-29", oslo, End::To), "2026-03-29T22:00:00Z");
    }

    #[test]
    fn what_is_not_understood_is_told_with_examples() {
        for text in ["whenever", "2026-13-01", "2026-3-4", "", "1", &"9".repeat(100), "-"] {
            let wrong = instant(text, None, NOW, End::From).unwrap_err();
            assert!(wrong.ends_with("or words such as yesterday and 3 hours ago"), "{text}: {wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_read_or_refused(text in any::<String>(), zone in prop::option::of(any::<String>())) {
            for end in [End::From, End::To] {
                drop(instant(&text, zone.as_deref(), NOW, end));
            }
        }
    }
}
