use std::net::IpAddr;

use sikkerkey_protocol::denial::DenialReason as Reason;
use sikkerkey_protocol::explain::RuleSays;
use sikkerkey_protocol::kubernetes::*;
use sikkerkey_protocol::policy::{Day, PolicyDocument, TimeWindow};

use crate::audit::entry::Action;
use crate::ledger::Seen;
use crate::model::Entity;
use crate::refusal::Refusal;
use crate::usecase::explain::{self, Question};
use crate::usecase::fixture::*;

fn identity(name: &str) -> ObjectIdentity {
    ObjectIdentity { key: object(name, 1).key, uid: format!("{name}-1") }
}

fn question() -> ExplainRead {
    ExplainRead {
        machine: identity("web"),
        secret: identity("db"),
        pod_uid: None,
        address: None,
        asked_by: "jane\u{1b}[2J".into(),
    }
}

fn ask(bench: &mut Bench, cluster: &str, question: ExplainRead) -> Result<ReadExplained, Refusal> {
    let agent = Bench::agent(cluster);
    bench.run(|it| super::super::explain::explain(it, &agent, source(), question))
}

/// The reasons of the rules that deny.
fn denials(bench: &mut Bench) -> Vec<Reason> {
    let explanation = ask(bench, "prod", question()).unwrap().explanation.unwrap();
    let denying = explanation.rules.into_iter().filter(|it| it.says == RuleSays::Denies);
    let reasons: Vec<Reason> = denying.filter_map(|it| it.reason).collect();
    assert_eq!(explanation.allowed, reasons.is_empty());
    reasons
}

fn populated() -> Bench {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    bench
}

#[test]
fn what_denies_is_told_and_what_lifts_it_is_seen_at_once() {
    let mut bench = populated();
    assert_eq!(denials(&mut bench), [Reason::NotGranted]);
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    assert_eq!(denials(&mut bench), []);

    // 12:00 on a Wednesday.
    let window = TimeWindow { days: vec![Day::Mon], start: "06:00".into(), end: "18:00".into() };
    let closed = PolicyDocument { time_zone: Some("UTC".into()), time_window: Some(window), ..Default::default() };
    bench.apply_policy(ApplyPolicy { object: object("hours", 1), policy: closed }).unwrap();
    let mut guarded = generated("db");
    guarded.object.generation = 2;
    guarded.policy = Some("hours".into());
    bench.apply_secret(guarded).unwrap();
    assert_eq!(denials(&mut bench), [Reason::OutsideTimeWindow]);

    let mut suspended = workload("web");
    (suspended.object.generation, suspended.suspended) = (2, true);
    bench.apply_machine(suspended).unwrap();
    assert_eq!(denials(&mut bench), [Reason::MachineSuspended, Reason::OutsideTimeWindow]);
    assert_eq!(bench.actions(), [Action::ManagementRead]);
    assert_eq!(bench.audit[0].detail, "why Machine shop/web may read shop/db or not, asked by \"jane\\u{1b}[2J\"");
    assert_eq!(bench.changes, 0);
}

#[test]
fn an_object_that_is_not_held_and_one_that_is_another_are_the_same() {
    let mut bench = populated();
    let mut other_secret = question();
    other_secret.secret.uid = "db-2".into();
    let mut other_machine = question();
    other_machine.machine.uid = "web-2".into();
    let mut nothing = question();
    (nothing.machine, nothing.secret) = (identity("nothing"), identity("nothing"));
    for (question, not_held) in [
        (other_secret, vec![Kind::Secret]),
        (other_machine, vec![Kind::Machine]),
        (nothing, vec![Kind::Machine, Kind::Secret]),
    ] {
        let told = ask(&mut bench, "prod", question).unwrap();
        assert_eq!(told, ReadExplained { not_held, enrolled: None, explanation: None });
    }
    let told = ask(&mut bench, "test", question()).unwrap();
    assert_eq!(told.not_held, [Kind::Machine, Kind::Secret], "of another cluster nothing is told");
    // A value that is kept for a Secret to come is nobody's to ask about.
    bench.delete(deleted(Kind::Secret, "db")).unwrap();
    assert_eq!(ask(&mut bench, "prod", question()).unwrap().not_held, [Kind::Secret]);
}

#[test]
fn a_pod_is_asked_about_as_itself() {
    let mut bench = populated();
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    bench.enrol("p1", 7);
    for (uid, enrolled) in [(Some("p1"), Some(true)), (Some("p2"), Some(false)), (None, None)] {
        let told = ask(&mut bench, "prod", ExplainRead { pod_uid: uid.map(str::to_owned), ..question() }).unwrap();
        assert_eq!(told.enrolled, enrolled);
        assert!(told.explanation.unwrap().allowed);
    }
}

#[test]
fn a_live_machine_is_explained_before_one_that_has_ended_and_then_the_last_that_was_seen() {
    let mut bench = populated();
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    let [first, second, ended] = [("p1", 7), ("p2", 8), ("p3", 9)].map(|(uid, n)| bench.enrol(uid, n));
    for (registered, seconds) in [(&second, 10), (&first, 20), (&ended, 30)] {
        let seen = Seen { at: bench.now.plus_seconds(seconds), address: None };
        bench.ledger.record_seen(&registered.machine_id, seen);
    }
    let mut machine = bench.machine(&ended).unwrap().clone();
    machine.enabled = false;
    bench.put(Entity::Machine(machine));
    let asked = Question { machine: "shop/web", secret: "shop/db", address: None, vault: None };
    let at_the_server = explain::explain(&bench.state, &bench.ledger, bench.now, &asked).unwrap();
    let by_the_operator = ask(&mut bench, "prod", question()).unwrap().explanation.unwrap();
    for told in [at_the_server, by_the_operator] {
        assert!(told.allowed);
    }
    let fleet = bench.state.fleet_of("prod", &object("web", 1).key).unwrap();
    let explained = explain::member(&bench.state, &bench.ledger, fleet, bench.now).unwrap();
    assert_eq!(explained.id, first.machine_id);
}

#[test]
fn a_policy_that_looks_at_addresses_is_asked_with_one() {
    let mut bench = populated();
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    bench.apply_policy(allowlist("office", "10.0.0.0/8")).unwrap();
    let mut guarded = generated("db");
    (guarded.object.generation, guarded.policy) = (2, Some("office".into()));
    bench.apply_secret(guarded).unwrap();
    refused(
        ask(&mut bench, "prod", question()),
        crate::refusal::RefusalKind::Invalid,
        None,
        "shop/web (no pod yet) was never seen, and the policy looks at its address: give one",
    );
    for (address, allowed) in [("10.1.2.3", true), ("192.0.2.1", false)] {
        let address: IpAddr = address.parse().unwrap();
        let told = ask(&mut bench, "prod", ExplainRead { address: Some(address), ..question() }).unwrap();
        assert_eq!(told.explanation.unwrap().allowed, allowed);
    }
}
