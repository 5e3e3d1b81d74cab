use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{
    ApplySecret, Charset, FieldContent, Generator, Kind, Recipe, RecipeField, Rotation, SecretSource,
};

use crate::audit::entry::Action;
use crate::model::millis::Millis;
use crate::model::secret::SecretPhase;
use crate::refusal::RefusalKind;
use crate::usecase::fixture::*;

fn next(mut request: ApplySecret, generation: i64) -> ApplySecret {
    request.object.generation = generation;
    request
}

fn external(name: &str, fields: &[&str]) -> ApplySecret {
    let fields = fields.iter().map(|it| (*it).to_owned()).collect();
    ApplySecret { source: SecretSource::External { fields }, ..generated(name) }
}

#[test]
fn a_generated_value_is_made_once_and_a_new_recipe_waits_for_the_next_version() {
    let mut bench = Bench::new();
    let state = bench.apply_secret(generated("db")).unwrap();
    assert_eq!((state.version, state.version_time, state.rotation_due_since), (1, Some(bench.now.0), None));
    assert_eq!(bench.actions(), [Action::ProjectCreate, Action::SecretCreate]);
    let value = bench.value("db");
    assert_eq!(value.len(), 32);
    assert!(!bench.audit.iter().any(|it| it.detail.contains(&value)));

    let recipe = Recipe::Fields(vec![
        RecipeField { name: "user".into(), content: FieldContent::Literal("app".into()) },
        RecipeField {
            name: "password".into(),
            content: FieldContent::Generated(Generator { length: 12, charset: Charset::Numeric }),
        },
    ]);
    let changed = next(ApplySecret { source: SecretSource::Generate(recipe), ..generated("db") }, 2);
    let state = bench.apply_secret(changed).unwrap();
    assert_eq!((state.version, state.field_names.len()), (1, 0));
    assert_eq!(bench.value("db"), value);

    bench.now = bench.now.plus_seconds(10);
    let made_before = Some(bench.now.0);
    let rotation = Some(Rotation { every_seconds: None, older_than: made_before });
    let SecretSource::Generate(recipe) = generated("db").source else { panic!("generated") };
    let rotated = next(ApplySecret { rotation, source: SecretSource::Generate(recipe), ..generated("db") }, 3);
    let state = bench.apply_secret(rotated).unwrap();
    assert_eq!((state.version, bench.actions()), (2, vec![Action::SecretRotate]));
    assert_ne!(bench.value("db"), value);
    // Level-based: the same object again, or one that reverts, rotates nothing.
    let rotation = Some(Rotation { every_seconds: None, older_than: made_before });
    let again = next(ApplySecret { rotation, ..generated("db") }, 4);
    assert_eq!(bench.apply_secret(again).unwrap().version, 2);
}

#[test]
fn a_secret_applied_again_finds_its_kept_value() {
    let mut bench = Bench::new();
    let first = bench.apply_secret(generated("db")).unwrap();
    let value = bench.value("db");
    bench.delete(deleted(Kind::Secret, "db")).unwrap();
    assert_eq!(bench.actions(), [Action::SecretRetain]);
    assert_eq!(bench.secret("db").phase, SecretPhase::Retained);
    assert!(bench.inventory("prod").secrets.is_empty());
    let mut again = generated("db");
    again.object.uid = "db-2".into();
    let state = bench.apply_secret(again).unwrap();
    assert_eq!((state.secret_id, state.version), (first.secret_id, 1));
    assert_eq!(bench.value("db"), value);
    assert!(bench.audit[0].detail.contains("takes its kept value over"));
}

#[test]
fn a_secret_from_the_trash_is_another_one() {
    let mut bench = Bench::new();
    let first = bench.apply_secret(generated("db")).unwrap();
    let mut trash = deleted(Kind::Secret, "db");
    trash.trash = true;
    bench.delete(trash).unwrap();
    assert_eq!(bench.actions(), [Action::SecretDelete]);
    let state = bench.apply_secret(generated("db")).unwrap();
    assert_ne!(state.secret_id, first.secret_id);
    assert_eq!(state.version, 1);
}

#[test]
fn a_supplied_value_makes_a_version_when_it_differs() {
    let mut bench = Bench::new();
    assert_eq!(bench.apply_secret(supplied("db", "one", &[])).unwrap().version, 1);
    assert_eq!(bench.apply_secret(supplied("db", "one", &[])).unwrap().version, 1);
    assert_eq!((bench.changes, bench.audit.len()), (0, 0));
    assert_eq!(bench.apply_secret(supplied("db", "two", &[])).unwrap().version, 2);
    assert_eq!(bench.value("db"), "two");
    let state = bench.apply_secret(supplied("db", r#"{"a":"1"}"#, &["a"])).unwrap();
    assert_eq!((state.version, state.field_names), (3, vec!["a".to_owned()]));
}

#[test]
fn an_external_secret_waits_for_a_person() {
    use crate::usecase::admin::secret::set;
    let mut bench = Bench::new();
    let state = bench.apply_secret(external("api", &["key", "url"])).unwrap();
    assert_eq!((state.version, state.field_names), (0, vec!["key".to_owned(), "url".to_owned()]));
    let id = state.secret_id;
    let text = |it: &str| sikkerkey_protocol::secret_text::SecretText::new(it.into());
    let other = bench.run(|it| set(it, &id, text(r#"{"key":"1"}"#), None));
    refused(other, RefusalKind::Invalid, None, "the value has other fields than it is said to have: url");
    let version = bench.run(|it| set(it, &id, text(r#"{"key":"1","url":"2"}"#), None)).unwrap();
    assert_eq!((version, bench.actions()), (1, vec![Action::SecretUpdate]));
    assert_eq!(bench.apply_secret(external("api", &["key", "url"])).unwrap().version, 1);
    // The server tells that a value is due which it cannot make.
    bench.now = bench.now.plus_seconds(400);
    let rotation = Some(Rotation { every_seconds: Some(300), older_than: None });
    let state = bench.apply_secret(next(ApplySecret { rotation, ..external("api", &["key", "url"]) }, 2)).unwrap();
    assert!(state.next_rotation.is_some());
    assert_eq!((state.version, state.rotation_due_since), (1, state.next_rotation));

    let made = bench.apply_secret(generated("db")).unwrap().secret_id;
    refused(
        bench.run(|it| set(it, &made, text("x"), None)),
        RefusalKind::Conflict,
        None,
        "the server makes the values of db itself: rotate it, or change its source to external",
    );
}

#[test]
fn what_cannot_be_put_in_force_says_what_to_change() {
    let sealed = SecretSource::Sealed { key_id: "k".into(), ciphertext: "AAAA".into(), namespace_scope: false };
    let plain = |length| SecretSource::Generate(Recipe::Plain(Generator { length, charset: Charset::Symbols }));
    let every = |seconds| Some(Rotation { every_seconds: Some(seconds), older_than: None });
    let table = [
        (
            ApplySecret { source: sealed, ..generated("db") },
            Some(ErrorCode::SealedKeyUnknown),
            "the sealing key is none of this vault's: seal the value again, to one that it has",
        ),
        (
            supplied("db", &"x".repeat(12 * 1024 + 1), &[]),
            Some(ErrorCode::ValueTooLarge),
            "the value is larger than 12 KiB",
        ),
        (supplied("db", "hunter2", &["a"]), None, "a structured value is a JSON object whose values are all strings"),
        (ApplySecret { source: plain(4), ..generated("db") }, None, "generate.length is from 8 to 1024, not 4"),
        (ApplySecret { rotation: every(299), ..generated("db") }, None, "rotation.every is from 5m to 8784h"),
        (
            ApplySecret { policy: Some("Hours".into()), ..generated("db") },
            None,
            "policyRef.name is not the name of a Kubernetes object",
        ),
    ];
    for (request, code, text) in table {
        let mut bench = Bench::new();
        refused(bench.apply_secret(request), RefusalKind::Invalid, code, text);
        assert!(bench.state.projects.is_empty());
    }
}

#[test]
fn a_policy_that_is_taken_off_is_in_the_audit() {
    let mut bench = Bench::new();
    let guarded = ApplySecret { policy: Some("hours".into()), ..generated("db") };
    assert!(!bench.apply_secret(guarded).unwrap().policy_in_force);
    bench.apply_policy(allowlist("hours", "10.0.0.0/8")).unwrap();
    let guarded = ApplySecret { policy: Some("hours".into()), ..generated("db") };
    assert!(bench.apply_secret(guarded).unwrap().policy_in_force);
    let state = bench.apply_secret(next(generated("db"), 2)).unwrap();
    assert!(state.policy_in_force);
    assert_eq!(bench.audit[0].detail, "Secret shop/db, version 1, policy none (was hours)");
    let row = &bench.audit[1];
    assert_eq!(
        (row.action, row.detail.as_str()),
        (Action::PolicyUnbind, "no policy guards Secret shop/db any more: hours did")
    );
}

#[test]
fn two_projects_never_share_a_key() {
    let mut bench = Bench::new();
    bench.apply_secret(generated("db")).unwrap();
    let mut other = generated("db");
    other.object.key.namespace = "payments".into();
    other.object.namespace_uid = "ns-2".into();
    bench.apply_secret(other).unwrap();
    let keys: std::collections::HashSet<_> = bench.state.projects.values().map(|it| it.wrapped_key.clone()).collect();
    assert_eq!(keys.len(), 2);
    let secret = bench.secret("db").clone();
    let sealed = bench.state.value(&secret.id).unwrap();
    for project in bench.state.projects.values() {
        let opened = bench.keyring.open(project, &secret.id, 1, sealed);
        assert_eq!(opened.is_ok(), project.id == secret.project);
    }
}

#[test]
fn next_rotation_is_the_earlier_of_the_two_rules() {
    let mut bench = Bench::new();
    let now = bench.now;
    let rotation = |every_seconds, older_than: Option<Millis>| {
        Some(Rotation { every_seconds, older_than: older_than.map(|it| it.0) })
    };
    let mut generation = 0;
    for (every, older_than, expected) in [
        (Some(600), None, Some(now.plus_seconds(600))),
        (Some(600), Some(now.plus_seconds(60)), Some(now.plus_seconds(60))),
        (Some(600), Some(now), Some(now.plus_seconds(600))),
        (None, Some(now), None),
    ] {
        generation += 1;
        let request = next(ApplySecret { rotation: rotation(every, older_than), ..generated("db") }, generation);
        assert_eq!(bench.apply_secret(request).unwrap().next_rotation, expected.map(|it| it.0));
    }
}
