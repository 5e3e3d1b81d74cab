use proptest::prelude::*;
use sikkerkey_protocol::kubernetes::{ApplyGrant, Kind, ObjectKey};

use crate::audit::entry::Action;
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::refusal::RefusalKind;
use crate::usecase::fixture::*;

#[test]
fn what_does_not_exist_is_left_out_and_named() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    let state = bench.apply_grant(grant("g", "web", &["mail", "db", "db"])).unwrap();
    assert_eq!((state.granted, state.missing), (vec!["db".to_owned()], vec!["mail".to_owned()]));
    assert_eq!(bench.actions(), [Action::GrantApply]);
    assert_eq!(bench.audit[0].detail, "Grant shop/g of db to Machine shop/web, without mail");
    assert_eq!(bench.inventory("prod").machines[0].state.granted_secrets, 1);

    bench.apply_secret(generated("mail")).unwrap();
    let state = bench.apply_grant(grant("g", "web", &["mail", "db"])).unwrap();
    assert_eq!((state.granted.len(), state.missing.len()), (2, 0));
    // A Secret that goes away is missing again, one that comes back is granted again.
    bench.delete(deleted(Kind::Secret, "mail")).unwrap();
    let entry = bench.inventory("prod").grants.remove(0);
    assert_eq!((entry.state.granted, entry.state.missing), (vec!["db".to_owned()], vec!["mail".to_owned()]));
}

#[test]
fn a_grant_whose_machine_is_gone_gives_nothing() {
    let mut bench = Bench::new();
    bench.apply_secret(generated("db")).unwrap();
    let state = bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    assert_eq!((state.machine_id, state.missing), (None, vec!["db".to_owned()]));
    assert!(bench.state.grants.is_empty());

    bench.apply_machine(workload("web")).unwrap();
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    let mut moved = grant("g", "other", &["db"]);
    moved.object.generation = 2;
    assert_eq!(bench.apply_grant(moved).unwrap().machine_id, None);
    assert_eq!(bench.actions(), [Action::GrantDelete]);
    assert!(bench.state.grants.is_empty());
}

#[test]
fn a_grant_to_a_machine_of_another_namespace_is_one_of_the_secrets_namespace() {
    let mut bench = Bench::new();
    let mut machine = workload("ledger");
    machine.object.key.namespace = "payments".into();
    machine.object.namespace_uid = "ns-2".into();
    let fleet = bench.apply_machine(machine).unwrap().machine_id;
    bench.apply_secret(generated("db")).unwrap();
    let mut request = grant("g", "ledger", &["db"]);
    request.machine = ObjectKey { namespace: "payments".into(), name: "ledger".into() };
    let state = bench.apply_grant(request).unwrap();
    assert_eq!((&state.machine_id, state.granted), (&fleet, vec!["db".to_owned()]));
    let grant = bench.state.grants.values().next().unwrap();
    assert_eq!(grant.project, bench.secret("db").project);
    assert_eq!(grant.grantee, Grantee::Fleet(fleet.unwrap().parse().unwrap()));
}

#[test]
fn a_grant_of_nothing_or_of_too_much_is_refused() {
    let many: Vec<String> = (0..129).map(|it| format!("s{it}")).collect();
    for secrets in [vec![], many] {
        let request = ApplyGrant { secrets, ..grant("g", "web", &[]) };
        let text = "a Grant names from 1 to 128 Secrets";
        refused(Bench::new().apply_grant(request), RefusalKind::Invalid, None, text);
    }
}

#[test]
fn an_expired_grant_counts_for_nothing() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    let mut request = grant("g", "web", &["db"]);
    request.expires_at = Some(bench.now.0 + 1000);
    bench.apply_grant(request.clone()).unwrap();
    assert_eq!(bench.inventory("prod").secrets[0].state.grants, 1);
    bench.now = Millis(bench.now.0 + 1000);
    let all = bench.inventory("prod");
    assert_eq!((all.secrets[0].state.grants, all.machines[0].state.granted_secrets), (0, 0));
    assert_eq!(all.grants.len(), 1);
}

proptest! {
    /// Whatever stands in the cluster: after a Grant is deleted, no machine may read what it could not read before.
    #[test]
    fn revoking_never_widens(
        grants in proptest::collection::vec((0usize..3, proptest::collection::btree_set(0usize..3, 1..3), -1i64..2), 1..6),
        which in 0usize..6,
    ) {
        let mut bench = Bench::new();
        for n in 0..3 {
            bench.apply_machine(workload(&format!("m{n}"))).unwrap();
            bench.apply_secret(generated(&format!("s{n}"))).unwrap();
        }
        for (i, (machine, secrets, end)) in grants.iter().enumerate() {
            let names: Vec<String> = secrets.iter().map(|it| format!("s{it}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut request = grant(&format!("g{i}"), &format!("m{machine}"), &names);
            request.expires_at = (*end != 0).then_some(bench.now.0 + end * 1000);
            bench.apply_grant(request).unwrap();
        }
        let before = access(&bench);
        bench.delete(deleted(Kind::Grant, &format!("g{which}"))).unwrap();
        let after = access(&bench);
        prop_assert!(after.is_subset(&before), "{:?} {:?}", before, after);
        // And exactly what no other live Grant gives is gone.
        let expected: std::collections::BTreeSet<(String, String)> = grants
            .iter()
            .enumerate()
            .filter(|(i, (.., end))| *i != which && *end >= 0)
            .flat_map(|(_, (machine, secrets, _))| secrets.iter().map(move |it| (format!("m{machine}"), format!("s{it}"))))
            .collect();
        prop_assert_eq!(after, expected);
    }
}

fn access(bench: &Bench) -> std::collections::BTreeSet<(String, String)> {
    let mut pairs = std::collections::BTreeSet::new();
    for fleet in bench.state.fleets.values() {
        for secret in bench.state.secrets.values() {
            let grantee = Grantee::Fleet(fleet.id.clone());
            if bench.state.grants_for(&grantee, &secret.id).any(|it| it.expires_at.is_none_or(|end| bench.now < end)) {
                pairs.insert((fleet.managed.object.key.name.clone(), secret.name.clone()));
            }
        }
    }
    pairs
}
