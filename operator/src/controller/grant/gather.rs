//! What a Grant's plan needs to know of its surroundings.

use kube::ResourceExt;
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::ConsentKind;

use crate::controller::conditions::not_accepted;
use crate::index::Index;

/// The surroundings of a Grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The Machine it names.
    pub machine: Referred,
    /// The Secrets it names that do not exist.
    pub missing: Vec<String>,
    /// Whether one of its Secrets exists and nobody has looked at it yet.
    pub has_pending_secret: bool,
}

/// How a Machine that is named stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referred {
    /// It exists and consents.
    Fine {
        /// Whether it is suspended.
        suspended: bool,
    },
    /// It exists and consents, and nobody has looked at it yet.
    Pending,
    /// It does not exist in the own namespace.
    Missing,
    /// It is of another namespace and does not exist, or does not consent: on purpose one and the same.
    NotPermitted,
    /// It consents, and is not accepted.
    NotAccepted {
        /// Why.
        reason: String,
    },
}

/// Looks around.
pub fn gather(grant: &Grant, index: &Index) -> Facts {
    let own = grant.namespace().unwrap_or_default();
    let mut missing = Vec::new();
    let mut has_pending_secret = false;
    for named in &grant.spec.secret_refs {
        match index.secret(&own, &named.name) {
            Some(secret) if secret.metadata.deletion_timestamp.is_none() => {
                has_pending_secret |= index.is_unseen(&secret);
            }
            _ => missing.push(named.name.clone()),
        }
    }
    let machine = &grant.spec.machine_ref;
    let machine = machine_named(index, &own, machine.namespace_or(&own), &machine.name, ConsentKind::Grant);
    Facts { machine, missing, has_pending_secret }
}

/// How the Machine `name` of `namespace` stands to an object of `own`.
pub fn machine_named(index: &Index, own: &str, namespace: &str, name: &str, kind: ConsentKind) -> Referred {
    let machine = index.machine(namespace, name).filter(|machine| machine.metadata.deletion_timestamp.is_none());
    let foreign = namespace != own;
    match machine {
        None if foreign => Referred::NotPermitted,
        None => Referred::Missing,
        Some(machine) if foreign && !machine.spec.consents_to(own, kind) => Referred::NotPermitted,
        Some(machine) => match not_accepted(machine.conditions()) {
            Some(reason) => Referred::NotAccepted { reason: reason.to_owned() },
            None if index.is_unseen(&machine) => Referred::Pending,
            None => Referred::Fine { suspended: machine.spec.suspended() },
        },
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};
    use sikkerkey_crds::machine::Machine;
    use sikkerkey_crds::received::Received;
    use sikkerkey_crds::secret::Secret;

    use super::*;
    use crate::controller::fixture;

    fn apply<K: crate::index::seen::IndexedKind>(
        feed: &mut crate::index::Feed<crate::index::seen::Seen<K>>,
        object: Value,
    ) {
        let guard: DeserializeGuard<Received<K>> = serde_json::from_value(object).unwrap();
        feed.apply(&Event::Apply(guard.into()));
    }

    fn object(kind: &str, namespace: &str, name: &str, spec: &Value, conditions: &[Value]) -> Value {
        let metadata = json!({"namespace": namespace, "name": name, "uid": name, "generation": 1});
        json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec,
               "status": {"conditions": conditions}})
    }

    fn condition(type_: &str, status: &str, reason: &str) -> Vec<Value> {
        vec![json!({"type": type_, "status": status, "reason": reason, "message": "", "observedGeneration": 1,
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})]
    }

    #[test]
    fn a_machine_elsewhere_that_is_missing_and_one_that_does_not_consent_are_the_same() {
        let (index, mut feeds) = Index::new();
        let workload = |allow: Value| json!({"workload": {"serviceAccountNames": ["a"]}, "allowFrom": allow});
        let ready = || condition("Ready", "True", "Ready");
        let grants = json!([{"namespace": "shop", "kinds": ["Grant"]}]);
        let policies = json!([{"namespace": "shop", "kinds": ["AccessPolicy"]}]);
        for machine in [
            object("Machine", "shop", "own", &workload(json!([])), &ready()),
            object("Machine", "front", "consents", &workload(grants.clone()), &ready()),
            object("Machine", "front", "to-policies", &workload(policies), &ready()),
            object("Machine", "front", "to-nobody", &workload(json!([])), &ready()),
            object(
                "Machine",
                "front",
                "to-nobody-and-bad",
                &workload(json!([])),
                &condition("Accepted", "False", "InvalidSpec"),
            ),
            object(
                "Machine",
                "front",
                "bad",
                &workload(grants.clone()),
                &condition("Accepted", "False", "InvalidSpec"),
            ),
            object("Machine", "front", "new", &workload(grants), &[]),
        ] {
            apply::<Machine>(&mut feeds.machines, machine);
        }
        for (namespace, name, expected) in [
            ("shop", "own", Referred::Fine { suspended: false }),
            ("shop", "none", Referred::Missing),
            ("front", "consents", Referred::Fine { suspended: false }),
            ("front", "none", Referred::NotPermitted),
            ("front", "to-policies", Referred::NotPermitted),
            ("front", "to-nobody", Referred::NotPermitted),
            ("front", "to-nobody-and-bad", Referred::NotPermitted),
            ("front", "bad", Referred::NotAccepted { reason: "InvalidSpec".into() }),
            ("front", "new", Referred::Pending),
        ] {
            let found = machine_named(&index, "shop", namespace, name, ConsentKind::Grant);
            assert_eq!(found, expected, "{namespace}/{name}");
        }
        let for_policies = machine_named(&index, "shop", "front", "to-policies", ConsentKind::AccessPolicy);
        assert_eq!(for_policies, Referred::Fine { suspended: false });
    }

    #[test]
    fn secrets_are_missing_pending_or_there_and_only_those_of_the_own_namespace_count() {
        let (index, mut feeds) = Index::new();
        let spec = || json!({"source": {"external": {}}});
        let mut leaving = object("Secret", "shop", "leaving", &spec(), &condition("Ready", "True", "Ready"));
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        for secret in [
            object("Secret", "shop", "there", &spec(), &condition("Ready", "False", "ValueMissing")),
            object("Secret", "shop", "new", &spec(), &[]),
            object("Secret", "front", "elsewhere", &spec(), &condition("Ready", "True", "Ready")),
            leaving,
        ] {
            apply::<Secret>(&mut feeds.secrets, secret);
        }
        for (named, missing, has_pending_secret) in [
            (vec!["there"], vec![], false),
            (vec!["there", "new"], vec![], true),
            (vec!["elsewhere", "leaving", "none"], vec!["elsewhere", "leaving", "none"], false),
        ] {
            let refs: Vec<_> = named.iter().map(|name| json!({"name": name})).collect();
            let grant = fixture::grant(json!({"machineRef": {"name": "web"}, "secretRefs": refs}));
            let missing = missing.into_iter().map(str::to_owned).collect();
            let expected = Facts { machine: Referred::Missing, missing, has_pending_secret };
            assert_eq!(gather(&grant, &index), expected, "{named:?}");
        }
    }
}
