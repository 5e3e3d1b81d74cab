use sikkerkey_protocol::kubernetes::{Delete, Kind};

use crate::audit::entry::Action;
use crate::usecase::fixture::*;

fn everything() -> Bench {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    bench.apply_policy(allowlist("p", "10.0.0.0/8")).unwrap();
    bench
}

const ALL: [(Kind, &str, Action); 4] = [
    (Kind::Machine, "web", Action::FleetDelete),
    (Kind::Secret, "db", Action::SecretRetain),
    (Kind::Grant, "g", Action::GrantDelete),
    (Kind::AccessPolicy, "p", Action::PolicyDelete),
];

#[test]
fn a_late_delete_never_hits_the_successor_of_the_same_name() {
    for (kind, name, _) in ALL {
        let mut bench = everything();
        bench.delete(Delete { uid: "earlier".into(), ..deleted(kind, name) }).unwrap();
        assert_eq!((bench.changes, bench.audit.len()), (0, 0), "{kind:?}");
    }
}

#[test]
fn deleting_twice_is_deleting_once() {
    for (kind, name, action) in ALL {
        let mut bench = everything();
        bench.delete(deleted(kind, name)).unwrap();
        assert_eq!(bench.actions().last(), Some(&action), "{kind:?}");
        bench.delete(deleted(kind, name)).unwrap();
        assert_eq!((bench.changes, bench.audit.len()), (0, 0), "{kind:?}");
    }
}

#[test]
fn a_grant_that_is_deleted_is_gone_from_everybodys_state() {
    let mut bench = everything();
    assert_eq!(bench.inventory("prod").secrets[0].state.grants, 1);
    bench.delete(deleted(Kind::Grant, "g")).unwrap();
    let all = bench.inventory("prod");
    assert_eq!((all.secrets[0].state.grants, all.machines[0].state.granted_secrets, all.grants.len()), (0, 0, 0));
}
