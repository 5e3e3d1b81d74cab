//! What a policy says, for a person: one sentence for each axis that is on.

use sikkerkey_protocol::policy::{CoSign, CountedBy, Day, PolicyDocument, RateCap, TimeWindow, Ttl};

use super::window::{instant, minutes};
use crate::model::millis::Millis;

/// How many ranges are named before the rest is only counted.
const NAMED_RANGES: usize = 3;
/// The days of a week, as people read them.
pub const DAYS: [(Day, &str); 7] = [
    (Day::Mon, "Mon"),
    (Day::Tue, "Tue"),
    (Day::Wed, "Wed"),
    (Day::Thu, "Thu"),
    (Day::Fri, "Fri"),
    (Day::Sat, "Sat"),
    (Day::Sun, "Sun"),
];

/// The axes that are on, each in words. `approver` is what the co-signer is called.
pub fn words(document: &PolicyDocument, approver: &str) -> Vec<String> {
    let zone = document.time_zone.as_deref().unwrap_or_default();
    let axes = [
        document.time_window.as_ref().map(|it| window(it, zone)),
        document.ip_allowlist.as_deref().map(ranges),
        document.rate_cap.as_ref().map(|it| cap(it, zone)),
        document.co_sign.as_ref().map(|it| co_sign(it, approver)),
        document.ttl.as_ref().map(ttl),
        document.rotate_after_reads.map(|it| format!("a new value after {}", count(it, "read"))),
    ];
    axes.into_iter().flatten().collect()
}

fn window(window: &TimeWindow, zone: &str) -> String {
    let (start, end) = (&window.start, &window.end);
    let is_overnight = minutes(start).zip(minutes(end)).is_some_and(|(start, end)| end < start);
    let until = if is_overnight { " of the next day" } else { "" };
    let time =
        if start == "00:00" && end == "24:00" { "all day".to_owned() } else { format!("{start} to {end}{until}") };
    format!("{}, {time}, {zone}", days(&window.days))
}

/// `every day`, `Mon to Fri`, `Mon, Wed, Fri to Sun`.
fn days(open: &[Day]) -> String {
    let mut runs: Vec<(&str, &str, usize)> = Vec::new();
    let mut is_next = false;
    for (day, name) in DAYS {
        let is_open = open.contains(&day);
        match runs.last_mut().filter(|_| is_open && is_next) {
            Some(run) => (run.1, run.2) = (name, run.2 + 1),
            None if is_open => runs.push((name, name, 1)),
            None => {}
        }
        is_next = is_open;
    }
    let run = |(first, last, length): &(&str, &str, usize)| match length {
        7 => "every day".to_owned(),
        1 => (*first).to_owned(),
        2 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

fn ranges(ranges: &[String]) -> String {
    let named: Vec<&str> = ranges.iter().take(NAMED_RANGES).map(String::as_str).collect();
    let more = match ranges.len().saturating_sub(NAMED_RANGES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("from {}{more}", named.join(", "))
}

fn cap(cap: &RateCap, zone: &str) -> String {
    let minute = cap.per_minute.map(|it| format!("{} a minute", count(it, "read")));
    let day = cap.per_day.map(|it| format!("{} a day ({zone})", count(it, "read")));
    let whose = match cap.counted_by {
        CountedBy::Machine => "by each machine",
        CountedBy::Pod => "by each pod",
    };
    format!("at most {} {whose}", minute.into_iter().chain(day).collect::<Vec<_>>().join(" and "))
}

fn co_sign(terms: &CoSign, approver: &str) -> String {
    format!("after {approver} has approved, for {}", duration(terms.window_seconds))
}

fn ttl(ttl: &Ttl) -> String {
    let end = ttl.expires_at.map(|end| format!("until {}", clock(Millis(end))));
    let reads = ttl.max_reads.map(|most| format!("at most {} of a secret in all", count(most, "read")));
    end.into_iter().chain(reads).collect::<Vec<_>>().join(", ")
}

/// `2027-03-31 18:00 UTC`, with seconds where there are any.
fn clock(at: Millis) -> String {
    let text = instant(at);
    let short = text.strip_suffix(":00Z").or_else(|| text.strip_suffix('Z')).unwrap_or(&text);
    format!("{} UTC", short.replace('T', " "))
}

fn count(number: u32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `30 s`, `10 min`, `1 h 30 min`, `7 d`.
pub fn duration(seconds: u64) -> String {
    let parts = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let told: Vec<String> = parts.iter().filter(|(it, _)| *it > 0).map(|(it, unit)| format!("{it} {unit}")).collect();
    if told.is_empty() { "0 s".to_owned() } else { told.join(" ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(document: Value) -> Vec<String> {
        words(&serde_json::from_value(document).unwrap(), "machine laptop")
    }

    #[test]
    fn every_axis_is_a_sentence_of_its_own() {
        let all = json!({
            "timeZone": "Europe/Oslo", "timeWindow": {"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "start": "08:00", "end": "18:00"},
            "ipAllowlist": ["10.0.0.0/8"], "rateCap": {"perMinute": 1, "perDay": 500, "countedBy": "Machine"},
            "coSign": {"approver": {"machine": "6f1c2b3a-0000-4000-8000-000000000001"}, "windowSeconds": 5400},
            "ttl": {"expiresAt": 1_806_451_200_000_i64, "maxReads": 1000}, "rotateAfterReads": 50,
        });
        assert_eq!(
            told(all),
            [
                "Mon to Fri, 08:00 to 18:00, Europe/Oslo",
                "from 10.0.0.0/8",
                "at most 1 read a minute and 500 reads a day (Europe/Oslo) by each machine",
                "after machine laptop has approved, for 1 h 30 min",
                "until 2027-03-31 00:00 UTC, at most 1000 reads of a secret in all",
                "a new value after 50 reads",
            ]
        );
        assert_eq!(told(json!({})), Vec::<String>::new());
    }

    #[test]
    fn days_that_follow_each_other_are_told_together() {
        let open = |days: Value, start: &str, end: &str| {
            told(json!({"timeZone": "UTC", "timeWindow": {"days": days, "start": start, "end": end}})).remove(0)
        };
        assert_eq!(open(json!(["Fri"]), "22:00", "06:00"), "Fri, 22:00 to 06:00 of the next day, UTC");
        let all = json!(["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]);
        assert_eq!(open(all, "00:00", "24:00"), "every day, all day, UTC");
        assert_eq!(open(json!(["Mon", "Tue", "Thu"]), "01:00", "02:00"), "Mon, Tue, Thu, 01:00 to 02:00, UTC");
        assert_eq!(open(json!(["Mon", "Fri", "Sat", "Sun"]), "01:00", "02:00"), "Mon, Fri to Sun, 01:00 to 02:00, UTC");
    }

    #[test]
    fn many_ranges_are_counted() {
        let ranges = json!(["10.0.0.0/8", "192.0.2.0/24", "fd00::/8", "198.51.100.0/24", "203.0.113.0/24"]);
        assert_eq!(told(json!({"ipAllowlist": ranges})), ["from 10.0.0.0/8, 192.0.2.0/24, fd00::/8 and 2 more"]);
        assert_eq!(told(json!({"ttl": {"expiresAt": 1_806_451_207_000_i64}})), ["until 2027-03-31 00:00:07 UTC"]);
        let each = json!({"perMinute": 3, "countedBy": "Pod"});
        assert_eq!(told(json!({"rateCap": each})), ["at most 3 reads a minute by each pod"]);
    }

    #[test]
    fn durations_name_no_unit_that_is_nothing() {
        for (seconds, text) in
            [(0, "0 s"), (30, "30 s"), (600, "10 min"), (604_800, "7 d"), (90_061, "1 d 1 h 1 min 1 s")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
