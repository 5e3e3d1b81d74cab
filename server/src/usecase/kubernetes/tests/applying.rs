//! What holds for every kind.

use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{Delete, Inventory, Kind, ObjectKey, Rewind};

use crate::audit::entry::Action;
use crate::model::Entity;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::fixture::*;
use crate::usecase::kubernetes::inventory;

type Apply = fn(&mut Bench, &str, i64, &str, &str) -> Result<(), Refusal>;

/// Applies one object of each kind, by generation, uid and uid of the namespace.
const KINDS: [Apply; 4] = [
    |bench, namespace, generation, uid, ns_uid| {
        let mut request = workload("web");
        request.object.key.namespace = namespace.into();
        (request.object.generation, request.object.uid, request.object.namespace_uid) =
            (generation, uid.into(), ns_uid.into());
        request.suspended = generation % 2 == 0;
        bench.apply_machine(request).map(drop)
    },
    |bench, namespace, generation, uid, ns_uid| {
        let mut request = generated("db");
        request.object.key.namespace = namespace.into();
        (request.object.generation, request.object.uid, request.object.namespace_uid) =
            (generation, uid.into(), ns_uid.into());
        bench.apply_secret(request).map(drop)
    },
    |bench, namespace, generation, uid, ns_uid| {
        let mut machine = workload("granted");
        machine.object.key.namespace = namespace.into();
        machine.object.namespace_uid = ns_uid.into();
        bench.apply_machine(machine)?;
        let mut request = grant("g", "granted", &["db"]);
        request.object.key.namespace = namespace.into();
        request.machine.namespace = namespace.into();
        (request.object.generation, request.object.uid, request.object.namespace_uid) =
            (generation, uid.into(), ns_uid.into());
        bench.apply_grant(request).map(drop)
    },
    |bench, namespace, generation, uid, ns_uid| {
        let mut request = allowlist("p", "10.0.0.0/8");
        request.object.key.namespace = namespace.into();
        (request.object.generation, request.object.uid, request.object.namespace_uid) =
            (generation, uid.into(), ns_uid.into());
        bench.apply_policy(request).map(drop)
    },
];

#[test]
fn the_same_object_twice_changes_nothing_and_writes_nothing_the_second_time() {
    for apply in KINDS {
        let mut bench = Bench::new();
        apply(&mut bench, "shop", 1, "u", "ns-1").unwrap();
        assert!(!bench.audit.is_empty());
        apply(&mut bench, "shop", 1, "u", "ns-1").unwrap();
        assert_eq!((bench.audit.as_slice(), bench.changes), ([].as_slice(), 0));
    }
}

#[test]
fn an_older_generation_never_replaces_a_newer_one_and_another_uid_takes_over() {
    for apply in KINDS {
        let mut bench = Bench::new();
        apply(&mut bench, "shop", 3, "u", "ns-1").unwrap();
        let refusal = apply(&mut bench, "shop", 2, "u", "ns-1").unwrap_err();
        assert_eq!((refusal.kind, refusal.code), (RefusalKind::Conflict, Some(ErrorCode::Superseded)));
        assert!(refusal.message.starts_with("generation 3 of shop/"), "{}", refusal.message);
        apply(&mut bench, "shop", 1, "other", "ns-1").unwrap();
        apply(&mut bench, "shop", 2, "other", "ns-1").unwrap();
    }
}

#[test]
fn an_older_generation_may_replace_a_newer_one_once_the_cluster_has_gone_back() {
    let named = [(Kind::Machine, "web"), (Kind::Secret, "db"), (Kind::Grant, "g"), (Kind::AccessPolicy, "p")];
    for (apply, (kind, name)) in KINDS.into_iter().zip(named) {
        let mut bench = Bench::new();
        apply(&mut bench, "shop", 5, "u", "ns-1").unwrap();
        let back = Rewind { kind, key: object(name, 1).key, uid: "u".into(), from: 5, to: 2 };
        for other in [
            Rewind { uid: "other".into(), ..back.clone() },
            Rewind { from: 4, ..back.clone() },
            Rewind { key: object("none", 1).key, ..back.clone() },
        ] {
            bench.rewind(other).unwrap();
            assert_eq!((bench.changes, bench.audit.len()), (0, 0), "{kind:?}");
        }
        let forward = bench.rewind(Rewind { to: 5, ..back.clone() }).unwrap_err();
        assert_eq!(forward.kind, RefusalKind::Invalid);
        apply(&mut bench, "shop", 2, "u", "ns-1").unwrap_err();
        bench.rewind(back.clone()).unwrap();
        assert_eq!(bench.actions(), [Action::ObjectRewind]);
        bench.rewind(back).unwrap();
        assert_eq!((bench.changes, bench.audit.len()), (0, 0), "{kind:?}");
        apply(&mut bench, "shop", 1, "u", "ns-1").unwrap_err();
        apply(&mut bench, "shop", 2, "u", "ns-1").unwrap();
        apply(&mut bench, "shop", 3, "u", "ns-1").unwrap();
    }
}

#[test]
fn what_is_kept_without_its_object_goes_back_as_well() {
    for (apply, kind, name) in [(KINDS[1], Kind::Secret, "db"), (KINDS[3], Kind::AccessPolicy, "p")] {
        let mut bench = Bench::new();
        apply(&mut bench, "shop", 5, "u", "ns-1").unwrap();
        let key = object(name, 1).key;
        if let Some(policy) = bench.state.policy_of("prod", &key).cloned() {
            bench.put(Entity::Policy(crate::model::policy::Policy { protected: true, ..policy }));
        }
        bench.delete(Delete { kind, key: key.clone(), uid: "u".into(), trash: false }).unwrap();
        // It is not in force, and still measures what is applied.
        apply(&mut bench, "shop", 2, "u", "ns-1").unwrap_err();
        bench.rewind(Rewind { kind, key, uid: "u".into(), from: 5, to: 2 }).unwrap();
        assert_eq!(bench.actions(), [Action::ObjectRewind], "{kind:?}");
        apply(&mut bench, "shop", 2, "u", "ns-1").unwrap();
    }
}

#[test]
fn a_namespace_made_anew_inherits_nothing_without_a_persons_word() {
    for first in KINDS {
        for second in KINDS {
            let mut bench = Bench::new();
            first(&mut bench, "shop", 1, "u", "ns-1").unwrap();
            refused(
                second(&mut bench, "shop", 1, "u", "ns-2"),
                RefusalKind::Conflict,
                Some(ErrorCode::AdoptionRequired),
                "the server holds objects of an earlier namespace shop. If it is yours: sikkerkey-server admin adopt --cluster prod --namespace shop --uid ns-2",
            );
            // Another namespace is not concerned.
            second(&mut bench, "other", 1, "u", "ns-9").unwrap();
        }
    }
}

#[test]
fn a_namespace_is_adopted_by_a_persons_word_and_keeps_ids_versions_and_values() {
    use crate::usecase::admin::adopt::adopt;
    for uid in [Some("ns-2"), None] {
        let mut bench = Bench::new();
        bench.apply_secret(generated("db")).unwrap();
        let (before, value) = (bench.secret("db").clone(), bench.value("db"));
        assert_eq!(bench.run(|it| adopt(it, "prod", Some("shop"), uid)).unwrap(), 1);
        assert_eq!(bench.actions(), [Action::NamespaceAdopt]);
        let mut again = generated("db");
        (again.object.uid, again.object.namespace_uid) = ("db-2".into(), "ns-2".into());
        bench.apply_secret(again).unwrap();
        assert_eq!((&bench.secret("db").id, bench.secret("db").version), (&before.id, 1));
        assert_eq!(bench.value("db"), value);
        // It is this namespace's now, and no third one's.
        let mut third = generated("db");
        third.object.namespace_uid = "ns-3".into();
        assert_eq!(bench.apply_secret(third).unwrap_err().code, Some(ErrorCode::AdoptionRequired));
    }
    let mut bench = Bench::new();
    refused(
        bench.run(|it| adopt(it, "prod", Some("shop"), None)),
        RefusalKind::NotFound,
        None,
        "the server holds nothing of namespace shop of cluster prod",
    );
}

#[test]
fn a_project_that_holds_nothing_is_taken_over_and_the_trash_stays_behind() {
    let mut bench = Bench::new();
    bench.apply_secret(generated("db")).unwrap();
    let old = bench.secret("db").clone();
    let mut trash = deleted(Kind::Secret, "db");
    trash.trash = true;
    bench.delete(trash).unwrap();
    let mut next = generated("db");
    next.object.namespace_uid = "ns-2".into();
    let state = bench.apply_secret(next).unwrap();
    assert_ne!((&state.secret_id, &state.project_id), (&old.id, &old.project));
    assert_eq!(bench.state.secrets[&old.id].project, old.project);
}

#[test]
fn an_agent_reaches_its_own_cluster_and_no_other() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_secret(generated("db")).unwrap();
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    bench.apply_policy(allowlist("p", "10.0.0.0/8")).unwrap();
    bench.enrol("pod-1", 1);
    let ours = bench.inventory("prod");
    let count = |it: &sikkerkey_protocol::kubernetes::Inventoried| {
        (it.machines.len(), it.secrets.len(), it.grants.len(), it.policies.len(), it.pods.len())
    };
    assert_eq!(count(&ours), (1, 1, 1, 1, 1));
    assert_eq!(ours.pods[0].pod, pod("pod-1"));
    assert_eq!(ours.pods[0].machine, object("web", 1).key);
    assert_eq!(count(&bench.inventory("test")), (0, 0, 0, 0, 0));

    // The same names and uids from another cluster are other objects.
    let other = Bench::agent("test");
    for kind in [Kind::Machine, Kind::Secret, Kind::Grant, Kind::AccessPolicy] {
        let name = ["web", "db", "g", "p"][kind as usize];
        let request = deleted(kind, name);
        bench.run(|it| super::super::delete::delete(it, &other, source(), request)).unwrap();
        assert_eq!(bench.changes, 0);
    }
    let gone = sikkerkey_protocol::kubernetes::GonePods { uids: vec!["pod-1".into()] };
    let answer = bench.run(|it| super::super::pods::gone(it, &other, source(), gone)).unwrap();
    assert_eq!(answer.revoked, 0);
    assert_eq!(count(&bench.inventory("prod")), (1, 1, 1, 1, 1));

    let request = grant("g", "web", &["db"]);
    let state = bench.run(|it| super::super::grant::apply(it, &other, source(), request)).unwrap();
    assert_eq!((state.machine_id, state.granted, state.missing), (None, vec![], vec!["db".to_owned()]));
    let voucher = sikkerkey_protocol::kubernetes::IssueVoucher {
        machine: object("web", 1).key,
        pod: pod("pod-2"),
        public_key: key(2).public_key(),
    };
    let refusal = bench.run(|it| super::super::voucher::issue(it, &other, source(), voucher)).unwrap_err();
    assert_eq!(refusal.code, Some(ErrorCode::MachineNotFound));
}

#[test]
fn an_agent_without_a_cluster_or_of_one_no_longer_trusted_is_told_so() {
    let mut bench = Bench::new();
    let mut agent = Bench::agent("prod");
    agent.cluster = None;
    refused(
        bench.run(|it| inventory::list(it, &agent, source(), Inventory {})),
        RefusalKind::Forbidden,
        None,
        "this agent speaks for no cluster: log in with a token of a cluster, or make an agent token with --cluster",
    );
    agent.cluster = Some("gone".into());
    refused(
        bench.run(|it| inventory::list(it, &agent, source(), Inventory {})),
        RefusalKind::Forbidden,
        None,
        "cluster gone is no longer trusted here: sikkerkey-server admin cluster trust --name gone trusts it again",
    );
    // A cluster that was moved to another vault: what logged in before has no say there.
    agent.cluster = Some("prod".into());
    let moved =
        crate::model::cluster::Cluster { vault: "vault_w".parse().unwrap(), ..bench.state.clusters["prod"].clone() };
    bench.put(Entity::Cluster(moved));
    let refusal = bench.run(|it| inventory::list(it, &agent, source(), Inventory {})).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Forbidden);
}

#[test]
fn names_that_kubernetes_would_not_give_are_refused() {
    type Spoil = fn(&mut sikkerkey_protocol::kubernetes::ObjectMeta);
    let table: [(Spoil, &str); 6] = [
        (
            |it| it.key = ObjectKey { namespace: "Shop".into(), name: "web".into() },
            "namespace is not the name of a Kubernetes namespace",
        ),
        (|it| it.key.namespace = "a.b".into(), "namespace is not the name of a Kubernetes namespace"),
        (|it| it.key.name = "-web".into(), "name is not the name of a Kubernetes object"),
        (|it| it.key.name = "web\n".into(), "name is not the name of a Kubernetes object"),
        (|it| it.uid = String::new(), "uid of shop/web is not a uid"),
        (|it| it.namespace_uid = "a b".into(), "namespaceUid of shop/web is not a uid"),
    ];
    for (spoil, text) in table {
        let mut request = workload("web");
        spoil(&mut request.object);
        refused(Bench::new().apply_machine(request), RefusalKind::Invalid, None, text);
    }
}
