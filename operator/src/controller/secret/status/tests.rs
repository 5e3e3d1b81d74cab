#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use serde_json::{Value, json};
use sikkerkey_crds::condition::{ConditionStatus, ConditionType, find};
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::error_body::ErrorCode;

use super::*;
use crate::controller::fixture::{Pass, away, now, refused, secret};
use crate::controller::plan::Outcome;
use crate::controller::secret::gather::{Facts, Policy};
use crate::index::Given;

fn state(more: Value) -> SecretState {
    let mut state = json!({
        "secretId": "sk_a1", "projectId": "proj_b2", "version": 7, "versionTime": now().as_millisecond(), "nextRotation": null,
        "fieldNames": [], "grants": 0, "policyInForce": true, "podsTotal": 0, "podsCurrent": 0,
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

fn pass(object: &Received<Secret>, outcome: Outcome<SecretState>) -> Pass<'_, Secret> {
    Pass {
        object,
        facts: Facts { policy: Policy::Fine, grants: Given::default() },
        outcome,
        previous: SecretStatus::default(),
    }
}

#[test]
fn ready_tells_how_the_value_stands() {
    let object = secret(json!({"source": {"external": {}}}));
    for (more, status, reason, message) in [
        (json!({}), ConditionStatus::True, "Ready", ""),
        (
            json!({"version": 0, "versionTime": null}),
            ConditionStatus::False,
            "ValueMissing",
            "Nobody has set a value: sikkerkey-server admin secret set sk_a1 --value-file FILE sets it.",
        ),
        (
            json!({"rotationDueSince": now().as_millisecond()}),
            ConditionStatus::True,
            "RotationDue",
            "A new value is due since 2026-06-01T12:00:00Z: sikkerkey-server admin secret set sk_a1 --value-file FILE sets it.",
        ),
    ] {
        let found = pass(&object, Outcome::InForce(state(more.clone()))).ready();
        assert_eq!(found, (status, reason.to_owned(), message.to_owned()), "{more}");
    }
}

#[test]
fn a_sealed_value_that_is_due_is_sealed_anew_and_not_set_at_the_server() {
    let object = secret(json!({"source": {"sealed": {"keyID": "seal-1", "ciphertext": "AAAA"}}}));
    let due = state(json!({"rotationDueSince": now().as_millisecond()}));
    let message = "A new value is due since 2026-06-01T12:00:00Z: seal one with sikkerkey-operator seal, and apply it.";
    let found = pass(&object, Outcome::InForce(due)).ready();
    assert_eq!(found, (ConditionStatus::True, "RotationDue".to_owned(), message.to_owned()));
}

#[test]
fn each_refusal_has_its_reason_and_stalls() {
    let object = secret(json!({"source": {"sealed": {"keyID": "seal-1", "ciphertext": "AAAA"}}}));
    for (code, reason, message) in [
        (
            ErrorCode::SealedKeyUnknown,
            "SealedKeyUnknown",
            "The server does not know the sealing key seal-1: seal the value again with sikkerkey-operator seal.",
        ),
        (
            ErrorCode::UnsealFailed,
            "UnsealFailed",
            "The ciphertext does not open as shop/db: it was sealed for another name or namespace, or altered. Seal it again.",
        ),
        (
            ErrorCode::SealedValueOutdated,
            "SealedValueOutdated",
            "The server has had a value that was sealed later, and an older one never replaces it. To go back to an earlier \
             value, seal it again with sikkerkey-operator seal.",
        ),
        (ErrorCode::ValueTooLarge, "ValueTooLarge", "The value is larger than 12 KiB."),
        (ErrorCode::Unsupported, "ServerRefused", "The server refused the change: the server's words."),
    ] {
        let status = pass(&object, refused(code)).status();
        let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
        assert_eq!((stalled.reason.as_str(), stalled.message.as_str()), (reason, message));
        assert_eq!(find(&status.conditions, ConditionType::Programmed).unwrap().status, ConditionStatus::False);
    }
}

#[test]
fn a_source_that_is_switched_off_is_never_sent() {
    let object = secret(json!({"source": {"kubernetesSecret": {"name": "old"}}}));
    let message = "This version does not take over Kubernetes Secrets: use source generate or external.";
    let found = pass(&object, Outcome::NotAsked);
    assert_eq!(found.ready(), (ConditionStatus::False, "SourceDisabled".into(), message.into()));
    assert_eq!(find(&found.status().conditions, ConditionType::Stalled).unwrap().reason, "SourceDisabled");
}

#[test]
fn a_policy_that_is_missing_shows_although_the_value_is_in_force() {
    let object = secret(json!({"source": {"external": {}}, "policyRef": {"name": "hours"}}));
    let facts = Facts { policy: Policy::Missing, grants: Given::default() };
    let found = Pass { facts, ..pass(&object, Outcome::InForce(state(json!({"policyInForce": false})))) };
    assert_eq!(found.ready().1, "PolicyNotFound");
    assert_eq!(find(&found.status().conditions, ConditionType::Programmed).unwrap().status, ConditionStatus::True);
}

#[test]
fn the_figures_of_the_server_stand_in_the_status() {
    let object = secret(json!({"source": {"generate": {"fields": [{"name": "password"}]}}}));
    let more = json!({"fieldNames": ["password"], "grants": 9, "podsTotal": 5, "podsCurrent": 3, "nextRotation": 0});
    let facts = Facts { policy: Policy::Fine, grants: Given { count: 2, changes_at: None } };
    let found = Pass { facts, ..pass(&object, Outcome::InForce(state(more))) };
    let mut shown = serde_json::to_value(found.status()).unwrap();
    shown.as_object_mut().unwrap().remove("conditions");
    assert_eq!(
        shown,
        json!({
            "observedGeneration": 3, "source": "Generated", "secretID": "sk_a1", "projectID": "proj_b2", "version": 7,
            "versionTime": "2026-06-01T12:00:00Z", "nextRotationTime": "1970-01-01T00:00:00Z", "fields": ["password"],
            "grants": 2, "pods": {"total": 5, "current": 3, "summary": "3/5"},
        })
    );
}

#[test]
fn the_server_being_away_changes_nothing_on_a_secret_that_is_in_force() {
    let object = secret(json!({"source": {"external": {}}}));
    for more in [json!({}), json!({"version": 0}), json!({"rotationDue": true})] {
        let before = pass(&object, Outcome::InForce(state(more.clone()))).status();
        let after = Pass { previous: before.clone(), ..pass(&object, away()) }.status();
        assert_eq!(after, before, "{more}");
    }
}
