#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use serde_json::{Value, json};
use sikkerkey_crds::condition::{ConditionStatus, ConditionType, find};
use sikkerkey_protocol::error_body::ErrorCode;

use super::*;
use crate::controller::fixture::{Pass, away, machine, now, refused};
use crate::controller::machine::gather::{Facts, FileProblem};
use crate::controller::plan::Outcome;
use crate::index::Given;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::ObjectKey;

fn state(more: Value) -> MachineState {
    let mut state = json!({
        "machineId": "67e55044-10b1-426f-9247-bb680e5fe0c8", "approval": "Approved", "suspended": false, "alive": 0,
        "grantedSecrets": 0, "lastSeen": null, "fingerprint": null, "expiresAt": null,
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

fn workload() -> Received<Machine> {
    machine(json!({"workload": {"serviceAccountNames": ["web"]}}))
}

fn pass(object: &Received<Machine>, outcome: Outcome<MachineState>) -> Pass<'_, Machine> {
    Pass { object, facts: Facts::default(), outcome, previous: MachineStatus::default(), is_absent: false }
}

#[test]
fn ready_tells_how_the_server_stands_to_the_machine() {
    let (host, pinned) =
        (json!({"host": {}}), json!({"host": {"publicKey": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}}));
    let suspended = json!({"workload": {"serviceAccountNames": ["web"]}, "suspend": true});
    let plain = json!({"workload": {"serviceAccountNames": ["web"]}});
    let yesterday = now().as_millisecond() - 86_400_000;
    for (spec, more, status, reason, message) in [
        (&plain, json!({}), ConditionStatus::True, "Ready", ""),
        (
            &plain,
            json!({"approval": "Pending"}),
            ConditionStatus::False,
            "AwaitingApproval",
            "The fleet waits for approval: sikkerkey-server admin machine approve 67e55044-10b1-426f-9247-bb680e5fe0c8.",
        ),
        (
            &plain,
            json!({"approval": "Denied"}),
            ConditionStatus::False,
            "Denied",
            "An administrator denied this machine at the server.",
        ),
        (
            &suspended,
            json!({}),
            ConditionStatus::True,
            "Suspended",
            "spec.suspend is true: nobody reads as this Machine.",
        ),
        (
            &host,
            json!({"machineId": null, "approval": "Pending"}),
            ConditionStatus::False,
            "AwaitingBootstrap",
            "No host has enrolled yet: kubectl sikkerkey bootstrap web prints a command for it, good for 10 minutes.",
        ),
        (
            &host,
            json!({"approval": "Pending", "fingerprint": "SHA256:ab"}),
            ConditionStatus::False,
            "AwaitingApproval",
            "Key SHA256:ab waits for approval: compare it on the host, then set spec.host.publicKey to that key, or \
             sikkerkey-server admin machine approve 67e55044-10b1-426f-9247-bb680e5fe0c8.",
        ),
        (
            &pinned,
            json!({"expiresAt": yesterday}),
            ConditionStatus::True,
            "Expired",
            "The host's identity has expired: make a new key on the host and set spec.host.publicKey to it.",
        ),
        (&pinned, json!({}), ConditionStatus::True, "Ready", ""),
    ] {
        let object = machine(spec.clone());
        let found = pass(&object, Outcome::InForce(state(more.clone()))).ready();
        assert_eq!(found, (status, reason.to_owned(), message.to_owned()), "{spec} {more}");
    }
}

#[test]
fn a_denied_machine_is_stalled_and_a_key_in_use_says_what_to_do() {
    let object = workload();
    let status = pass(&object, Outcome::InForce(state(json!({"approval": "Denied"})))).status();
    assert_eq!(find(&status.conditions, ConditionType::Stalled).unwrap().reason, "Denied");
    let status = pass(&object, refused(ErrorCode::KeyInUse)).status();
    let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
    assert_eq!(
        (stalled.reason.as_str(), stalled.message.as_str()),
        (
            "KeyInUse",
            "The key in spec.host.publicKey belongs to another machine at the server: make a new one on the host."
        )
    );
}

#[test]
fn an_object_of_an_earlier_namespace_is_not_accepted_until_it_is_adopted() {
    let object = workload();
    let status = pass(&object, refused(ErrorCode::AdoptionRequired)).status();
    let accepted = find(&status.conditions, ConditionType::Accepted).unwrap();
    assert_eq!(
        (accepted.status, accepted.reason.as_str(), accepted.message.as_str()),
        (
            ConditionStatus::False,
            "AdoptionRequired",
            "The server holds Machine shop/web from an earlier namespace of this name. If it is yours: sikkerkey-server admin \
             adopt --cluster test --namespace shop."
        )
    );
    assert!(find(&status.conditions, ConditionType::Stalled).is_none());
}

#[test]
fn the_figures_of_the_server_stand_in_the_status() {
    let object = workload();
    let seen = now().as_millisecond();
    let outcome = Outcome::InForce(state(json!({"alive": 3, "grantedSecrets": 9, "lastSeen": seen})));
    let facts = Facts { granted: Given { count: 2, changes_at: None }, ..Facts::default() };
    let status = Pass { facts, ..pass(&object, outcome) }.status();
    let mut shown = serde_json::to_value(&status).unwrap();
    shown.as_object_mut().unwrap().remove("conditions");
    assert_eq!(
        shown,
        json!({
            "observedGeneration": 3, "type": "Workload", "machineID": "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "approval": "Approved", "grantedSecrets": 2, "lastSeenTime": "2026-06-01T12:00:00Z", "pods": {"alive": 3},
        })
    );
}

#[test]
fn pods_that_run_with_older_settings_are_told_of_until_there_are_none() {
    let object = workload();
    let told = |outdated_pods, previous: &MachineStatus| {
        let facts = Facts { outdated_pods, ..Facts::default() };
        let outcome = Outcome::InForce(state(json!({"alive": 3})));
        Pass { facts, previous: previous.clone(), ..pass(&object, outcome) }.status()
    };
    let said = |status: &MachineStatus| {
        let ready = find(&status.conditions, ConditionType::Ready).unwrap();
        let pods = status.pods.clone().unwrap();
        (ready.status, ready.reason.to_string(), pods.outdated, pods.summary)
    };
    let fine = |outdated, summary: Option<&str>| {
        (ConditionStatus::True, "Ready".to_owned(), outdated, summary.map(str::to_owned))
    };
    let older = |outdated, summary: &str| {
        (ConditionStatus::True, "PodsOutdated".to_owned(), Some(outdated), Some(summary.to_owned()))
    };
    let none = MachineStatus::default();
    assert_eq!(said(&told(None, &none)), fine(None, None), "the list of pods is not whole yet");
    assert_eq!(said(&told(Some(0), &none)), fine(Some(0), Some("3/3")));
    let two = told(Some(2), &none);
    assert_eq!(said(&two), older(2, "1/3"));
    assert_eq!(told(None, &two), two, "another leader has just begun");
    assert_eq!(told(Some(2), &two), two);
    assert_eq!(said(&told(Some(4), &two)), older(4, "0/3"), "one of them has not enrolled");
    assert_eq!(said(&told(Some(0), &two)), fine(Some(0), Some("3/3")));
    let worse = Facts { outdated_pods: Some(2), missing_accounts: vec!["web".into()], ..Facts::default() };
    let missing = Pass { facts: worse, ..pass(&object, Outcome::InForce(state(json!({})))) };
    assert_eq!(missing.ready().1, "ServiceAccountNotFound");
}

#[test]
fn pods_that_gave_their_identities_up_with_their_files_written_are_alive_all_the_same() {
    let once = machine(json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"mode": "Init"}}));
    let told = |object: &Received<Machine>, at_server: usize, served_once: Option<usize>, previous: &MachineStatus| {
        let outdated_pods = served_once.map(|_| 0);
        let facts = Facts { outdated_pods, served_once, ..Facts::default() };
        let outcome = Outcome::InForce(state(json!({"alive": at_server})));
        Pass { facts, previous: previous.clone(), ..pass(object, outcome) }.status().pods.unwrap()
    };
    let none = MachineStatus::default();
    let three = told(&once, 0, Some(3), &none);
    assert_eq!((three.alive, three.summary.as_deref()), (Some(3), Some("3/3")));
    assert_eq!(told(&once, 1, Some(3), &none).alive, Some(4), "one is just starting");
    let before = MachineStatus { pods: Some(three.clone()), ..none.clone() };
    assert_eq!(told(&once, 0, None, &before).alive, Some(3), "another leader has just begun");
    assert_eq!(told(&workload(), 0, None, &before).alive, Some(0), "all pods of a sidecar are known to the server");
    assert_eq!(told(&workload(), 2, Some(1), &none).alive, Some(3), "while pods of the other mode are being replaced");
}

#[test]
fn a_host_shows_where_it_enrols_and_with_which_key() {
    let object = machine(json!({"host": {}}));
    let more = json!({"fingerprint": "SHA256:ab", "expiresAt": now().as_millisecond(), "lastSeen": null});
    let status = pass(&object, Outcome::InForce(state(more))).status();
    assert_eq!(
        serde_json::to_value(&status.host).unwrap(),
        json!({"fingerprint": "SHA256:ab", "bootstrapURL": "https://server.example", "expiresTime": "2026-06-01T12:00:00Z"})
    );
    assert_eq!((status.type_, status.pods), (Some(MachineType::Host), None));
}

#[test]
fn every_file_that_lacks_something_is_listed_up_to_sixteen() {
    let object = workload();
    let problem = |n: usize| FileProblem::NotGranted {
        path: format!("f{n}"),
        secret: ObjectKey { namespace: "shop".into(), name: "db".into() },
    };
    let facts = Facts { problems: (0..20).map(problem).collect(), ..Facts::default() };
    let status = Pass { facts, ..pass(&object, Outcome::InForce(state(json!({})))) }.status();
    assert_eq!((status.problem_count, status.problems.len()), (Some(20), 16));
    assert_eq!(find(&status.conditions, ConditionType::Ready).unwrap().reason, "SecretNotGranted");
    let programmed = find(&status.conditions, ConditionType::Programmed).unwrap();
    assert_eq!(programmed.status, ConditionStatus::True, "what resolves is in force");
}

#[test]
fn the_server_being_away_changes_nothing_on_a_machine_that_is_in_force() {
    let object = workload();
    for more in [json!({}), json!({"approval": "Pending"}), json!({"alive": 2, "lastSeen": 5})] {
        let before = pass(&object, Outcome::InForce(state(more.clone()))).status();
        let after = Pass { previous: before.clone(), ..pass(&object, away()) }.status();
        assert_eq!(after, before, "{more}");
    }
}

#[test]
fn a_change_waits_for_a_server_that_is_away_and_says_so() {
    let object = workload();
    let mut before = pass(&object, Outcome::InForce(state(json!({})))).status();
    before.conditions.iter_mut().for_each(|condition| condition.observed_generation = Some(2));
    let after = Pass { previous: before, ..pass(&object, away()) };
    let message =
        "The change waits for the server, which cannot be reached (connection refused). Generation 2 stays in force.";
    assert_eq!(after.ready(), (ConditionStatus::False, "ServerUnreachable".into(), message.into()));
    // And still says so at the next attempt, which has only this status to go by.
    let again = Pass { previous: after.status(), ..pass(&object, away()) };
    assert_eq!(again.status(), after.status());
}
