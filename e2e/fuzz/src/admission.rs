//! The body of an admission review.

use std::sync::LazyLock;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::names::{GROUP, MACHINE_LABEL};
use sikkerkey_crds::received::Received;
use sikkerkey_operator::index::Index;
use sikkerkey_operator::webhook::gate::Gate;
use sikkerkey_operator::webhook::inject::{inject, read_pod};
use sikkerkey_operator::webhook::resources::Resources;
use sikkerkey_operator::webhook::review;
use sikkerkey_operator::webhook::sidecar::Settings;
use sikkerkey_operator::webhook::validate::{Surroundings, validate};

/// Reads the review and answers it.
pub fn run(data: &[u8]) {
    let Ok(request) = review::read(data) else { return };
    let Ok(object) = request.required_object() else { return };
    if request.kind.group == GROUP {
        let Ok(new) = serde_json::from_str::<Value>(object.get()) else { return };
        let old = request.old_object.and_then(|old| serde_json::from_str(old.get()).ok());
        let (index, _feeds) = Index::new();
        let surroundings = Surroundings { now: Timestamp::UNIX_EPOCH, index: &index };
        let namespace = request.required_namespace().unwrap_or("shop");
        if let Err(invalid) = validate(&request.kind.kind, namespace, &new, old.as_ref(), &surroundings) {
            assert!(!invalid.message.is_empty());
        }
    } else if let Ok(pod) = serde_json::from_str::<Value>(object.get()) {
        for gate in [Gate::Hook, Gate::Probe] {
            let Some(once) = injected(&pod, gate) else { continue };
            let twice = injected(&once, gate);
            assert_eq!(twice.as_ref(), Some(&once), "injecting twice gives another pod");
        }
    }
}

static MACHINE: LazyLock<Option<Received<Machine>>> = LazyLock::new(|| {
    serde_json::from_value(json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine",
        "metadata": {"name": "web", "namespace": "shop", "uid": "4be6f15c-1f0a-4d1f-8b43-8b1d2bd7d0ab"},
        "spec": {"workload": {"serviceAccountNames": ["web", "default"]},
                 "delivery": {"files": [{"path": "db/password", "secretRefs": [{"name": "db"}]}]}},
    }))
    .ok()
});

static SETTINGS: LazyLock<Option<Settings>> = LazyLock::new(|| {
    Some(Settings {
        image: "registry.example/sikkerkey-sidecar:1.2.3".into(),
        resources: Resources::new("5m", "50m", "16Mi", &[]).ok()?,
        log_level: "info".into(),
        attest_url: "https://sikkerkey-operator.sikkerkey-system.svc:9443".into(),
        status_address: None,
        traces: None,
    })
});

/// The pod with a sidecar, if it may have one.
fn injected(pod: &Value, gate: Gate) -> Option<Value> {
    let view = read_pod(&pod.to_string()).ok()?;
    assert!(MACHINE.is_some() && SETTINGS.is_some(), "the fixture is not readable");
    // As the webhook does: no label, no injection, and the label says which Machine.
    let name = view.metadata.labels.as_ref()?.get(MACHINE_LABEL)?;
    let machine = MACHINE.as_ref().filter(|_| name == "web");
    let injection = inject(&view, "shop", machine, SETTINGS.as_ref()?, "-----BEGIN CERTIFICATE-----\n", gate).ok()?;
    let patch = serde_json::to_value(&injection.patch).and_then(serde_json::from_value::<json_patch::Patch>);
    let mut patched = pod.clone();
    let applied = patch.is_ok_and(|patch| json_patch::patch(&mut patched, &patch).is_ok());
    assert!(applied, "the patch does not apply to its own pod");
    Some(patched)
}

/// Whether the review asks for a pod that gets a sidecar.
#[cfg(test)]
pub(crate) fn is_injected(data: &[u8]) -> bool {
    let object = review::read(data).unwrap().object.unwrap();
    injected(&serde_json::from_str(object.get()).unwrap(), Gate::Hook).is_some()
}
