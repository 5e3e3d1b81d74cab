use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::index::seen::Seen;
use crate::index::tests::{Rig, grant, machine, now, secret};

/// With a first status.
fn looked_at(mut object: Value, more: Value) -> Value {
    let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
                       "lastTransitionTime": "2026-01-01T00:00:00Z"});
    object["status"] = more;
    object["status"]["conditions"] = json!([ready]);
    object
}

fn given(name: &str, secrets: &[&str]) -> Value {
    grant(name, json!({"name": "web"}), secrets)
}

fn in_force(name: &str, secrets: &[&str]) -> Value {
    let count = secrets.len();
    let status = json!({"machineID": "m", "observedGeneration": 1, "secrets": {"granted": count, "total": count}});
    looked_at(given(name, secrets), status)
}

fn target(resource: Resource, name: &str) -> Target {
    Target::new(resource, "shop", name)
}

/// A Machine, two Secrets and two Grants of which one gives both, all of them new.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.machine(machine("shop/web", json!([])));
    rig.secret(secret("shop/a"));
    rig.secret(secret("shop/b"));
    rig.grant(given("shop/one", &["a"]));
    rig.grant(given("shop/both", &["a", "b"]));
    rig.heard();
    rig
}

#[test]
fn a_secret_awaits_the_grants_that_name_it_and_is_looked_at_once_when_all_are_there() {
    let mut rig = rig();
    let (a, b) = (target(Resource::Secret, "a"), target(Resource::Secret, "b"));
    assert!(rig.index.awaits(&a) && rig.index.awaits(&b));
    rig.grant(in_force("shop/both", &["a", "b"]));
    assert_eq!((rig.index.awaits(&a), rig.index.awaits(&b)), (true, false));
    assert_eq!(rig.heard(), ["Secret shop/b"], "the other one awaits one more");
    rig.grant(in_force("shop/one", &["a"]));
    assert_eq!(rig.heard(), ["Secret shop/a"]);
}

#[test]
fn a_grant_that_goes_before_it_was_looked_at_is_not_awaited() {
    let mut rig = rig();
    rig.grant(in_force("shop/both", &["a", "b"]));
    rig.heard();
    let gone: DeserializeGuard<Received<Grant>> = serde_json::from_value(given("shop/one", &["a"])).unwrap();
    rig.feeds.grants.apply(&Event::Delete(Seen::from(gone)));
    assert_eq!(rig.heard(), ["Secret shop/a", "Grant shop/one"]);
}

#[test]
fn nobody_awaits_a_grant_whose_pass_fails_until_it_has_been_looked_at() {
    let mut rig = rig();
    let (a, one) = (target(Resource::Secret, "a"), target(Resource::Grant, "one"));
    rig.grant(in_force("shop/both", &["a", "b"]));
    rig.heard();
    rig.index.fails(&one);
    assert!(!rig.index.awaits(&a));
    assert_eq!(rig.heard(), ["Secret shop/a"]);
    rig.index.fails(&one);
    assert_eq!(rig.heard(), Vec::<String>::new(), "told once");
    rig.index.let_through(&one);
    assert!(rig.index.awaits(&a));
}

#[test]
fn a_machine_awaits_its_grants_and_the_secrets_that_they_give() {
    let mut rig = rig();
    let web = target(Resource::Machine, "web");
    rig.grant(in_force("shop/both", &["a", "b"]));
    rig.grant(in_force("shop/one", &["a"]));
    for secret in ["a", "b"] {
        rig.index.hold_back(&target(Resource::Secret, secret), secret, now());
    }
    rig.heard();
    rig.secret(looked_at(secret("shop/a"), json!({"secretID": "s"})));
    assert!(rig.index.awaits(&web), "it counts the other one as well");
    assert_eq!(rig.heard(), Vec::<String>::new(), "Grants that give all have not waited for it");
    rig.secret(looked_at(secret("shop/b"), json!({"secretID": "s"})));
    assert!(!rig.index.awaits(&web));
    assert_eq!(rig.heard(), ["Machine shop/web"]);
}

#[test]
fn who_has_a_status_already_is_looked_at_a_moment_later() {
    let mut rig = rig();
    rig.machine(looked_at(machine("shop/web", json!([])), json!({})));
    rig.heard();
    rig.grant(in_force("shop/one", &["a"]));
    assert_eq!(rig.heard(), ["Machine shop/web, soon"]);
    let mut in_force = looked_at(secret("shop/a"), json!({"secretID": "s"}));
    let mut programmed = in_force["status"]["conditions"][0].clone();
    programmed["type"] = json!("Programmed");
    in_force["status"]["conditions"].as_array_mut().unwrap().push(programmed);
    rig.secret(in_force);
    assert_eq!(rig.heard(), ["Machine shop/web, soon", "Grant shop/both", "Grant shop/one"], "they have waited for it");
}

#[test]
fn one_that_is_held_back_has_been_looked_at_and_whoever_waits_for_it_is_told_once() {
    let mut rig = rig();
    let a = target(Resource::Secret, "a");
    let unseen = |rig: &Rig| rig.index.is_unseen(&rig.index.secret("shop", "a").unwrap());
    assert!(unseen(&rig));
    rig.index.hold_back(&a, "a", now());
    assert_eq!(rig.heard(), ["Grant shop/both", "Grant shop/one"]);
    assert!(!unseen(&rig));
    rig.index.hold_back(&a, "a", now() + std::time::Duration::from_secs(5));
    assert_eq!((rig.index.held_since(&a, "a"), rig.heard()), (Some(now()), vec![]));
    assert_eq!(rig.index.held_since(&a, "another"), None, "a successor of its name");
    rig.index.let_through(&a);
    assert!(unseen(&rig));
    rig.index.hold_back(&a, "a", now());
    rig.index.forget_held();
    assert!(unseen(&rig));
}
