#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use serde_json::{Value, json};
use sikkerkey_crds::condition::{ConditionStatus, ConditionType, find};
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::error_body::ErrorCode;

use super::*;
use crate::controller::fixture::{Pass, away, now, refused, secret};
use crate::controller::plan::Outcome;
use crate::controller::secret::gather::{Facts, Policy};
use crate::controller::secret::original::{Disabled, Flaw, Keeper, Marks, Taking};
use crate::index::Given;

fn state(more: Value) -> SecretState {
    let mut state = json!({
        "secretId": "sk_a1", "projectId": "proj_b2", "version": 7, "versionTime": now().as_millisecond(), "nextRotation": null,
        "fieldNames": [], "grants": 0, "policyInForce": true, "podsTotal": 0, "podsCurrent": 0,
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

fn facts(policy: Policy, original: Original) -> Facts {
    Facts { policy, grants: Given::default(), original, look_at: None }
}

fn pass(object: &Received<Secret>, outcome: Outcome<SecretState>) -> Pass<'_, Secret> {
    Pass {
        object,
        facts: facts(Policy::Fine, Original::NotLooked),
        outcome,
        previous: SecretStatus::default(),
        is_absent: false,
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

/// The status of version 7, and what the server holds now: no value.
fn after_a_loss(object: &Received<Secret>, original: Original) -> Pass<'_, Secret> {
    let previous = pass(object, Outcome::InForce(state(json!({"fieldNames": ["password"]})))).status();
    let nothing = json!({"secretId": "sk_new", "version": 0, "versionTime": null});
    Pass { previous, facts: facts(Policy::Fine, original), ..pass(object, Outcome::InForce(state(nothing))) }
}

#[test]
fn a_value_that_the_server_has_lost_stays_said_with_how_it_comes_back() {
    let to_taken = || json!({"source": {"kubernetesSecret": {"name": "old", "onTaken": "Delete"}}});
    for (spec, original, what_to_do) in [
        (
            json!({"source": {"generate": {}}}),
            Original::NotLooked,
            "Restore its database, or have another value made: set spec.rotation.olderThan to the present time.",
        ),
        (
            json!({"source": {"external": {}}}),
            Original::NotLooked,
            "Set it again: sikkerkey-server admin secret set sk_new --value-file FILE.",
        ),
        (to_taken(), Original::NotLooked, "Put it into Kubernetes Secret old again."),
    ] {
        let object = secret(spec);
        let lost = after_a_loss(&object, original);
        let message = format!("The server has lost version 7 of 2026-06-01T12:00:00Z. {what_to_do}");
        assert_eq!(lost.ready(), (ConditionStatus::False, "ValueLost".into(), message.clone()));
        let said = lost.status();
        assert!(
            find(&said.conditions, ConditionType::Stalled).is_none(),
            "a person may restore the server at any time"
        );
        assert_eq!((said.version, said.fields.as_slice()), (Some(7), ["password".to_owned()].as_slice()));
        assert_eq!(expected(Some(&said)), expected(Some(&lost.previous)), "the next pass expects the same");
        // The next pass says the same, and what it finds in the end is what counts.
        let again = Pass {
            previous: said.clone(),
            facts: facts(Policy::Fine, Original::NotLooked),
            ..pass(&object, Outcome::InForce(state(json!({"version": 0, "secretId": "sk_new", "versionTime": null}))))
        };
        assert_eq!(again.status(), said);
        let restored = json!({"secretId": "sk_new", "version": 1});
        let found = Pass { previous: said, ..pass(&object, Outcome::InForce(state(restored))) };
        assert_eq!((found.status().version, found.ready().1.as_str()), (Some(1), "Ready"));
    }
}

#[test]
fn where_the_value_is_taken_from_it_is_not_lost_while_it_is_there() {
    let object = secret(json!({"source": {"kubernetesSecret": {"name": "old"}}}));
    let there = after_a_loss(&object, found(Ok(Taking::Known), None));
    assert_eq!(there.ready().1, "ValueMissing", "the next pass takes it once more");
    let gone = after_a_loss(&object, Original::Missing);
    assert_eq!(gone.ready().1, "KubernetesSecretNotFound");
    assert_eq!(find(&gone.status().conditions, ConditionType::Programmed).unwrap().reason, "ValueLost");
}

#[test]
fn a_lost_value_is_looked_after_at_the_instant_from_which_another_one_is_asked_for() {
    use crate::controller::plan::Reconciled;
    let later = "2026-06-01T13:00:00Z";
    let object = secret(json!({"source": {"generate": {}}, "rotation": {"olderThan": later}}));
    let lost = after_a_loss(&object, Original::NotLooked);
    let at = |status: &SecretStatus| object.changes_at(&lost.facts, status)[1].map(|at| at.to_string());
    assert_eq!(at(&lost.status()).as_deref(), Some(later));
    assert_eq!(at(&lost.previous), None, "a value that is there the server replaces by itself");
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
    let message = "Taking over Kubernetes Secrets is switched off: set kubernetesSecretSource.enabled in the chart.";
    let facts = facts(Policy::Fine, Original::Disabled(Disabled::SwitchedOff));
    let found = Pass { facts, ..pass(&object, Outcome::NotAsked) };
    assert_eq!(found.ready(), (ConditionStatus::False, "SourceDisabled".into(), message.into()));
    assert_eq!(find(&found.status().conditions, ConditionType::Stalled).unwrap().reason, "SourceDisabled");
}

fn found(value: Result<Taking, Flaw>, kept_by: Option<Keeper>) -> Original {
    let marks = Marks { uid: "u".into(), version: "7".into() };
    Original::Found(Found { marks, value, kept_by, is_going: false })
}

fn taken(on_taken: &str) -> Value {
    json!({"source": {"kubernetesSecret": {"name": "old", "key": "a", "onTaken": on_taken}}})
}

fn from_old() -> Value {
    json!({"takenFrom": {"name": "old", "key": "a"}})
}

/// What a look found and what the server holds, with `ResolvedRefs`, `Programmed` and `Ready`.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_find_has_its_conditions() {
    let nothing = || json!({"version": 0, "versionTime": null});
    let kept = || Some(Keeper::Manager("Helm".into()));
    let no_key = || found(Err(Flaw::NoKey { keys: vec!["b".into()] }), None);
    let due = || json!({"takenFrom": {"name": "old", "key": "a"}, "rotationDueSince": now().as_millisecond()});
    for (what, spec, original, state_more, conditions, message) in [
        ("taken", "Keep", found(Ok(Taking::Known), None), from_old(), ["ResolvedRefs", "Programmed", "Ready"], ""),
        (
            "managed, to stay",
            "Keep",
            found(Ok(Taking::Known), kept()),
            from_old(),
            ["ResolvedRefs", "Programmed", "Ready"],
            "",
        ),
        (
            "managed, to go",
            "Delete",
            found(Ok(Taking::Known), kept()),
            from_old(),
            ["ResolvedRefs", "Programmed", "OriginalKept"],
            "Kubernetes Secret old was not deleted: Helm manages it. Remove it there.",
        ),
        (
            "gone, to stay",
            "Keep",
            Original::Missing,
            from_old(),
            ["KubernetesSecretNotFound", "Programmed", "KubernetesSecretNotFound"],
            "Kubernetes Secret old does not exist in namespace shop.",
        ),
        ("gone, to go", "Delete", Original::Missing, from_old(), ["ResolvedRefs", "Programmed", "Ready"], ""),
        (
            "gone, to go, and the value is from elsewhere",
            "Delete",
            Original::Missing,
            json!({"takenFrom": {"name": "old", "key": "b"}}),
            ["KubernetesSecretNotFound", "Programmed", "KubernetesSecretNotFound"],
            "Kubernetes Secret old does not exist in namespace shop.",
        ),
        (
            "gone, to go, and the value was made",
            "Delete",
            Original::Missing,
            json!({}),
            ["KubernetesSecretNotFound", "Programmed", "KubernetesSecretNotFound"],
            "Kubernetes Secret old does not exist in namespace shop.",
        ),
        (
            "never there",
            "Delete",
            Original::Missing,
            nothing(),
            ["KubernetesSecretNotFound", "ValueMissing", "KubernetesSecretNotFound"],
            "Kubernetes Secret old does not exist in namespace shop.",
        ),
        (
            "without the key",
            "Keep",
            no_key(),
            from_old(),
            ["KubernetesSecretKeyNotFound", "Programmed", "KubernetesSecretKeyNotFound"],
            "Kubernetes Secret old has no key a; it has b.",
        ),
        (
            "no text",
            "Keep",
            found(Err(Flaw::NotText { key: "a".into() }), None),
            nothing(),
            ["ResolvedRefs", "KubernetesSecretInvalid", "KubernetesSecretInvalid"],
            "Kubernetes Secret old cannot be taken over: key a is not UTF-8 text. Encode it, for example in base64.",
        ),
        (
            "too large, to go, managed",
            "Delete",
            found(Err(Flaw::TooLarge), kept()),
            from_old(),
            ["ResolvedRefs", "ValueTooLarge", "ValueTooLarge"],
            "The value is larger than 12 KiB.",
        ),
        (
            "due",
            "Keep",
            found(Ok(Taking::Known), None),
            due(),
            ["ResolvedRefs", "Programmed", "RotationDue"],
            "A new value is due since 2026-06-01T12:00:00Z: put it into Kubernetes Secret old.",
        ),
        (
            "due, and gone",
            "Delete",
            Original::Missing,
            due(),
            ["ResolvedRefs", "Programmed", "RotationDue"],
            "A new value is due since 2026-06-01T12:00:00Z: put it into Kubernetes Secret old.",
        ),
    ] {
        let object = secret(taken(spec));
        let outcome = || Outcome::InForce(state(state_more.clone()));
        let seen = Pass { facts: facts(Policy::Fine, original), ..pass(&object, outcome()) };
        let status = seen.status();
        let types = [ConditionType::ResolvedRefs, ConditionType::Programmed, ConditionType::Ready];
        let reasons = types.map(|type_| find(&status.conditions, type_).unwrap().reason.to_string());
        assert_eq!((reasons, seen.ready().2), (conditions.map(str::to_owned), message.to_owned()), "{what}");

        // A comparison, in which nobody looks, and a server that is away say nothing else.
        let mut stood = secret(taken(spec));
        stood.object.status = Some(status.clone());
        let unlooked = Pass { previous: status.clone(), ..pass(&stood, outcome()) };
        assert_eq!(unlooked.status(), status, "{what}, compared");
        // Of a value that is too large the status alone does not tell whether the server was told anything.
        if conditions[1] != "ValueTooLarge" {
            let away_unlooked = Pass { previous: status.clone(), ..pass(&stood, away()) };
            assert_eq!(away_unlooked.status(), status, "{what}, away");
        }
    }
}

#[test]
fn a_missing_original_stays_missing_while_the_server_is_away() {
    let mut object = secret(taken("Delete"));
    let missing = || facts(Policy::Fine, Original::Missing);
    let before = Pass { facts: missing(), ..pass(&object, Outcome::InForce(state(json!({})))) }.status();
    object.object.status = Some(before.clone());
    let after = Pass { facts: missing(), previous: before.clone(), ..pass(&object, away()) };
    assert_eq!(after.status(), before);
}

#[test]
fn what_was_said_of_another_generation_is_not_said_again() {
    let mut object = secret(taken("Keep"));
    let before =
        Pass { facts: facts(Policy::Fine, Original::Missing), ..pass(&object, Outcome::InForce(state(json!({})))) };
    let before = before.status();
    object.object.status = Some(before);
    object.object.metadata.generation = Some(4);
    assert_eq!(said_before(&object, ConditionType::ResolvedRefs), None);
    object.object.metadata.generation = Some(3);
    assert_eq!(said_before(&object, ConditionType::ResolvedRefs).unwrap().reason, Reason::KubernetesSecretNotFound);
}

#[test]
fn a_policy_comes_before_a_core_secret_and_both_are_told_to_the_server() {
    let object = secret(json!({"source": {"kubernetesSecret": {"name": "old"}}, "policyRef": {"name": "hours"}}));
    let found = Pass {
        facts: facts(Policy::Missing, Original::Missing),
        ..pass(&object, Outcome::InForce(state(json!({"policyInForce": false}))))
    };
    assert_eq!(found.ready().1, "PolicyNotFound");
}

#[test]
fn what_is_told_at_the_end_says_where_the_value_is() {
    for (policy, reason, message) in [
        (
            DeletionPolicy::Retain,
            "ValueRetained",
            "The value is kept at the server, and nobody can read it: a Secret of this name in this namespace takes it up again.",
        ),
        (DeletionPolicy::Delete, "ValueTrashed", "The value went to the server's trash, where it stays for 30 days."),
    ] {
        let news = farewell(policy);
        assert_eq!((news.is_warning, news.reason.as_str(), news.message.as_str()), (false, reason, message));
    }
}

#[test]
fn a_policy_that_is_missing_shows_although_the_value_is_in_force() {
    let object = secret(json!({"source": {"external": {}}, "policyRef": {"name": "hours"}}));
    let facts = facts(Policy::Missing, Original::NotLooked);
    let found = Pass { facts, ..pass(&object, Outcome::InForce(state(json!({"policyInForce": false})))) };
    assert_eq!(found.ready().1, "PolicyNotFound");
    assert_eq!(find(&found.status().conditions, ConditionType::Programmed).unwrap().status, ConditionStatus::True);
}

#[test]
fn the_figures_of_the_server_stand_in_the_status() {
    let object = secret(json!({"source": {"generate": {"fields": [{"name": "password"}]}}}));
    let more = json!({"fieldNames": ["password"], "grants": 9, "podsTotal": 5, "podsCurrent": 3, "nextRotation": 0});
    let facts = Facts { grants: Given { count: 2, changes_at: None }, ..facts(Policy::Fine, Original::NotLooked) };
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
