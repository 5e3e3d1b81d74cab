//! The decision, told rule by rule.

use sikkerkey_protocol::explain::{Rule, RuleSays};

use super::*;

fn told(world: &World) -> Vec<(Rule, RuleSays, String)> {
    let explanation = explain(&world.facts());
    assert_eq!(explanation.allowed, world.verdict().is_ok(), "an explanation never says otherwise than the decision");
    explanation.rules.into_iter().map(|it| (it.rule, it.says, it.message)).collect()
}

#[test]
fn every_rule_tells_how_it_stands() {
    let mut world = world().guarded(PolicyDocument {
        ip_allowlist: Some(vec!["192.0.2.0/24".into(), "10.0.0.0/8".into()]),
        rate_cap: Some(RateCap { per_minute: Some(10), per_day: Some(20), counted_by: CountedBy::Machine }),
        ttl: Some(Ttl { expires_at: Some(at("2026-04-01T00:00:00Z").0), max_reads: Some(9) }),
        rotate_after_reads: Some(5),
        ..window(&WEEKDAYS, "06:00", "18:00", "Europe/Oslo")
    });
    world.counters = Counters { minute: 1, day: 2, total: 3, again: 4 };
    let allows = |rule, text: &str| (rule, RuleSays::Allows, text.to_owned());
    assert_eq!(
        told(&world),
        [
            allows(Rule::Machine, "approved and enabled, until 2026-03-04T13:00:00Z"),
            allows(Rule::Project, "project shop is not frozen"),
            allows(Rule::Grant, "granted by Grant shop/web-db"),
            allows(Rule::Value, "version 3"),
            allows(Rule::Policy, "policy hours is in force, revision 1"),
            allows(Rule::Ttl, "until 2026-04-01T00:00:00Z, 3 of 9 reads are used"),
            allows(Rule::TimeWindow, "open until Wed 18:00 Europe/Oslo"),
            allows(Rule::IpAllowlist, "10.1.2.3 is in 10.0.0.0/8"),
            allows(
                Rule::RateCap,
                "1 of 10 reads in this minute, 2 of 20 reads today, which ends at 2026-03-04T23:00:00Z"
            ),
            (Rule::CoSign, RuleSays::Off, "the policy does not ask for it".to_owned()),
            allows(Rule::RotateAfterReads, "4 of 5 reads of version 3 that count"),
        ]
    );
    // The machine's identity ends before the window closes.
    assert_eq!(explain(&world.facts()).changes_at, Some(at("2026-03-04T13:00:00Z").0));
}

#[test]
fn every_rule_that_denies_is_told_and_the_first_is_what_a_read_hears() {
    let mut world = world().guarded(PolicyDocument {
        ip_allowlist: Some(vec!["192.0.2.0/24".into()]),
        ..window(&WEEKDAYS, "22:00", "23:00", "Europe/Oslo")
    });
    world.project.frozen = true;
    let denies: Vec<_> = told(&world).into_iter().filter(|it| it.1 == RuleSays::Denies).collect();
    let rules: Vec<Rule> = denies.iter().map(|it| it.0).collect();
    assert_eq!(rules, [Rule::Project, Rule::TimeWindow, Rule::IpAllowlist]);
    assert_eq!(denies[0].2, world.verdict().unwrap_err().message);
    let window = explain(&world.facts()).rules.into_iter().find(|it| it.rule == Rule::TimeWindow).unwrap();
    assert_eq!((window.reason, window.until), (Some(Reason::OutsideTimeWindow), Some(at("2026-03-04T21:00:00Z").0)));
}

#[test]
fn a_secret_whose_policy_is_not_in_force_is_locked_by_that_alone() {
    let mut world = world().guarded(PolicyDocument { ip_allowlist: Some(vec![]), ..Default::default() });
    world.missing = true;
    let denies: Vec<_> = told(&world).into_iter().filter(|it| it.1 == RuleSays::Denies).map(|it| it.0).collect();
    assert_eq!(denies, [Rule::Policy]);
}

#[test]
fn the_instant_at_which_time_alone_gives_another_answer_is_told_and_no_other() {
    let cap = |minute| PolicyDocument {
        rate_cap: Some(RateCap { per_minute: Some(minute), per_day: None, counted_by: CountedBy::Machine }),
        ttl: Some(Ttl { expires_at: Some(at("2026-04-01T00:00:00Z").0), max_reads: Some(9) }),
        ..window(&WEEKDAYS, "06:00", "18:00", "Europe/Oslo")
    };
    let told = |document, total, address: &str| {
        let mut world = world().guarded(document);
        world.machine.expires_at = None;
        (world.counters.minute, world.counters.total) = (2, total);
        world.address = address.parse().unwrap();
        explain(&world.facts()).changes_at.map(Millis)
    };
    let elsewhere = PolicyDocument { ip_allowlist: Some(vec!["192.0.2.0/24".into()]), ..cap(9) };
    let table = [
        (cap(9), 0, Some("2026-03-04T17:00:00Z")),
        (cap(2), 0, Some("2026-03-04T12:01:00Z")),
        // Neither the end of the window nor that of the policy brings back reads that are used up, or another address.
        (cap(9), 9, None),
        (elsewhere, 0, None),
    ];
    for (document, total, change) in table {
        assert_eq!(told(document.clone(), total, "10.1.2.3"), change.map(at), "{document:?} {total}");
    }
}
