//! What holds the app of a pod back until its files are there: one of two gates, chosen at admission from memory.
//!
//! | Gate | Good | Bad |
//! |---|---|---|
//! | a hook that waits | 0.8 s faster: a probe needs one more listing of the kubelet | nothing can interrupt it, so it gives up within a minute; the sidecar is restarted, ever more seldom, and its logs say nothing meanwhile |
//! | a startup probe with a long budget | the sidecar runs, logs and keeps its key for as long as it takes | a second slower, and asked for each time |
//!
//! So the hook holds pods whose files come at once or not at all, and the probe those that a policy may make wait for
//! hours: for a time window, or for a co-signer.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sikkerkey_crds::machine::Machine;
use sikkerkey_protocol::kubernetes::ObjectKey;

use crate::index::Index;

/// How often the probe asks, in seconds: often enough to be prompt, seldom enough for a node with many pods that wait.
const PERIOD: u32 = 2;
/// How long one answer may take on a busy node, in seconds.
const TIMEOUT: u32 = 5;
/// How long the probe goes on, in seconds: longer than any window stays closed, and than an approval is good.
const BUDGET: u32 = 15 * 24 * 3_600;

/// What holds the app back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// A postStart hook that waits within a bound of its own.
    Hook,
    /// A startup probe with a long budget.
    Probe,
}

impl Gate {
    /// The gate of a pod of `machine`: a probe where a policy with a time window or a co-signer guards a Secret without
    /// which the pod does not start.
    pub fn of(machine: &Machine, index: &Index, now: Timestamp) -> Self {
        let own = machine.metadata.namespace.as_deref().unwrap_or_default();
        let required = machine.spec.delivery().files().iter().filter(|file| !file.is_optional());
        let mut secrets = required.flat_map(|file| {
            let inputs = file.secret_refs.iter().map(|input| (input.namespace_or(own), &input.name));
            let passwords = file.pkcs12.iter().map(|store| &store.password_ref);
            inputs.chain(passwords.map(|password| (password.namespace_or(own), &password.name)))
        });
        let waits = secrets.any(|(namespace, name)| {
            let key = ObjectKey { namespace: namespace.to_owned(), name: name.clone() };
            // Of a Secret elsewhere that the Machine is not granted the pod's author learns nothing, not even this.
            let may_know = namespace == own || index.granted_until(machine, &key, now).is_some();
            may_know && may_wait_for_hours(index, &key)
        });
        if waits { Self::Probe } else { Self::Hook }
    }

    /// The key and the value of the sidecar's container that make it.
    pub(super) fn part(self) -> (&'static str, Value) {
        match self {
            Self::Hook => ("lifecycle", json!({"postStart": {"exec": {"command": ["/sikkerkey-sidecar", "wait"]}}})),
            Self::Probe => (
                "startupProbe",
                json!({
                    "exec": {"command": ["/sikkerkey-sidecar", "ready"]},
                    "failureThreshold": BUDGET / PERIOD,
                    "periodSeconds": PERIOD,
                    "timeoutSeconds": TIMEOUT,
                }),
            ),
        }
    }
}

fn may_wait_for_hours(index: &Index, secret: &ObjectKey) -> bool {
    let secret = index.secret(&secret.namespace, &secret.name).zip(Some(&secret.namespace));
    let policy = secret.and_then(|(secret, own)| index.policy(own, &secret.spec.policy_ref.as_ref()?.name));
    policy.is_some_and(|policy| policy.spec.time_window.is_some() || policy.spec.co_sign.is_some())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::core::DeserializeGuard;
    use kube::runtime::watcher::Event;
    use sikkerkey_crds::crd::Kind;
    use sikkerkey_crds::received::Received;

    use super::*;
    use crate::index::seen::Seen;

    fn object(kind: &str, place: &str, spec: &Value) -> Value {
        let (namespace, name) = place.split_once('/').unwrap();
        json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "spec": spec,
               "metadata": {"name": name, "namespace": namespace, "uid": place, "generation": 1}})
    }

    fn seen<K: Kind>(kind: &str, place: &str, spec: &Value) -> Event<Seen<K>> {
        let guard: DeserializeGuard<Received<K>> = serde_json::from_value(object(kind, place, spec)).unwrap();
        Event::Apply(guard.into())
    }

    /// In shop and in pay a Secret for each policy, named after it; of pay, `hours` is granted to shop/web.
    fn cluster() -> Arc<Index> {
        let (index, mut feeds) = Index::new();
        let policies = [
            ("hours", json!({"timeZone": "UTC", "timeWindow": {"start": "06:00", "end": "20:00"}})),
            ("signed", json!({"coSign": {"machineRef": {"name": "boss"}, "window": "1h"}})),
            ("capped", json!({"rateCap": {"perMinute": 1}, "ttl": {"maxReads": 9}, "rotateAfterReads": 99})),
        ];
        for namespace in ["shop", "pay"] {
            for (name, spec) in &policies {
                let place = format!("{namespace}/{name}");
                let secret = json!({"source": {"generate": {}}, "policyRef": {"name": name}});
                feeds.policies.apply(&seen("AccessPolicy", &place, spec));
                feeds.secrets.apply(&seen("Secret", &place, &secret));
            }
            for (name, spec) in [
                ("free", json!({"source": {"generate": {}}})),
                ("locked", json!({"source": {"generate": {}}, "policyRef": {"name": "unknown"}})),
            ] {
                feeds.secrets.apply(&seen("Secret", &format!("{namespace}/{name}"), &spec));
            }
        }
        let grant = json!({"machineRef": {"name": "web", "namespace": "shop"}, "secretRefs": [{"name": "hours"}]});
        feeds.grants.apply(&seen("Grant", "pay/web-reads", &grant));
        index
    }

    #[test]
    fn a_probe_holds_those_that_a_policy_may_make_wait_for_hours_and_a_hook_all_others() {
        let index = cluster();
        let file = |secrets: Value| json!({"path": "a", "format": "DotEnv", "secretRefs": secrets});
        let mut optional = file(json!([{"name": "hours"}]));
        optional["optional"] = true.into();
        let store = json!({"path": "a", "format": "PKCS12", "secretRefs": [{"name": "free"}],
                           "pkcs12": {"type": "KeyStore", "passwordRef": {"name": "signed"}}});
        for (files, expected) in [
            (json!([]), Gate::Hook),
            (json!([file(json!([{"name": "free"}]))]), Gate::Hook),
            (json!([file(json!([{"name": "capped"}]))]), Gate::Hook),
            (json!([file(json!([{"name": "locked"}]))]), Gate::Hook),
            (json!([file(json!([{"name": "none"}]))]), Gate::Hook),
            (json!([file(json!([{"name": "hours"}]))]), Gate::Probe),
            (json!([file(json!([{"name": "free"}, {"name": "signed"}]))]), Gate::Probe),
            (
                json!([file(json!([{"name": "free"}])), file(json!([{"name": "signed", "namespace": "shop"}]))]),
                Gate::Probe,
            ),
            (json!([optional]), Gate::Hook),
            (json!([store]), Gate::Probe),
            // Of another namespace: granted, and not.
            (json!([file(json!([{"name": "hours", "namespace": "pay"}]))]), Gate::Probe),
            (json!([file(json!([{"name": "signed", "namespace": "pay"}]))]), Gate::Hook),
            (json!([file(json!([{"name": "free", "namespace": "pay"}]))]), Gate::Hook),
            (json!([file(json!([{"name": "hours", "namespace": "elsewhere"}]))]), Gate::Hook),
        ] {
            let allow = json!([{"namespace": "pay", "kinds": ["Grant"]}]);
            let workload = json!({"serviceAccountNames": ["web"]});
            let spec = json!({"workload": workload, "allowFrom": allow, "delivery": {"files": files}});
            let machine: Machine = serde_json::from_value(object("Machine", "shop/web", &spec)).unwrap();
            assert_eq!(Gate::of(&machine, &index, Timestamp::UNIX_EPOCH), expected, "{files}");
        }
    }

    #[test]
    fn the_budget_of_the_probe_outlasts_every_window_and_every_approval() {
        let (key, probe) = Gate::Probe.part();
        let seconds = probe["failureThreshold"].as_u64().unwrap() * probe["periodSeconds"].as_u64().unwrap();
        assert_eq!(key, "startupProbe");
        assert!(seconds > 14 * 24 * 3_600, "{seconds}");
        assert!(seconds > *sikkerkey_protocol::policy::CO_SIGN_WINDOW_SECONDS.end(), "{seconds}");
    }
}
