use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::secret_text::SecretText;

use super::*;
use crate::entropy::SystemEntropy;
use crate::model::millis::Millis;
use crate::model::secret::{Secret, SecretPhase};
use crate::usecase::fixture::{Bench, refused};

fn id() -> ProjectId {
    "proj_p".parse().unwrap()
}

fn project(bench: &Bench) -> Project {
    bench.state.projects.get(&id()).unwrap().clone()
}

/// A project with two secrets, one of them with two versions; and what is stored of them.
fn bench() -> (Bench, Vec<Version>) {
    let mut bench = Bench::new();
    let vault = "vault_v".parse().unwrap();
    let wrapped_key = bench.keyring.new_project_key(&vault, &id(), &bench.entropy).unwrap();
    bench.put(Entity::Project(Project {
        id: id(),
        vault,
        name: "shop".into(),
        namespace: None,
        frozen: false,
        description: String::new(),
        created_at: None,
        wrapped_key,
    }));
    let mut stored = add(&mut bench, "sk_a", 1);
    stored.extend(add(&mut bench, "sk_a", 2));
    stored.extend(add(&mut bench, "sk_b", 1));
    (bench, stored)
}

fn add(bench: &mut Bench, secret: &str, number: u64) -> Vec<Version> {
    let (secret, project): (SecretId, _) = (secret.parse().unwrap(), project(bench));
    let value = SecretText::new(format!("{secret} {number}"));
    let sealed = bench.keyring.seal(&project, &secret, number, &value, &bench.entropy).unwrap();
    bench.put(Entity::Secret(Secret {
        id: secret.clone(),
        vault: project.vault.clone(),
        project: id(),
        name: secret.to_string(),
        field_names: vec![],
        version: number,
        version_time: None,
        policy: None,
        origin: None,
        recipe: None,
        rotation: None,
        due_by_reads: None,
        bindings: 0,
        schedule: None,
        note: None,
        taken_over: false,
        history: <_>::default(),
        sealing: None,
        phase: SecretPhase::Active,
        held: false,
        managed: None,
    }));
    let (vault, project) = (project.vault, id());
    let version = Version {
        vault,
        project,
        secret,
        version: number,
        time: Millis(0),
        field_names: vec![],
        sealed: sealed.into(),
    };
    bench.state.apply(Change::PutVersion(version.clone()));
    vec![version]
}

fn prepared(bench: &Bench, stored: &[Version]) -> Prepared {
    prepare(&bench.keyring, &SystemEntropy, project(bench), stored.to_vec()).unwrap()
}

#[test]
fn every_version_opens_under_the_new_key_and_none_under_the_old() {
    let (mut bench, stored) = bench();
    let old = project(&bench);
    let prepared = prepared(&bench, &stored);
    let rewrapped = prepared.versions.clone();
    assert_eq!(bench.run(|it| Ok(rotate(it, prepared))).unwrap(), Some(3));
    assert_eq!(bench.actions(), [Action::ProjectKeyRotate]);
    let new = project(&bench);
    assert_ne!(new.wrapped_key, old.wrapped_key);
    for (before, after) in stored.iter().zip(&rewrapped) {
        let open =
            |project, version: &Version| bench.keyring.open(project, &version.secret, version.version, &version.sealed);
        let value = open(&new, after).unwrap();
        assert_eq!(value.expose(), format!("{} {}", after.secret, after.version));
        assert!(open(&old, after).is_err() && open(&new, before).is_err());
        assert!(before.sealed.ciphertext == after.sealed.ciphertext);
    }
    // What is read is the newest version, not the one that was put last.
    let current = bench.state.value(&"sk_a".parse().unwrap()).unwrap();
    assert_eq!(bench.keyring.open(&new, &"sk_a".parse().unwrap(), 2, current).unwrap().expose(), "sk_a 2");
}

#[test]
fn what_has_changed_since_it_was_prepared_is_left_alone() {
    type Meanwhile = fn(&mut Bench);
    let meanwhile: [(&str, Meanwhile); 4] = [
        ("a new version", |it| drop(add(it, "sk_a", 3))),
        ("a new secret", |it| drop(add(it, "sk_c", 1))),
        ("a secret is gone", |it| {
            let key = Entity::Secret(it.state.secrets.get(&"sk_b".parse::<SecretId>().unwrap()).unwrap().clone()).key();
            it.state.apply(Change::Remove(key));
        }),
        ("another key already", |it| {
            let project = project(it);
            let wrapped_key = it.keyring.new_project_key(&project.vault, &project.id, &it.entropy).unwrap();
            it.put(Entity::Project(Project { wrapped_key, ..project }));
        }),
    ];
    for (what, meanwhile) in meanwhile {
        let (mut bench, stored) = bench();
        let prepared = prepared(&bench, &stored);
        meanwhile(&mut bench);
        assert_eq!(bench.run(|it| Ok(rotate(it, prepared))).unwrap(), None, "{what}");
        assert_eq!((bench.changes, bench.actions()), (0, vec![]), "{what}");
    }
    // What concerns no key does not stand in the way, and is kept.
    let (mut bench, stored) = bench();
    let prepared = prepared(&bench, &stored);
    let frozen = Project { frozen: true, ..project(&bench) };
    bench.put(Entity::Project(frozen));
    assert_eq!(bench.run(|it| Ok(rotate(it, prepared))).unwrap(), Some(3));
    assert!(project(&bench).frozen);
}

#[test]
fn a_version_that_does_not_open_is_named() {
    let (bench, mut stored) = bench();
    stored[1].sealed = Arc::clone(&stored[0].sealed);
    let failed = prepare(&bench.keyring, &bench.entropy, project(&bench), stored).map(drop);
    let text = "version 2 of sk_a does not open, so its key cannot be wrapped anew: restore it from a backup, or find out \
                who changed the database";
    refused(failed, RefusalKind::Unavailable, None, text);
}
