use sikkerkey_protocol::kubernetes::{ApplySecret, Kind, Rotation};

use super::run;
use crate::audit::entry::Action;
use crate::usecase::fixture::*;

#[test]
fn a_round_with_nothing_to_do_writes_nothing() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    bench.enrol("pod-1", 1);
    bench.run(run).unwrap();
    assert_eq!((bench.changes, bench.audit.len()), (0, 0));
}

#[test]
fn a_value_that_is_due_is_renewed_once() {
    let mut bench = Bench::new();
    let rotation = Some(Rotation { every_seconds: Some(3600), older_than: None });
    bench.apply_secret(ApplySecret { rotation, ..generated("db") }).unwrap();
    let first = bench.value("db");
    bench.now = bench.now.plus_seconds(3599);
    bench.run(run).unwrap();
    assert_eq!(bench.secret("db").version, 1);
    bench.now = bench.now.plus_seconds(1);
    bench.run(run).unwrap();
    assert_eq!((bench.secret("db").version, bench.actions()), (2, vec![Action::SecretRotate]));
    assert_ne!(bench.value("db"), first);
    bench.run(run).unwrap();
    assert_eq!(bench.secret("db").version, 2);
    // Away for a day: one new version, not twenty-four.
    bench.now = bench.now.plus_seconds(3600 + super::OVERDUE_SECONDS - 1);
    assert_eq!(super::overdue(&bench.state, bench.now), 0);
    bench.now = bench.now.plus_seconds(1);
    assert_eq!(super::overdue(&bench.state, bench.now), 1);
    bench.now = bench.now.plus_seconds(86_400);
    bench.run(run).unwrap();
    assert_eq!(super::overdue(&bench.state, bench.now), 0);
    bench.run(run).unwrap();
    assert_eq!(bench.secret("db").version, 3);
}

#[test]
fn a_kept_or_supplied_value_is_never_renewed() {
    let mut bench = Bench::new();
    let rotation = || Some(Rotation { every_seconds: Some(300), older_than: None });
    bench.apply_secret(ApplySecret { rotation: rotation(), ..generated("kept") }).unwrap();
    bench.delete(deleted(Kind::Secret, "kept")).unwrap();
    bench.apply_secret(ApplySecret { rotation: rotation(), ..supplied("given", "x", &[]) }).unwrap();
    bench.now = bench.now.plus_seconds(3600);
    bench.run(run).unwrap();
    assert_eq!(bench.changes, 0);
}

#[test]
fn what_has_ended_is_forgotten_in_its_time() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    let registered = bench.enrol("pod-1", 1);
    bench.gone(&["pod-2"]).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    let mut trash = deleted(Kind::Secret, "db");
    trash.trash = true;
    bench.delete(trash).unwrap();
    let held = |bench: &Bench| {
        (bench.state.tokens.len(), bench.state.machines.len(), bench.state.gone_pods.len(), bench.state.secrets.len())
    };
    bench.voucher(pod("pod-3"), 3).unwrap();
    assert_eq!(held(&bench), (1, 1, 1, 1));
    let start = bench.now;
    for (seconds, expected) in [
        (3600 + 59, (1, 1, 1, 1)),
        (3600 + 60, (0, 1, 1, 1)),
        (7200 - 1, (0, 1, 1, 1)),
        (7200, (0, 0, 1, 1)),
        (86_400 - 1, (0, 0, 1, 1)),
        (86_400, (0, 0, 0, 1)),
        (30 * 86_400 - 1, (0, 0, 0, 1)),
        (30 * 86_400, (0, 0, 0, 0)),
    ] {
        bench.now = start.plus_seconds(seconds);
        bench.run(run).unwrap();
        assert_eq!(held(&bench), expected, "{seconds}");
        if seconds == 7200 {
            assert_eq!(bench.actions(), [Action::MachineRevoke]);
            assert_eq!(bench.audit[0].machine, Some(registered.machine_id.clone()));
        }
    }
    assert_eq!(bench.actions(), [Action::SecretDelete]);
}

#[test]
fn an_agent_that_ended_is_forgotten_after_an_hour() {
    let mut bench = Bench::new();
    let mut agent = Bench::agent("prod");
    agent.expires_at = Some(bench.now);
    bench.put(crate::model::Entity::Agent(agent));
    bench.now = bench.now.plus_seconds(3599);
    bench.run(run).unwrap();
    assert_eq!(bench.state.agents.len(), 1);
    bench.now = bench.now.plus_seconds(1);
    bench.run(run).unwrap();
    assert!(bench.state.agents.is_empty());
}

mod by_hand {
    use sikkerkey_protocol::id::SecretId;
    use sikkerkey_protocol::secret_text::SecretText;

    use super::*;
    use crate::model::secret::Secret;
    use crate::model::{Change, Entity};
    use crate::usecase::admin::{project, secret};

    fn made(bench: &mut Bench, name: &str, content: secret::Content) -> SecretId {
        bench.run(|it| secret::create(it, "ci", name, content)).unwrap()
    }

    fn bench() -> Bench {
        let mut bench = Bench::new();
        let vault = "vault_v".parse().unwrap();
        bench.run(|it| project::create(it, &vault, "ci")).unwrap();
        bench
    }

    fn given(text: &str, fields: &[&str]) -> secret::Content {
        secret::Content::Given(SecretText::new(text.into()), fields.iter().map(|it| (*it).to_owned()).collect())
    }

    fn time(bench: &mut Bench, id: &SecretId, every: u64, fields: &[&str]) {
        let fields = fields.iter().map(|it| (*it).to_owned()).collect();
        let how = secret::Rotate { fields, ..Default::default() };
        bench.run(|it| secret::time(it, id, secret::Timing::Set(every, how))).unwrap();
    }

    #[test]
    fn while_the_clock_stands_nothing_is_renewed_and_nothing_purged() {
        let mut bench = bench();
        let id = made(&mut bench, "db", given("x", &[]));
        time(&mut bench, &id, 300, &[]);
        let old = made(&mut bench, "old", given("x", &[]));
        bench.run(|it| secret::delete(it, &old)).unwrap();
        for _ in 0..10 {
            bench.run(run).unwrap();
            assert_eq!(bench.changes, 0);
        }
        // After a leap of a year all of it is done in one round, and once.
        bench.now = bench.now.plus_seconds(366 * 86_400);
        bench.run(run).unwrap();
        assert_eq!(bench.actions(), [Action::SecretRotate, Action::SecretDelete]);
        assert_eq!(bench.state.secrets[&id].version, 2);
        bench.run(run).unwrap();
        assert_eq!(bench.changes, 0);
        // And a clock that goes back brings nothing about.
        bench.now.0 -= 366 * 86_400 * 1000;
        bench.run(run).unwrap();
        assert_eq!((bench.changes, bench.state.secrets[&id].version), (0, 2));
    }

    #[test]
    fn a_value_that_does_not_open_holds_up_none_of_the_others() {
        let mut bench = bench();
        let damaged = made(&mut bench, "a", given(r#"{"user":"u","password":"p"}"#, &["user", "password"]));
        let sound = made(&mut bench, "b", given("x", &[]));
        time(&mut bench, &damaged, 300, &["password"]);
        time(&mut bench, &sound, 300, &[]);
        let other = bench.state.value(&sound).unwrap().clone();
        let held: Secret = bench.state.secrets[&damaged].clone();
        bench.state.apply(Change::PutVersion(crate::model::version::Version {
            vault: held.vault.clone(),
            project: held.project.clone(),
            secret: damaged.clone(),
            version: 1,
            time: bench.now,
            field_names: held.field_names.clone(),
            sealed: other,
        }));
        bench.now = bench.now.plus_seconds(300);
        bench.run(run).unwrap();
        assert_eq!((bench.state.secrets[&damaged].version, bench.state.secrets[&sound].version), (1, 2));
        // All fields need nothing of what is there.
        let how = secret::Rotate::default();
        bench.run(|it| secret::time(it, &damaged, secret::Timing::Set(300, how))).unwrap();
        bench.run(run).unwrap();
        assert_eq!(bench.state.secrets[&damaged].version, 2);
    }

    #[test]
    fn secrets_that_end_together_leave_a_grant_that_named_them_all_with_what_is_left() {
        let mut bench = bench();
        let ids: Vec<SecretId> = ["a", "b", "c"].map(|name| made(&mut bench, name, given("x", &[]))).into();
        let grant = |id: &str, secrets: &[SecretId]| {
            Entity::Grant(crate::model::grant::Grant {
                id: id.into(),
                vault: "vault_v".parse().unwrap(),
                project: bench.state.secrets[&ids[0]].project.clone(),
                grantee: crate::model::machine::Grantee::Machine(
                    "00000000-0000-4000-8000-000000000001".parse().unwrap(),
                ),
                secrets: secrets.to_vec(),
                expires_at: None,
                managed: None,
            })
        };
        let (all, two) = (grant("all", &ids), grant("two", &ids[..2]));
        bench.put(all);
        bench.put(two);
        for id in &ids[..2] {
            bench.run(|it| secret::delete(it, id)).unwrap();
        }
        bench.now = bench.now.plus_seconds(30 * 86_400);
        bench.run(run).unwrap();
        assert_eq!(bench.state.grants.keys().collect::<Vec<_>>(), ["all"]);
        assert_eq!(bench.state.grants["all"].secrets, ids[2..]);
    }

    #[test]
    fn a_grant_that_goes_with_its_machine_does_not_come_back_with_a_secret_that_goes_in_the_same_round() {
        let mut bench = bench();
        let [a, b] = ["a", "b"].map(|name| made(&mut bench, name, given("x", &[])));
        let vault = "vault_v".parse().unwrap();
        let (token, _) =
            bench.run(|it| crate::usecase::admin::machine::bootstrap(it, &vault, Some("job".into()))).unwrap();
        let id = bench.register(token.expose(), 7).unwrap().machine_id;
        let start = bench.now;
        let job = crate::model::machine::Machine {
            enrolled_by: Some("token".into()),
            expires_at: Some(start.plus_seconds(29 * 86_400)),
            ..(*bench.state.machines[&id]).clone()
        };
        bench.put(Entity::Machine(job));
        bench.put(Entity::Grant(crate::model::grant::Grant {
            id: "job".into(),
            vault,
            project: bench.state.secrets[&a].project.clone(),
            grantee: crate::model::machine::Grantee::Machine(id.clone()),
            secrets: vec![a.clone(), b],
            expires_at: None,
            managed: None,
        }));
        bench.run(|it| secret::delete(it, &a)).unwrap();
        bench.now = start.plus_seconds(30 * 86_400);
        bench.run(run).unwrap();
        assert!(!bench.state.machines.contains_key(&id) && !bench.state.secrets.contains_key(&a));
        assert!(bench.state.grants.is_empty(), "{:?}", bench.state.grants);
    }

    #[test]
    fn rows_of_an_earlier_release_mean_what_they_meant() {
        let mut bench = bench();
        let id = made(&mut bench, "db", given("x", &[]));
        let mut row = serde_json::to_value(&bench.state.secrets[&id]).unwrap();
        for new in ["history", "note", "schedule"] {
            row.as_object_mut().unwrap().remove(new);
        }
        let old: Secret = serde_json::from_value(row).unwrap();
        assert_eq!((&old.history, &old.note, &old.schedule), (&<_>::default(), &None, &None));
        assert_eq!(serde_json::from_value::<Secret>(serde_json::to_value(&old).unwrap()).unwrap(), old);
        let canary = serde_json::json!({
            "secret": id, "vault": "vault_v", "project": old.project, "freeze_project": true, "freeze_related": false,
        });
        let canary: crate::model::canary::Canary = serde_json::from_value(canary).unwrap();
        assert!(canary.armed && canary.trips == 0 && canary.last_trip.is_none());
        bench.put(Entity::Secret(old));
        assert_eq!(bench.run(|it| secret::set(it, &id, SecretText::new("y".into()), None)).unwrap(), 2);
        assert_eq!(bench.state.secrets[&id].history.versions.len(), 1);
    }
}
