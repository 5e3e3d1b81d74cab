//! What holds of every policy, whatever it says.

use proptest::prelude::*;
use sikkerkey_protocol::co_sign::CoSignVerdict;

use super::*;
use crate::model::co_sign::Answer;

pub(super) fn documents() -> impl Strategy<Value = PolicyDocument> {
    let time = |last| (0u16..last).prop_map(|it| format!("{:02}:{:02}", it / 60, it % 60));
    let days = proptest::sample::subsequence(EVERY_DAY.to_vec(), 1..=7);
    let window = (days, time(1440), time(1441)).prop_map(|(days, start, end)| TimeWindow { days, start, end });
    let ranges = proptest::sample::subsequence(vec!["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "::/0"], 0..4);
    let zone =
        proptest::sample::select(vec!["UTC", "Europe/Oslo", "America/New_York", "Pacific/Chatham", "Asia/Kathmandu"]);
    (
        zone,
        proptest::option::of(window),
        proptest::option::of(ranges.prop_map(|it| it.into_iter().map(str::to_owned).collect::<Vec<_>>())),
        proptest::option::of((proptest::option::of(1u32..4), proptest::option::of(1u32..4), any::<bool>())),
        proptest::option::of((proptest::option::of(0i64..4), proptest::option::of(1u32..4))),
        proptest::option::of(Just(co_sign(600))),
    )
        .prop_map(|(zone, time_window, ip_allowlist, cap, ttl, co_sign)| PolicyDocument {
            co_sign,
            time_zone: Some(zone.into()),
            time_window,
            ip_allowlist,
            rate_cap: cap.map(|(per_minute, per_day, by_pod)| RateCap {
                per_minute,
                per_day,
                counted_by: if by_pod { CountedBy::Pod } else { CountedBy::Machine },
            }),
            ttl: ttl
                .map(|(day, max_reads)| Ttl { expires_at: day.map(|it| at(NOW).0 + (it - 2) * 86_400_000), max_reads }),
            ..Default::default()
        })
}

pub(super) fn instants() -> impl Strategy<Value = Millis> {
    // The four weeks around each change of the clock in 2026, and plain days.
    let days = proptest::sample::select(vec![
        "2026-03-08",
        "2026-03-29",
        "2026-04-05",
        "2026-09-27",
        "2026-10-25",
        "2026-11-01",
        "2026-06-15",
    ]);
    (days, -4320i64..4320).prop_map(|(day, minute)| Millis(at(&format!("{day}T00:00:00Z")).0 + minute * 60_000))
}

/// What a policy is put into.
#[derive(Clone, Debug)]
struct Moment {
    now: Millis,
    reads: u64,
    /// Whether a request was left.
    is_asked: bool,
    /// Until when it is approved, in milliseconds from now.
    approved: Option<i64>,
}

fn moments() -> impl Strategy<Value = Moment> {
    let approved = proptest::option::of(-600_000i64..600_000);
    (instants(), 0u64..5, any::<bool>(), approved).prop_map(|(now, reads, is_asked, approved)| Moment {
        now,
        reads,
        is_asked,
        approved,
    })
}

impl Moment {
    fn of(&self, document: PolicyDocument) -> World {
        let mut world = world().guarded(document);
        (world.now, world.machine.expires_at) = (self.now, None);
        world.counters = Counters { minute: self.reads, day: self.reads, total: self.reads, again: self.reads };
        world.co_signer = Some(consent::boss());
        world.approved_by = Some(Machine { expires_at: None, ..consent::approver() });
        world.request = self.is_asked.then(|| {
            let answer = self.approved.map(|until| Answer {
                by: consent::approver().id,
                at: self.now,
                verdict: CoSignVerdict::Approved,
                until: Millis(self.now.0 + until),
            });
            consent::request(&world, answer)
        });
        world
    }
}

proptest! {
    /// Against a model that knows only whole date-times: an occurrence begins on a day of the list and lasts until its end.
    #[test]
    fn a_window_is_open_exactly_while_the_wall_clock_is_in_an_occurrence(document in documents(), now in instants()) {
        prop_assume!(document.time_window.as_ref().is_some_and(|it| it.start != it.end));
        let parsed = window::Window::of(&document).unwrap().unwrap();
        let spec = document.time_window.as_ref().unwrap();
        let zone = jiff::tz::TimeZone::get(document.time_zone.as_deref().unwrap()).unwrap();
        let wall = zone.to_datetime(jiff::Timestamp::from_millisecond(now.0).unwrap());
        let time = |text: &str| text.parse::<jiff::civil::Time>().unwrap();
        let end = |date: jiff::civil::Date| match spec.end.as_str() {
            "24:00" => date.tomorrow().unwrap().to_datetime(time("00:00")),
            end if spec.start.as_str() < end => date.to_datetime(time(end)),
            end => date.tomorrow().unwrap().to_datetime(time(end)),
        };
        let occurs = [wall.date(), wall.date().yesterday().unwrap()].into_iter().any(|date| {
            let named = spec.days.iter().any(|it| *it as i8 == date.weekday().to_monday_zero_offset());
            named && date.to_datetime(time(&spec.start)) <= wall && wall < end(date)
        });
        prop_assert_eq!(parsed.is_open(now), occurs);
    }

    #[test]
    fn nothing_changes_before_the_next_change(document in documents(), now in instants()) {
        prop_assume!(document.time_window.as_ref().is_some_and(|it| it.start != it.end));
        let parsed = window::Window::of(&document).unwrap().unwrap();
        let open = parsed.is_open(now);
        let change = parsed.next_change(now);
        let end = change.unwrap_or(Millis(now.0 + 8 * 86_400_000));
        let mut minute = now.0;
        while minute < end.0 {
            prop_assert_eq!(parsed.is_open(Millis(minute)), open, "{}", minute);
            minute += 60_000;
        }
        if let Some(change) = change {
            prop_assert_eq!(parsed.is_open(change), !open);
            prop_assert_eq!(parsed.is_open(Millis(change.0 - 1)), open);
        }
    }

    #[test]
    fn adding_an_axis_never_widens(all in documents(), keep in proptest::array::uniform5(any::<bool>()), moment in moments()) {
        let fewer = PolicyDocument {
            time_zone: all.time_zone.clone(),
            time_window: all.time_window.clone().filter(|_| keep[0]),
            ip_allowlist: all.ip_allowlist.clone().filter(|_| keep[1]),
            rate_cap: all.rate_cap.clone().filter(|_| keep[2]),
            ttl: all.ttl.clone().filter(|_| keep[3]),
            co_sign: all.co_sign.clone().filter(|_| keep[4]),
            ..Default::default()
        };
        prop_assert!(moment.of(fewer).verdict().is_ok() || moment.of(all).verdict().is_err());
    }

    /// Each axis by itself, in whatever order: the policy permits what all of them permit, and tells the first that denies.
    #[test]
    fn a_policy_permits_what_each_of_its_axes_permits(all in documents(), moment in moments()) {
        let zone = || PolicyDocument { time_zone: all.time_zone.clone(), ..Default::default() };
        let axes = [
            PolicyDocument { time_window: all.time_window.clone(), ..zone() },
            PolicyDocument { ip_allowlist: all.ip_allowlist.clone(), ..zone() },
            PolicyDocument { rate_cap: all.rate_cap.clone(), ..zone() },
            PolicyDocument { ttl: all.ttl.clone(), ..zone() },
            PolicyDocument { co_sign: all.co_sign.clone(), ..zone() },
        ];
        let each = axes.into_iter().all(|axis| moment.of(axis).verdict().is_ok());
        let world = moment.of(all);
        prop_assert_eq!(world.verdict().is_ok(), each);
        let explained = explain(&world.facts());
        prop_assert_eq!(explained.allowed, each);
        let first = explained.rules.into_iter().find(|it| it.says == sikkerkey_protocol::explain::RuleSays::Denies);
        prop_assert_eq!(first.map(|it| it.message), world.verdict().err().map(|it| it.message));
    }

    #[test]
    fn more_reads_never_open_what_fewer_closed(all in documents(), moment in moments(), more in 1u64..5) {
        let fewer = moment.of(all);
        let mut later = fewer.clone();
        later.counters.minute += more;
        later.counters.day += more;
        later.counters.total += more;
        prop_assert!(fewer.verdict().is_ok() || later.verdict().is_err());
    }

    /// With nothing but time going by, the decision stays what it is until the instant that is told, and to the millisecond.
    #[test]
    fn time_alone_changes_nothing_before_the_instant_that_is_told(all in documents(), moment in moments(), part in 0i64..=1000) {
        let world = moment.of(all);
        let now = world.now;
        let change = changes_at(&world.facts());
        let end = change.unwrap_or(Millis(now.0 + 15 * 86_400_000));
        prop_assert!(end > now);
        let at = |instant: i64| World { now: Millis(instant), ..world.clone() }.verdict().is_ok();
        prop_assert_eq!(at(now.0 + (end.0 - 1 - now.0) / 1000 * part), at(now.0));
        prop_assert_eq!(at(end.0 - 1), at(now.0));
    }

    #[test]
    fn revoking_a_grant_never_widens(ends in proptest::collection::vec(proptest::option::of(-2i64..3), 0..5), drop in 0usize..5) {
        let mut many = world();
        let template = many.grants[0].clone();
        many.grants = ends.iter().enumerate().map(|(i, end)| Grant {
            id: format!("g{i}"),
            expires_at: end.map(|it| Millis(many.now.0 + it)),
            ..template.clone()
        }).collect();
        let mut fewer = many.clone();
        if drop < fewer.grants.len() { fewer.grants.remove(drop); }
        prop_assert!(many.verdict().is_ok() || fewer.verdict().is_err());
        let live = many.grants.iter().filter(|it| it.expires_at.is_none_or(|end| many.now < end)).count();
        prop_assert_eq!(many.verdict().map_or(0, |it| it.grants().len()), live);
    }

    /// Whatever stands in a document, a decision comes out, and one that cannot be put in force lets nothing through.
    #[test]
    fn any_document_is_decided_and_a_wrong_one_denies(
        zone in prop_oneof![Just("Europe/Oslo".to_owned()), ".{0,12}"],
        start in prop_oneof![Just("00:00".to_owned()), "[0-9:]{0,6}"],
        end in prop_oneof![Just("24:00".to_owned()), "[0-9:]{0,6}"],
        range in prop_oneof![Just("10.0.0.0/8".to_owned()), "[0-9a-f:./]{0,14}"],
    ) {
        let document = PolicyDocument {
            time_zone: Some(zone),
            time_window: Some(TimeWindow { days: EVERY_DAY.to_vec(), start, end }),
            ip_allowlist: Some(vec![range]),
            ..Default::default()
        };
        let permitted = world().guarded(document.clone()).verdict().is_ok();
        prop_assert!(!permitted || check(&document).is_ok());
    }

    /// What is told of time is so: the answer is another one from then on, and none before.
    #[test]
    fn the_told_instant_is_the_first_with_another_answer(all in documents(), moment in moments(), part in 0i64..=1000) {
        let mut world = moment.of(all);
        // Counters begin anew with their minute and day, which the world of a test does not know.
        world.counters = Counters::default();
        let now = world.now;
        let at = |instant: i64| World { now: Millis(instant), ..world.clone() }.verdict().is_ok();
        if let Some(end) = explain(&world.facts()).changes_at {
            prop_assert!(end > now.0);
            prop_assert_eq!(at(end), !at(now.0));
            prop_assert_eq!(at(now.0 + (end - 1 - now.0) / 1000 * part), at(now.0));
        }
    }
}
