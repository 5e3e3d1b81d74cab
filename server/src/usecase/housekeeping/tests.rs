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
    bench.now = bench.now.plus_seconds(86_400);
    bench.run(run).unwrap();
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
    assert_eq!(held(&bench), (2, 1, 1, 1));
    let start = bench.now;
    for (seconds, expected) in [
        (59, (2, 1, 1, 1)),
        (60, (1, 1, 1, 1)),
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
