//! The indexes say what a scan of everything would say.

use proptest::prelude::*;
use sikkerkey_protocol::kubernetes::{ObjectMeta, PodIdentity};

use super::*;
use crate::model::fleet::FleetSubject;
use crate::model::machine::{PodOf, PodUid};
use crate::model::millis::Millis;

fn vault() -> VaultId {
    "vault_v".parse().unwrap()
}

fn uuid(n: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000{n:02x}")
}

fn secret_id(n: u8) -> SecretId {
    format!("sk_{n}").parse().unwrap()
}

fn managed(name: &str) -> Managed {
    let key = ObjectKey { namespace: "shop".into(), name: name.into() };
    Managed {
        cluster: "c".into(),
        object: ObjectMeta { key, namespace_uid: "ns".into(), uid: name.into(), generation: 1 },
    }
}

fn secret(id: u8, name: u8, phase: SecretPhase) -> Entity {
    Entity::Secret(Secret {
        id: secret_id(id),
        vault: vault(),
        project: "proj_p".parse().unwrap(),
        name: format!("s{name}"),
        field_names: vec![],
        version: 0,
        version_time: None,
        policy: name.is_multiple_of(2).then(|| "hours".into()),
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
        phase,
        held: false,
        managed: Some(managed(&format!("s{name}"))),
    })
}

fn grant(id: u8, grantee: u8, secrets: &[u8]) -> Entity {
    Entity::Grant(Grant {
        id: uuid(id),
        vault: vault(),
        project: "proj_p".parse().unwrap(),
        grantee: Grantee::Fleet(uuid(grantee).parse().unwrap()),
        secrets: secrets.iter().copied().map(secret_id).collect(),
        expires_at: None,
        managed: Some(managed(&format!("g{id}"))),
    })
}

fn machine(id: u8, fleet: u8, pod: u8) -> Entity {
    let public_key = sikkerkey_protocol::key::MachineKey::from_seed(&zeroize::Zeroizing::new([id; 32])).public_key();
    let pod = PodIdentity {
        namespace: "shop".into(),
        name: "web".into(),
        uid: format!("pod{pod}"),
        node: "n".into(),
        service_account: "web".into(),
    };
    Entity::Machine(Machine {
        id: uuid(id).parse().unwrap(),
        vault: vault(),
        name: "shop/web".into(),
        public_key,
        approval: if (id + fleet).is_multiple_of(2) { Approval::Approved } else { Approval::Pending },
        enabled: true,
        expires_at: None,
        created_at: Millis(0),
        fleet: Some(uuid(fleet).parse().unwrap()),
        pod: Some(PodOf { cluster: "c".into(), pod: pod.into() }),
        hostname: None,
        enrolled_by: None,
        approved_by_person: false,
        voucher: None,
        host: None,
    })
}

fn fleet(id: u8, approval: Approval) -> Entity {
    Entity::Fleet(Fleet {
        id: uuid(id).parse().unwrap(),
        vault: vault(),
        project: "proj_p".parse().unwrap(),
        managed: managed(&format!("f{id}")),
        approval,
        suspended: false,
        subject: FleetSubject::Host { public_key: None, lifetime_seconds: None },
    })
}

fn change() -> impl Strategy<Value = Change> {
    let phase =
        prop_oneof![Just(SecretPhase::Active), Just(SecretPhase::Retained), Just(SecretPhase::Trashed(Millis(1)))];
    prop_oneof![
        // At most one secret that is not in the trash has a name: the id of such a one is its name's number.
        (0u8..4, phase).prop_map(|(n, phase)| {
            let id = if matches!(phase, SecretPhase::Trashed(_)) { n + 8 } else { n };
            Change::put(secret(id, n, phase))
        }),
        (0u8..4, 0u8..3, proptest::collection::btree_set(0u8..4, 0..3)).prop_map(|(id, to, what)| Change::put(grant(
            id,
            to,
            &what.into_iter().collect::<Vec<_>>()
        ))),
        (0u8..4, 0u8..2, 0u8..3).prop_map(|(id, fleet, pod)| Change::put(machine(id, fleet, pod))),
        (0u8..3, prop_oneof![Just(Approval::Pending), Just(Approval::Approved)])
            .prop_map(|(id, approval)| Change::put(fleet(id, approval))),
        (0u8..3).prop_map(|n| Change::Remove(EntityKey { kind: EntityKind::Fleet, id: uuid(n) })),
        (0u8..4).prop_map(|n| Change::Remove(EntityKey { kind: EntityKind::Grant, id: uuid(n) })),
        (0u8..4).prop_map(|n| Change::Remove(EntityKey { kind: EntityKind::Machine, id: uuid(n) })),
        (0u8..12).prop_map(|n| Change::Remove(EntityKey { kind: EntityKind::Secret, id: secret_id(n).to_string() })),
    ]
}

proptest! {
    #[test]
    fn indexes_agree_with_a_scan(changes in proptest::collection::vec(change(), 0..40)) {
        let mut state = State::default();
        for change in changes {
            state.apply(change);
        }
        let waits = |it: &&Arc<Machine>| it.approval == Approval::Pending;
        let fleets = state.fleets.values().filter(|it| it.approval == Approval::Pending).count();
        prop_assert_eq!(state.waiting_in(&vault()), state.machines.values().filter(waits).count() + fleets);
        for to in 0u8..3 {
            let grantee = Grantee::Fleet(uuid(to).parse().unwrap());
            for what in 0u8..4 {
                let secret = secret_id(what);
                let found: BTreeSet<_> = state.grants_for(&grantee, &secret).map(|g| g.id.clone()).collect();
                let scanned: BTreeSet<_> = state
                    .grants
                    .values()
                    .filter(|g| g.grantee == grantee && g.secrets.contains(&secret))
                    .map(|g| g.id.clone())
                    .collect();
                let listed = state.secrets_granted_to(&grantee).any(|s| s.id == secret);
                prop_assert_eq!(listed, !scanned.is_empty() && state.secrets.contains_key(&secret));
                prop_assert_eq!(state.grantees_of(&secret).any(|it| *it == grantee), !scanned.is_empty());
                prop_assert_eq!(found, scanned);
            }
            let given: BTreeSet<_> = state.grants_to(&grantee).into_keys().map(str::to_owned).collect();
            let scanned = state.grants.values().filter(|g| g.grantee == grantee && !g.secrets.is_empty());
            prop_assert_eq!(given, scanned.map(|g| g.id.clone()).collect::<BTreeSet<_>>());
            let fleet: FleetId = uuid(to).parse().unwrap();
            let members = state.machines.values().filter(|m| m.fleet.as_ref() == Some(&fleet)).count();
            prop_assert_eq!(state.machines_in(&fleet).count(), members);
            let uid = PodUid::from(format!("pod{to}"));
            let of_pod = state.machines.values().filter(|m| m.pod.as_ref().is_some_and(|p| p.pod.uid == uid)).count();
            prop_assert_eq!(state.machines_of_pod("c", &uid).count(), of_pod);
        }
        for machine in state.machines.values() {
            let same_key = state.machines.values().filter(|m| m.public_key == machine.public_key).count();
            prop_assert_eq!(state.machines_with_key(&machine.public_key).count(), same_key);
        }
        let naming = state.secrets.values().filter(|s| s.policy.is_some()).count();
        prop_assert_eq!(state.secrets_naming(&"proj_p".parse().unwrap(), "hours").count(), naming);
        for n in 0u8..4 {
            let name = format!("s{n}");
            let readable = |s: &&Secret| s.name == name && !matches!(s.phase, SecretPhase::Trashed(_));
            let scanned = state.secrets.values().find(readable).map(|s| s.id.clone());
            let project = "proj_p".parse().unwrap();
            prop_assert_eq!(state.secret_named(&project, &name).map(|s| s.id.clone()), scanned.clone());
            let key = ObjectKey { namespace: "shop".into(), name };
            prop_assert_eq!(state.secret_of("c", &key).map(|s| s.id.clone()), scanned);
        }
    }
}
