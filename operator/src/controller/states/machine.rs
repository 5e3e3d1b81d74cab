//! States of a Machine.

use sikkerkey_crds::machine::MachineStatus;
use sikkerkey_protocol::kubernetes::{MachineState, ObjectKey};

use super::*;
use crate::controller::machine::gather::{Facts, FileProblem};
use crate::index::Given;

const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

fn workload(more: Value) -> Value {
    let mut spec = json!({
        "workload": {"serviceAccountNames": ["web"]},
        "delivery": {"files": [{"path": "db/password", "secretRefs": [{"name": "db", "field": "password"}]}]},
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn state(more: Value) -> MachineState {
    let mut state = json!({
        "machineId": "67e55044-10b1-426f-9247-bb680e5fe0c8", "approval": "Approved", "suspended": false, "alive": 3,
        "grantedSecrets": 1, "lastSeen": now().as_millisecond(), "fingerprint": null, "expiresAt": null,
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

fn db() -> ObjectKey {
    ObjectKey { namespace: "shop".to_owned(), name: "db".to_owned() }
}

impl States for Machine {
    fn plain() -> Value {
        workload(json!({}))
    }

    fn facts() -> Facts {
        Facts { granted: Given { count: 1, changes_at: None }, outdated_pods: Some(0), ..Facts::default() }
    }

    fn state() -> MachineState {
        state(json!({}))
    }

    fn invalid() -> Value {
        workload(json!({"suspend": null}))
    }

    fn own(gallery: &mut Gallery<Self>) {
        let in_force = |more: Value| Outcome::InForce(state(more));
        let of_host = |more: Value| {
            let mut state = state(json!({"alive": 0, "lastSeen": null, "fingerprint": "SHA256:q1Pj0l3WmZc"}));
            let mut all = serde_json::to_value(&state).unwrap();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            state = serde_json::from_value(all).unwrap();
            Outcome::InForce(state)
        };
        let lacks = |problem| Facts { problems: vec![problem], ..Self::facts() };
        let path = || "db/password".to_owned();
        let not_granted = FileProblem::NotGranted { path: path(), secret: db() };
        let nothing = Facts { problems: vec![not_granted], ..Facts::default() };
        gallery.shows("secret-not-granted", Self::plain(), nothing, in_force(json!({})));
        let fields = vec!["dsn".to_owned(), "user".to_owned()];
        let no_field = FileProblem::NoField { path: path(), secret: db(), field: "password".to_owned(), fields };
        gallery.shows("field-not-found", Self::plain(), lacks(no_field), in_force(json!({})));
        let no_account = Facts { missing_accounts: vec!["web".to_owned()], ..Self::facts() };
        gallery.shows("service-account-not-found", Self::plain(), no_account, in_force(json!({"alive": 0})));
        let (host, pinned) = (json!({"host": {}}), json!({"host": {"publicKey": KEY}}));
        let in_use = refused(ErrorCode::KeyInUse);
        gallery.push("key-in-use", pinned.clone(), 1, Facts::default(), in_use, MachineStatus::default());
        let nobody = json!({"machineId": null, "approval": "Pending", "fingerprint": null});
        gallery.shows("awaiting-bootstrap", host.clone(), Facts::default(), of_host(nobody));
        gallery.shows("awaiting-approval", host, Facts::default(), of_host(json!({"approval": "Pending"})));
        let manual = workload(json!({"approval": "Manual"}));
        let pending = in_force(json!({"approval": "Pending", "alive": 0, "lastSeen": null}));
        gallery.shows("awaiting-approval-of-pods", manual, Self::facts(), pending);
        gallery.shows("denied", Self::plain(), Self::facts(), in_force(json!({"approval": "Denied", "alive": 0})));
        let suspended = in_force(json!({"suspended": true}));
        gallery.shows("suspended", workload(json!({"suspend": true})), Self::facts(), suspended);
        let yesterday = json!({"expiresAt": now().as_millisecond() - 86_400_000});
        gallery.shows("expired", pinned.clone(), Self::facts(), of_host(yesterday));
        gallery.shows("ready-host", pinned, Self::facts(), of_host(json!({})));
        let some = Facts { outdated_pods: Some(2), ..Self::facts() };
        gallery.shows("pods-outdated", Self::plain(), some, in_force(json!({})));
    }
}
