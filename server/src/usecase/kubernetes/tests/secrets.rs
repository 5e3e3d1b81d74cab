use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{
    ApplySecret, Charset, ExpectedVersion, FieldContent, Generator, Kind, Recipe, RecipeField, Rotation, SecretSource,
    TakenFrom,
};
use sikkerkey_protocol::secret_text::SecretText;

use crate::audit::entry::Action;
use crate::model::Entity;
use crate::model::millis::Millis;
use crate::model::secret::{Secret, SecretPhase};
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

/// An object that has had version 7 of `made_at`.
fn having_had(made_at: Millis, older_than: Option<Millis>, request: ApplySecret) -> ApplySecret {
    let rotation = older_than.map(|it| Rotation { every_seconds: Some(300), older_than: Some(it.0) });
    ApplySecret { rotation, expected: Some(ExpectedVersion { version: 7, made_at: made_at.0 }), ..request }
}

#[test]
fn a_value_that_the_object_has_had_and_the_server_has_not_is_made_again_only_on_a_persons_word() {
    let at = |seconds: i64| Millis(Bench::new().now.0 + 1_000 * seconds);
    for (what, older_than, version) in [
        ("nobody asked", None, 0),
        ("it was asked for before, and made", Some(at(-100)), 0),
        ("this very version was asked for", Some(at(-60)), 0),
        ("another one is asked for", Some(at(-59)), 1),
        ("another one is asked for now", Some(at(0)), 1),
        ("another one is asked for later", Some(at(1)), 0),
    ] {
        let mut bench = Bench::new();
        let request = || having_had(at(-60), older_than, generated("db"));
        let state = bench.apply_secret(request()).unwrap();
        assert_eq!(state.version, version, "{what}");
        let told = bench.audit.iter().any(|it| it.detail.contains("no value, and version 7 of it is lost"));
        assert_eq!(told, version == 0, "{what}");
        // What else it says is in force, so that grants and policies hold, and nothing follows by itself.
        assert_eq!(bench.apply_secret(request()).unwrap().version, version, "{what}");
        assert_eq!((bench.changes, state.next_rotation.is_some()), (0, version > 0), "{what}");
    }
    let mut bench = Bench::new();
    assert_eq!(bench.apply_secret(having_had(at(-60), Some(at(1)), generated("db"))).unwrap().version, 0);
    bench.now = at(1);
    assert_eq!(bench.apply_secret(having_had(at(-60), Some(at(1)), generated("db"))).unwrap().version, 1);
    // A new object has had nothing.
    assert_eq!(bench.apply_secret(generated("new")).unwrap().version, 1);
    let nothing = Some(ExpectedVersion { version: 0, made_at: 0 });
    assert_eq!(bench.apply_secret(ApplySecret { expected: nothing, ..generated("empty") }).unwrap().version, 1);
}

#[test]
fn a_value_that_is_there_is_the_one_that_was_expected() {
    let mut bench = Bench::new();
    let first = bench.apply_secret(generated("db")).unwrap();
    let (value, made_at) = (bench.value("db"), bench.now);
    let expected = || having_had(made_at, None, generated("db"));
    assert_eq!(bench.apply_secret(expected()).unwrap(), first);
    bench.delete(deleted(Kind::Secret, "db")).unwrap();
    assert_eq!(bench.apply_secret(expected()).unwrap().version, 1, "kept, and taken up again");
    assert_eq!(bench.value("db"), value);
    bench.now = made_at.plus_seconds(10);
    let asked_for = having_had(made_at, Some(bench.now), next(generated("db"), 2));
    assert_eq!(bench.apply_secret(asked_for).unwrap().version, 2, "rotation is as it was");
    // What brings its value along loses none.
    assert_eq!(bench.apply_secret(having_had(made_at, None, supplied("given", "x", &[]))).unwrap().version, 1);
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
    let id = bench.secret("db").id.clone();
    let text = "the value of db is taken over from a Kubernetes Secret, as Secret shop/db of cluster prod says: change it \
                there, or change its source to external";
    let agent = Bench::agent("prod");
    let set = bench.run(|it| {
        let author = crate::usecase::author::Author::Agent(&agent, source());
        let by_hand = SecretText::new("three".into());
        let (secret, steps) = crate::usecase::secret::set(it, author, &it.state.secrets[&id], by_hand, None)?;
        Ok(steps.decide(move |_| secret.version))
    });
    refused(set, RefusalKind::Conflict, None, text);
    assert_eq!(bench.value("db"), "two");
    let state = bench.apply_secret(supplied("db", r#"{"a":"1"}"#, &["a"])).unwrap();
    assert_eq!((state.version, state.field_names), (3, vec!["a".to_owned()]));
}

fn taken(value: &str, key: Option<&str>) -> ApplySecret {
    let from = TakenFrom { name: "old".into(), key: key.map(str::to_owned) };
    let value = SecretText::new(value.into());
    ApplySecret { source: SecretSource::Supplied { value, field_names: vec![], from }, ..generated("db") }
}

fn kept() -> ApplySecret {
    ApplySecret { source: SecretSource::Kept {}, ..generated("db") }
}

/// What is applied one after the other, with the version and the value after each; `=` is the value of the step before.
#[test]
fn each_change_of_the_source_has_its_outcome() {
    let (made, set) = (|| generated("db"), || external("db", &[]));
    let by_a_person = "a person's";
    for (what, steps) in [
        ("made, then set", vec![(made(), 1, "made"), (set(), 1, "=")]),
        ("made, set and back before a person came", vec![(made(), 1, "made"), (set(), 1, "="), (made(), 1, "=")]),
        ("made, then taken", vec![(made(), 1, "made"), (taken("one", None), 2, "one")]),
        ("made, then taken from what is not there", vec![(made(), 1, "made"), (kept(), 1, "="), (made(), 1, "=")]),
        ("taken, then made", vec![(taken("one", None), 1, "one"), (made(), 2, "made"), (made(), 2, "=")]),
        ("taken, then set", vec![(taken("one", None), 1, "one"), (set(), 1, "=")]),
        (
            "taken, then gone, then back",
            vec![(taken("one", None), 1, "one"), (kept(), 1, "="), (taken("two", None), 2, "two")],
        ),
        (
            "taken from elsewhere",
            vec![
                (taken("one", None), 1, "one"),
                (taken("one", Some("a")), 1, "="),
                (taken("two", Some("a")), 2, "two"),
            ],
        ),
        ("set, then made", vec![(set(), 0, ""), (set(), 1, by_a_person), (made(), 2, "made"), (made(), 2, "=")]),
        ("set, then taken", vec![(set(), 0, ""), (set(), 1, by_a_person), (taken("one", None), 2, "one")]),
        ("set, then the same taken", vec![(set(), 0, ""), (set(), 1, by_a_person), (taken(by_a_person, None), 1, "=")]),
        ("nothing, then made", vec![(set(), 0, ""), (kept(), 0, ""), (made(), 1, "made")]),
    ] {
        let mut bench = Bench::new();
        let mut before = String::new();
        for (at, (request, version, expected)) in steps.into_iter().enumerate() {
            let state = bench.apply_secret(next(request, 1 + i64::try_from(at).unwrap())).unwrap();
            if expected == by_a_person && state.version == 0 {
                let text = SecretText::new(by_a_person.into());
                bench.run(|it| crate::usecase::admin::secret::set(it, &state.secret_id, text, None)).unwrap();
            }
            let secret = bench.secret("db");
            assert_eq!(secret.version, version, "{what}, step {at}");
            let value = if version == 0 { String::new() } else { bench.value("db") };
            match expected {
                "=" => assert_eq!(value, before, "{what}, step {at}"),
                "made" => assert!(value.len() == 32 && value != before, "{what}, step {at}: {value}"),
                text => assert_eq!(value, text, "{what}, step {at}"),
            }
            before = value;
        }
    }
}

#[test]
fn the_state_says_what_the_newest_version_was_taken_from() {
    let mut bench = Bench::new();
    let from = |key: Option<&str>| Some(TakenFrom { name: "old".into(), key: key.map(str::to_owned) });
    assert_eq!(bench.apply_secret(taken("one", None)).unwrap().taken_from, from(None));
    // Also after the object is gone and comes again, and its Kubernetes Secret does not.
    bench.delete(deleted(Kind::Secret, "db")).unwrap();
    let mut again = kept();
    again.object.uid = "db-2".into();
    let state = bench.apply_secret(again).unwrap();
    assert_eq!((state.version, state.taken_from), (1, from(None)));
    // The same value from another place is no new version, and no longer from the first.
    let mut moved = next(taken("one", Some("a")), 2);
    moved.object.uid = "db-2".into();
    let state = bench.apply_secret(moved).unwrap();
    assert_eq!((state.version, state.taken_from, bench.changes), (1, from(Some("a")), 1));
    let text = SecretText::new("other".into());
    bench.run(|it| crate::usecase::admin::secret::set(it, &state.secret_id, text, None)).unwrap();
    let mut again = next(kept(), 3);
    again.object.uid = "db-2".into();
    assert_eq!(bench.apply_secret(again).unwrap().taken_from, None, "a person set it");
}

#[test]
fn a_value_made_before_origins_were_noted_stays() {
    let mut bench = Bench::new();
    bench.apply_secret(external("db", &[])).unwrap();
    let id = bench.secret("db").id.clone();
    let text = SecretText::new("old".into());
    bench.run(|it| crate::usecase::admin::secret::set(it, &id, text, None)).unwrap();
    let mut earlier = serde_json::to_value(bench.secret("db")).unwrap();
    earlier.as_object_mut().unwrap().remove("origin").expect("it is noted");
    let earlier: Secret = serde_json::from_value(earlier).unwrap();
    bench.put(Entity::Secret(earlier));
    assert_eq!(bench.apply_secret(next(generated("db"), 2)).unwrap().version, 1);
    assert_eq!(bench.value("db"), "old");
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
        "the server makes the values of db, as Secret shop/db of cluster prod says: rotate it there, or change its source to external",
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
        (taken("x", Some("")), None, "source.supplied.from is not the name and the key of a Kubernetes Secret"),
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
    assert_eq!(state.unbound.as_deref(), Some("hours"));
    assert_eq!(bench.audit[0].detail, "Secret shop/db, version 1, policy none (was hours)");
    let row = &bench.audit[1];
    assert_eq!(
        (row.action, row.detail.as_str()),
        (Action::PolicyUnbind, "no policy guards Secret shop/db any more: hours did")
    );
    assert_eq!(bench.apply_secret(next(generated("db"), 2)).unwrap().unbound, None, "told once");
}

#[test]
fn a_policy_that_takes_the_place_of_another_leaves_nothing_unguarded() {
    let mut bench = Bench::new();
    for (generation, policy) in [(1, None), (2, Some("hours")), (3, Some("nights"))] {
        let request = ApplySecret { policy: policy.map(str::to_owned), ..next(generated("db"), generation) };
        assert_eq!(bench.apply_secret(request).unwrap().unbound, None, "{policy:?}");
    }
    assert_eq!(bench.apply_secret(next(generated("db"), 4)).unwrap().unbound.as_deref(), Some("nights"));
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
