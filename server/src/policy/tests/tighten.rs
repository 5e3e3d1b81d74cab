//! What counts as looser, and that nothing looser passes for tighter.

use proptest::prelude::*;

use sikkerkey_protocol::co_sign::CoSignVerdict;

use super::consent::{approver, boss, request};
use super::properties::{documents, instants};
use super::*;
use crate::model::co_sign::Answer;

fn whole() -> PolicyDocument {
    PolicyDocument {
        time_zone: Some("Europe/Oslo".into()),
        time_window: Some(hours(&[Day::Mon, Day::Fri], "22:00", "06:00")),
        ip_allowlist: Some(vec!["10.0.0.0/9".into(), "10.128.0.0/9".into(), "2001:db8::/32".into()]),
        rate_cap: Some(RateCap { per_minute: Some(10), per_day: Some(100), counted_by: CountedBy::Machine }),
        co_sign: Some(CoSign { approver: hq(), window_seconds: 600 }),
        ttl: Some(Ttl { expires_at: Some(at(NOW).0), max_reads: Some(1000) }),
        rotate_after_reads: Some(50),
    }
}

fn hours(days: &[Day], start: &str, end: &str) -> TimeWindow {
    TimeWindow { days: days.to_vec(), start: start.into(), end: end.into() }
}

fn hq() -> Approver {
    Approver::Object(ObjectKey { namespace: "hq".into(), name: "boss".into() })
}

fn cap(document: &mut PolicyDocument) -> &mut RateCap {
    document.rate_cap.as_mut().unwrap()
}

type Edit = fn(&mut PolicyDocument);

#[test]
fn the_axis_that_would_be_looser_is_named() {
    let table: [(Edit, &str); 22] = [
        (|it| it.ttl = None, "ttl.expiresAt would be gone"),
        (|it| it.ttl.as_mut().unwrap().expires_at = None, "ttl.expiresAt would be gone"),
        (
            |it| it.ttl.as_mut().unwrap().expires_at = Some(at(NOW).0 + 1000),
            "ttl.expiresAt would be 2026-03-04T12:00:01Z, and is 2026-03-04T12:00:00Z",
        ),
        (|it| it.ttl.as_mut().unwrap().max_reads = None, "ttl.maxReads would be gone"),
        (|it| it.ttl.as_mut().unwrap().max_reads = Some(1001), "ttl.maxReads would be 1001, and is 1000"),
        (|it| it.time_window = None, "timeWindow would be gone"),
        (|it| it.time_zone = Some("UTC".into()), "timeWindow would be in time zone UTC, and is in Europe/Oslo"),
        (
            |it| it.time_window = Some(hours(&[Day::Mon, Day::Fri], "21:59", "06:00")),
            "timeWindow would be open on Monday at 21:59, and is closed then",
        ),
        (
            // The small hours belong to the day before.
            |it| it.time_window = Some(hours(&[Day::Tue], "00:00", "06:01")),
            "timeWindow would be open on Tuesday at 06:00, and is closed then",
        ),
        (
            |it| it.time_window = Some(hours(&[Day::Sun], "22:00", "06:00")),
            "timeWindow would be open on Monday at 00:00, and is closed then",
        ),
        (|it| it.ip_allowlist = None, "ipAllowlist would be gone"),
        (
            |it| it.ip_allowlist = Some(vec!["10.0.0.0/8".into(), "10.0.0.0/7".into()]),
            "ipAllowlist would have 10.0.0.0/7, which is not in the present ranges",
        ),
        (
            |it| it.ip_allowlist = Some(vec!["::ffff:11.0.0.0/104".into()]),
            "ipAllowlist would have ::ffff:11.0.0.0/104, which is not in the present ranges",
        ),
        (
            |it| it.ip_allowlist = Some(vec!["::/0".into()]),
            "ipAllowlist would have ::/0, which is not in the present ranges",
        ),
        (|it| it.rate_cap = None, "rateCap would be gone"),
        (
            |it| cap(it).counted_by = CountedBy::Pod,
            "rateCap.countedBy would be Pod, and is Machine: each pod would have the whole cap",
        ),
        (|it| cap(it).per_minute = Some(11), "rateCap.perMinute would be 11, and is 10"),
        (|it| cap(it).per_day = None, "rateCap.perDay would be gone"),
        (|it| it.co_sign = None, "coSign would be gone"),
        (
            |it| {
                it.co_sign.as_mut().unwrap().approver =
                    Approver::Machine("00000000-0000-0000-0000-000000000001".parse().unwrap());
            },
            "coSign would ask another machine",
        ),
        (
            |it| it.co_sign.as_mut().unwrap().window_seconds = 601,
            "coSign would take an approval for 601 s, and takes it for 600 s",
        ),
        (|it| it.rotate_after_reads = None, "rotateAfterReads would be gone"),
    ];
    for (edit, text) in table {
        let mut new = whole();
        edit(&mut new);
        assert_eq!(loosens(&whole(), &new).as_deref(), Some(text));
    }
    // The day that a cap counts is one of the zone, with a window or without.
    let daily = PolicyDocument { time_window: None, ..whole() };
    let moved = PolicyDocument { time_zone: Some("UTC".into()), ..daily.clone() };
    let text = "rateCap.perDay would be in time zone UTC, and is in Europe/Oslo";
    assert_eq!(loosens(&daily, &moved).as_deref(), Some(text));
    let rotating = PolicyDocument { rotate_after_reads: Some(51), ..whole() };
    assert_eq!(loosens(&whole(), &rotating).as_deref(), Some("rotateAfterReads would be 51, and is 50"));
}

#[test]
fn what_cannot_be_compared_counts_as_looser() {
    let unreadable: [(Edit, &str); 3] = [
        (|it| it.time_zone = Some("Mars/Olympus".into()), "timeWindow cannot be compared with the present one"),
        (
            |it| it.time_window.as_mut().unwrap().start = "late".into(),
            "timeWindow cannot be compared with the present one",
        ),
        (|it| it.ip_allowlist = Some(vec!["anywhere".into()]), "ipAllowlist cannot be compared with the present one"),
    ];
    for (spoil, text) in unreadable {
        let mut old = whole();
        spoil(&mut old);
        assert_eq!(
            loosens(&old, &PolicyDocument { time_zone: old.time_zone.clone(), ..whole() }).as_deref(),
            Some(text)
        );
    }
}

#[test]
fn what_is_tighter_or_the_same_passes() {
    let table: [Edit; 14] = [
        |_| (),
        |it| it.ttl.as_mut().unwrap().expires_at = Some(0),
        |it| it.ttl.as_mut().unwrap().max_reads = Some(1),
        |it| it.time_window = Some(hours(&[Day::Fri], "22:00", "24:00")),
        |it| it.time_window = Some(hours(&[Day::Tue, Day::Sat], "00:00", "06:00")),
        // Made up of two neighbours, and written as IPv6.
        |it| it.ip_allowlist = Some(vec!["10.0.0.0/8".into()]),
        |it| it.ip_allowlist = Some(vec!["::ffff:10.0.0.0/112".into(), "2001:db8:1::/48".into()]),
        |it| it.ip_allowlist.as_mut().unwrap().truncate(1),
        |it| cap(it).per_minute = Some(1),
        |it| cap(it).per_day = Some(100),
        |it| it.co_sign.as_mut().unwrap().window_seconds = 30,
        |it| it.rotate_after_reads = Some(1),
        |it| (it.time_window, it.time_zone) = (it.time_window.take(), it.time_zone.take()),
        |it| it.rate_cap = Some(RateCap { per_minute: Some(10), per_day: Some(1), counted_by: CountedBy::Machine }),
    ];
    for (n, edit) in table.into_iter().enumerate() {
        let mut new = whole();
        edit(&mut new);
        assert_eq!(loosens(&whole(), &new), None, "{n}");
        // Whatever axis it is, one that was not there before only takes away.
        assert_eq!(loosens(&PolicyDocument::default(), &new), None, "{n}");
    }
    let by_pod = RateCap { per_minute: Some(10), per_day: None, counted_by: CountedBy::Pod };
    let by_machine = RateCap { counted_by: CountedBy::Machine, ..by_pod.clone() };
    let document = |cap| PolicyDocument { rate_cap: Some(cap), ..Default::default() };
    assert_eq!(loosens(&document(by_pod), &document(by_machine)), None);
}

/// Two documents that have some axes in common, so that one is often the tighter.
fn pairs() -> impl Strategy<Value = (PolicyDocument, PolicyDocument)> {
    (documents(), documents(), proptest::array::uniform6(any::<bool>())).prop_map(|(old, other, same)| {
        let [zone, window, ranges, cap, ttl, consent] = same;
        let pick = |keep: bool| if keep { old.clone() } else { other.clone() };
        let new = PolicyDocument {
            time_zone: pick(zone).time_zone,
            time_window: pick(window).time_window,
            ip_allowlist: pick(ranges).ip_allowlist,
            rate_cap: pick(cap).rate_cap,
            ttl: pick(ttl).ttl,
            co_sign: pick(consent).co_sign,
            ..Default::default()
        };
        (old, new)
    })
}

proptest! {
    /// The fence itself: what passes for tighter permits nothing that was denied.
    #[test]
    fn whatever_a_tightened_policy_permits_the_old_one_permits(
        (old, new) in pairs(),
        now in instants(),
        reads in 0u64..5,
        is_approved in any::<bool>(),
        address in proptest::sample::select(vec!["10.1.2.3", "10.200.0.1", "192.0.2.9", "2001:db8::1", "::ffff:10.1.0.9"]),
    ) {
        if loosens(&old, &new).is_none() {
            let verdict = |document| {
                let mut world = world().guarded(document);
                (world.now, world.machine.expires_at) = (now, None);
                world.address = address.parse().unwrap();
                if is_approved {
                    let until = now.plus_seconds(60);
                    let answer = Answer { by: approver().id, at: now, verdict: CoSignVerdict::Approved, until };
                    world.request = Some(request(&world, Some(answer)));
                }
                world.co_signer = Some(boss());
                world.approved_by = Some(Machine { expires_at: None, ..approver() });
                world.counters = Counters { minute: reads, day: reads, total: reads, again: 0 };
                world.verdict().is_ok()
            };
            prop_assert!(!verdict(new) || verdict(old));
        }
    }

    /// Windows are told apart exactly: looser is what has an open minute more, and nothing else.
    #[test]
    fn a_window_is_looser_exactly_when_a_minute_of_the_week_says_so(old in documents(), new in documents()) {
        let utc = |document: PolicyDocument| PolicyDocument {
            time_zone: Some("UTC".into()),
            time_window: document.time_window.filter(|it| it.start != it.end),
            ..Default::default()
        };
        let (old, new) = (utc(old), utc(new));
        let (Some(was), Some(is)) = (window::Window::of(&old).unwrap(), window::Window::of(&new).unwrap()) else {
            return Ok(());
        };
        let monday = at("2026-06-15T00:00:00Z").0;
        let opens = (0..7 * 1440).map(|it| Millis(monday + it * 60_000)).any(|it| is.is_open(it) && !was.is_open(it));
        prop_assert_eq!(loosens(&old, &new).is_some(), opens);
    }

    #[test]
    fn a_policy_is_no_looser_than_itself_and_tighter_is_transitive((a, b) in pairs(), c in documents()) {
        prop_assume!(a.time_window.as_ref().is_none_or(|it| it.start != it.end));
        prop_assert_eq!(loosens(&a, &a), None);
        if loosens(&a, &b).is_none() && loosens(&b, &c).is_none() {
            prop_assert_eq!(loosens(&a, &c), None);
        }
    }
}
