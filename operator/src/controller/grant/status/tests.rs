#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use serde_json::{Value, json};
use sikkerkey_crds::condition::{Condition, ConditionStatus, ConditionType, find};
use sikkerkey_crds::received::Received;

use super::*;
use crate::controller::fixture::{Pass, away, grant, now};
use crate::controller::grant::gather::Facts;
use crate::controller::plan::Reconciled;

fn state(more: Value) -> GrantState {
    let mut state = json!({
        "machineId": "67e55044-10b1-426f-9247-bb680e5fe0c8", "granted": ["a", "b"], "missing": [],
        "usage": {"reads": 0, "denied": 0},
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

fn object(more: Value) -> Received<Grant> {
    let mut spec = json!({"machineRef": {"name": "web"}, "secretRefs": [{"name": "a"}, {"name": "b"}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    grant(spec)
}

fn facts(machine: Referred, missing: &[&str]) -> Facts {
    let missing = missing.iter().map(|name| (*name).to_owned()).collect();
    Facts { machine, missing, has_pending_secret: false }
}

const FINE: Referred = Referred::Fine { suspended: false };

fn pass(object: &Received<Grant>, outcome: Outcome<GrantState>) -> Pass<'_, Grant> {
    Pass { object, facts: facts(FINE, &[]), outcome, previous: GrantStatus::default(), is_absent: false }
}

fn programmed(conditions: &[Condition]) -> ConditionStatus {
    find(conditions, ConditionType::Programmed).unwrap().status
}

#[test]
fn ready_tells_what_the_grant_gives() {
    let (plain, ended, later) = (
        object(json!({})),
        object(json!({"expiresAt": "2026-06-01T12:00:00Z"})),
        object(json!({"expiresAt": "2026-06-01T12:00:01Z"})),
    );
    let suspended = facts(Referred::Fine { suspended: true }, &[]);
    for (object, facts, reason, message) in [
        (&plain, facts(FINE, &[]), "Ready", ""),
        (&later, facts(FINE, &[]), "Ready", ""),
        (
            &ended,
            facts(FINE, &[]),
            "Expired",
            "Ended at 2026-06-01T12:00:00Z: it gives no access. Remove it from Git, or set a later date.",
        ),
        (&plain, suspended, "Suspended", "Machine web is suspended: the Grant gives no access until it is not."),
    ] {
        let found = Pass { facts, ..pass(object, Outcome::InForce(state(json!({})))) };
        assert_eq!(found.ready(), (ConditionStatus::True, reason.into(), message.into()));
    }
}

#[test]
fn a_grant_is_in_force_as_far_as_it_resolves() {
    let object = object(json!({}));
    let outcome = Outcome::InForce(state(json!({"granted": ["b"]})));
    let found = Pass { facts: facts(FINE, &["a"]), ..pass(&object, outcome) };
    let status = found.status();
    assert_eq!(
        found.ready(),
        (
            ConditionStatus::False,
            "SecretNotFound".into(),
            "Secret a does not exist in namespace shop; the others are granted.".into()
        )
    );
    assert_eq!(programmed(&status.conditions), ConditionStatus::True);
    assert_eq!(serde_json::to_value(&status.secrets).unwrap(), json!({"granted": 1, "total": 2, "summary": "1/2"}));
    assert_eq!(
        serde_json::to_value(&status.problems).unwrap(),
        json!([{"secret": "a", "reason": "SecretNotFound", "message": "Secret a does not exist in namespace shop."}])
    );
}

fn awaiting(secrets: &[(&str, u32)]) -> Value {
    let waits = |(secret, request): &(&str, u32)| json!({"secret": secret, "reason": "CoSignMissing", "message": format!("waits for Machine hq/boss, request {request}")});
    json!(secrets.iter().map(waits).collect::<Vec<_>>())
}

#[test]
fn who_is_awaited_stands_after_what_is_not_granted_and_is_no_reason_not_to_be_ready() {
    let object = object(json!({}));
    let outcome = Outcome::InForce(state(json!({"granted": ["b"], "missing": [], "awaiting": awaiting(&[("b", 7)])})));
    let waits = json!({"secret": "b", "reason": "CoSignMissing", "message": "waits for Machine hq/boss, request 7"});
    let missing =
        json!({"secret": "a", "reason": "SecretNotFound", "message": "Secret a does not exist in namespace shop."});
    let found = Pass { facts: facts(FINE, &["a"]), ..pass(&object, outcome) };
    assert_eq!(serde_json::to_value(found.status().problems).unwrap(), json!([missing, waits]));

    let alone = pass(&object, Outcome::InForce(state(json!({"awaiting": awaiting(&[("b", 7)])}))));
    assert_eq!(alone.ready(), (ConditionStatus::True, "Ready".into(), String::new()));
    let before = alone.status();
    assert_eq!(serde_json::to_value(&before.problems).unwrap(), json!([waits]));
    let away = Pass { previous: before.clone(), ..pass(&object, away()) }.status();
    assert_eq!(away, before, "nobody can say that it was settled");
    let settled = Pass { previous: before, ..pass(&object, Outcome::InForce(state(json!({})))) }.status();
    assert_eq!(settled.problems, []);

    let refused = json!([{"secret": "b", "reason": "CoSignRefused", "message": "Machine hq/boss refused request 7"}]);
    let status = pass(&object, Outcome::InForce(state(json!({"awaiting": refused})))).status();
    assert_eq!(serde_json::to_value(&status.problems).unwrap(), refused);
    let told = Grant::further_news(&GrantStatus::default(), &status).unwrap();
    assert_eq!(told.reason, "CoSignRefused");
}

#[test]
fn sixteen_problems_are_named_and_each_secret_once() {
    let names: Vec<String> = (0..20).map(|number| format!("s{number:02}")).collect();
    let refs: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    let object = object(json!({"secretRefs": refs}));
    let waiting: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let lacking = ["s02", "s03"];
    let outcome = Outcome::InForce(state(json!({"granted": [], "missing": lacking, "awaiting": awaiting(&waiting)})));
    let problems = Pass { facts: facts(FINE, &["s01"]), ..pass(&object, outcome) }.status().problems;
    let shown: Vec<&str> = problems.iter().map(|problem| problem.secret.as_str()).collect();
    let rest = ["s00", "s04", "s05", "s06", "s07", "s08", "s09", "s10", "s11", "s12", "s13", "s14", "s15"];
    assert_eq!(shown, [&["s01", "s02", "s03"], &rest[..]].concat());
    assert_eq!(problems.iter().filter(|problem| problem.reason == "CoSignMissing").count(), 13);
}

#[test]
fn the_first_read_that_waits_is_told_in_an_event_and_the_next_are_not() {
    let object = object(json!({}));
    let status = |waiting: &[(&str, u32)]| {
        pass(&object, Outcome::InForce(state(json!({"awaiting": awaiting(waiting)})))).status()
    };
    let one = "Secret a: waits for Machine hq/boss, request 1.";
    let two = "Secret a: waits for Machine hq/boss, request 1; and 1 more.";
    for (before, after, expected) in [
        (status(&[]), status(&[]), None),
        (status(&[]), status(&[("a", 1)]), Some(one)),
        (status(&[]), status(&[("a", 1), ("b", 2)]), Some(two)),
        (status(&[("a", 1)]), status(&[("a", 1)]), None),
        (status(&[("a", 1)]), status(&[("a", 1), ("b", 2)]), None),
        (status(&[("a", 1)]), status(&[]), None),
    ] {
        let told = Grant::further_news(&before, &after);
        assert_eq!(told.as_ref().map(|news| news.message.as_str()), expected);
        assert!(told.is_none_or(|news| news.is_warning && news.reason == "CoSignMissing"));
    }
}

#[test]
fn what_the_server_lacks_although_the_cluster_has_it_is_not_called_ready() {
    let object = object(json!({}));
    for (more, reason, message) in [
        (
            json!({"granted": ["a"], "missing": ["b"]}),
            "SecretNotFound",
            "Secret b is not in force yet, see its conditions; the others are granted.",
        ),
        (json!({"machineId": null}), "MachineNotAccepted", "Machine web is not in force yet: see its conditions."),
    ] {
        let found = pass(&object, Outcome::InForce(state(more))).ready();
        assert_eq!(found, (ConditionStatus::False, reason.into(), message.into()));
    }
}

#[test]
fn a_grant_without_consent_is_withdrawn_and_gives_nothing() {
    let object = object(json!({"machineRef": {"name": "web", "namespace": "front"}}));
    let before = pass(&object, Outcome::InForce(state(json!({})))).status();
    let facts = facts(Referred::NotPermitted, &[]);
    let found = Pass { facts, previous: before, ..pass(&object, Outcome::Withdrawn) };
    let status = found.status();
    assert_eq!(found.ready().1, "RefNotPermitted");
    assert_eq!(status.machine.as_deref(), Some("front/web"));
    assert_eq!(status.machine_id, None);
    assert_eq!(status.secrets.unwrap().summary.as_deref(), Some("0/2"));
}

#[test]
fn the_server_holds_nothing_of_a_grant_whose_machine_it_does_not_have() {
    let object = object(json!({}));
    for (more, gives) in [(json!({}), true), (json!({"machineId": null, "granted": [], "missing": ["a", "b"]}), false)]
    {
        assert_eq!(Grant::gives(&state(more.clone())), gives, "{more}");
        assert_eq!(
            Grant::gave_nothing(&pass(&object, Outcome::InForce(state(more.clone()))).status()),
            !gives,
            "{more}"
        );
    }
}

#[test]
fn consent_that_is_withdrawn_shows_also_while_the_server_is_away() {
    let object = object(json!({"machineRef": {"name": "web", "namespace": "front"}}));
    let before = pass(&object, Outcome::InForce(state(json!({})))).status();
    let found = Pass { facts: facts(Referred::NotPermitted, &[]), previous: before, ..pass(&object, away()) };
    assert_eq!(found.ready().1, "RefNotPermitted");
}

#[test]
fn figures_keep_their_date_while_they_stay_the_same() {
    let object = object(json!({}));
    let usage = json!({"usage": {"reads": 4, "denied": 1, "lastRead": now().as_millisecond(), "lastDenied": {
        "time": 0, "secret": "a", "reason": "OutsideTimeWindow", "message": "closed until Mon 06:00 UTC"}}});
    let first = pass(&object, Outcome::InForce(state(usage.clone()))).status();
    assert_eq!(
        serde_json::to_value(&first.usage).unwrap(),
        json!({
            "reads": 4, "denied": 1, "lastReadTime": "2026-06-01T12:00:00Z", "asOf": "2026-06-01T12:00:00Z",
            "lastDenied": {"time": "1970-01-01T00:00:00Z", "secret": "a", "reason": "OutsideTimeWindow",
                           "message": "closed until Mon 06:00 UTC"},
        })
    );
    let mut earlier = first.clone();
    let as_of = Some(Time("2026-05-01T00:00:00Z".parse().unwrap()));
    earlier.usage.as_mut().unwrap().as_of.clone_from(&as_of);
    let same = Pass { previous: earlier.clone(), ..pass(&object, Outcome::InForce(state(usage))) }.status();
    assert_eq!(same.usage.unwrap().as_of, as_of);
    let more = json!({"usage": {"reads": 5, "denied": 1}});
    let other = Pass { previous: earlier, ..pass(&object, Outcome::InForce(state(more))) }.status();
    assert_eq!(other.usage.unwrap().as_of, Some(Time(now())));
    assert_eq!(pass(&object, Outcome::InForce(state(json!({})))).status().usage, None, "nothing was ever read");
}

#[test]
fn the_server_being_away_changes_nothing_on_a_grant_that_is_in_force() {
    for more in [json!({}), json!({"expiresAt": "2026-01-01T00:00:00Z"})] {
        let object = object(more);
        let before = pass(&object, Outcome::InForce(state(json!({"usage": {"reads": 1, "denied": 0}})))).status();
        let after = Pass { previous: before.clone(), ..pass(&object, away()) }.status();
        assert_eq!(after, before);
    }
}
