//! Whether the window of a policy opens at all. The rules of the clock are the server's, which decides each read.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use sikkerkey_crds::access_policy::{Day, TimeWindow};

const WEEK: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
/// No window stays closed for longer: one on a single day, whose opening the clock skips once.
const LONGEST: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Whether the window is open at some instant from `from` until before `end`.
pub(super) fn opens_between(window: &TimeWindow, zone: &TimeZone, from: Timestamp, end: Timestamp) -> bool {
    if end.duration_since(from) > LONGEST {
        return true;
    }
    let today = zone.to_datetime(from).date();
    let starts = (-1..=16).filter_map(|offset| today.checked_add(Span::new().days(offset)).ok());
    let starts = starts.flat_map(|date| instants(zone, date, window.start.minutes()));
    // Where the clock is put forward over the start, the window opens at that moment.
    let jumps = zone.following(from).map(|jump| jump.timestamp()).take_while(|jump| *jump < end);
    let mut candidates = starts.chain(jumps).chain([from]).filter(|instant| (from..end).contains(instant));
    candidates.any(|instant| is_open(window, zone, instant))
}

fn is_open(window: &TimeWindow, zone: &TimeZone, at: Timestamp) -> bool {
    let wall = zone.to_datetime(at);
    let minute = i32::from(wall.hour()) * 60 + i32::from(wall.minute());
    let today = usize::try_from(wall.date().weekday().to_monday_zero_offset()).unwrap_or_default();
    let starts = |day: usize| WEEK.get(day % 7).is_some_and(|day| window.days().contains(day));
    let (start, end) = (i32::from(window.start.minutes()), i32::from(window.end.minutes()));
    if start < end {
        starts(today) && (start..end).contains(&minute)
    } else {
        // What lies after midnight belongs to the day on which the window began.
        (starts(today) && minute >= start) || (starts(today + 6) && minute < end)
    }
}

/// Every instant at which the clock shows `minute` of `date`: one, or two where it is put back.
fn instants(zone: &TimeZone, date: Date, minute: u16) -> impl Iterator<Item = Timestamp> {
    let time = i8::try_from(minute / 60).ok().zip(i8::try_from(minute % 60).ok());
    let time = time.and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
    let shown = time.map(|time| zone.to_ambiguous_timestamp(date.to_datetime(time)));
    shown.map(|shown| [shown.earlier().ok(), shown.later().ok()]).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// 2026-10-18, a week before the clock is put back in Oslo, and three before New York.
    const AUTUMN: i64 = 1_792_281_600;
    /// 2027-03-07, a week before the clock is put forward in New York, and three before Oslo.
    const SPRING: i64 = 1_804_377_600;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        /// The few instants that are looked at tell the same as every minute.
        #[test]
        fn no_minute_at_which_a_window_is_open_is_overlooked(
            days in prop::sample::subsequence(WEEK.to_vec(), 1..=7),
            (start, end) in (0..1_440_u16, 0..=1_440_u16).prop_filter("start and end differ", |(start, end)| start != end),
            zone in prop::sample::select(vec!["UTC", "Europe/Oslo", "America/New_York", "Australia/Lord_Howe"]),
            season in prop::sample::select(vec![AUTUMN, SPRING]),
            (from, minutes) in (0..30 * 1_440_i64, 0..3 * 1_440_i64),
        ) {
            let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let window = json!({"days": days, "start": clock(start), "end": clock(end)});
            let window: TimeWindow = serde_json::from_value(window).unwrap();
            let zone = TimeZone::get(zone).unwrap();
            let at = |minute: i64| Timestamp::from_second(season + (from + minute) * 60).unwrap();
            let expected = (0..minutes).any(|minute| is_open(&window, &zone, at(minute)));
            prop_assert_eq!(opens_between(&window, &zone, at(0), at(minutes)), expected);
        }
    }

    #[test]
    fn a_window_opens_by_the_clock_of_its_zone_or_not_before_the_end() {
        let hours = (json!(["Mon"]), "06:00", "20:00", "Europe/Oslo");
        let night = (json!(["Fri"]), "22:00", "06:00", "UTC");
        // Oslo puts its clock forward on 2027-03-28, a Sunday, from 02:00 to 03:00.
        let skipped = (json!(["Sun"]), "02:10", "02:20", "Europe/Oslo");
        let jumped = (json!(["Sun"]), "02:10", "04:00", "Europe/Oslo");
        for ((days, start, end, zone), from, until, opens) in [
            // 2026-11-24 is a Tuesday; Oslo is an hour ahead.
            (&hours, "2026-11-24T00:00:00Z", "2026-11-30T05:00:00Z", false),
            (&hours, "2026-11-24T00:00:00Z", "2026-11-30T05:00:01Z", true),
            (&hours, "2026-11-30T18:59:59Z", "2026-11-30T19:30:00Z", true),
            (&hours, "2026-11-30T19:00:00Z", "2026-11-30T19:30:00Z", false),
            (&hours, "2026-11-24T00:00:00Z", "2026-12-24T00:00:00Z", true),
            (&night, "2026-11-28T05:59:00Z", "2026-11-28T06:30:00Z", true),
            (&night, "2026-11-28T06:00:00Z", "2026-12-04T22:00:00Z", false),
            (&night, "2026-11-28T06:00:00Z", "2026-12-04T22:00:01Z", true),
            (&skipped, "2027-03-27T00:00:00Z", "2027-04-03T00:00:00Z", false),
            (&skipped, "2027-03-27T00:00:00Z", "2027-04-04T00:10:01Z", true),
            (&jumped, "2027-03-27T00:00:00Z", "2027-03-28T01:00:01Z", true),
            (&jumped, "2027-03-27T00:00:00Z", "2027-03-28T01:00:00Z", false),
        ] {
            let window = serde_json::from_value(json!({"days": days, "start": start, "end": end})).unwrap();
            let zone = TimeZone::get(zone).unwrap();
            let found = opens_between(&window, &zone, from.parse().unwrap(), until.parse().unwrap());
            assert_eq!(found, opens, "{days} {start} {from} {until}");
        }
    }
}
