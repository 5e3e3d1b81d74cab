//! The views that parse a wire struct into what it means, where an object did not pass the API server's rules too.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use serde_json::{Value, json};
use sikkerkey_crds::{
    machine::{Approval, DeliveryFile, FileContentError, MachineSpec, OnChange},
    secret::SecretSource,
};

fn machine(spec: Value) -> MachineSpec {
    serde_json::from_value(spec).unwrap()
}

#[test]
fn a_choice_of_none_or_of_two_is_no_choice() {
    let workload = json!({"serviceAccountNames": ["web"]});
    for spec in [json!({}), json!({"workload": workload, "host": {}})] {
        let refusal = machine(spec).subject().unwrap_err();
        assert_eq!(refusal.to_string(), "spec: give exactly one of workload, host");
    }
    for source in [json!({}), json!({"generate": {}, "external": {}})] {
        let refusal = serde_json::from_value::<SecretSource>(source).unwrap().origin().unwrap_err().to_string();
        assert_eq!(refusal, "spec.source: give exactly one of generate, sealed, kubernetesSecret, external");
    }
    let refusal = OnChange::default().notice().unwrap_err();
    assert_eq!(refusal.to_string(), "spec.delivery.onChange: give exactly one of httpPost, signal");
}

#[test]
fn who_approves_follows_from_what_the_machine_is() {
    let workload = json!({"serviceAccountNames": ["web"]});
    let cases = [
        (json!({"workload": workload}), Approval::Automatic),
        (json!({"workload": workload, "approval": "Manual"}), Approval::Manual),
        (json!({"host": {}}), Approval::Manual),
        (json!({"host": {"publicKey": "key"}}), Approval::Automatic),
        (json!({"host": {"publicKey": "key"}, "approval": "Manual"}), Approval::Automatic),
    ];
    for (spec, approval) in cases {
        assert_eq!(machine(spec.clone()).approval(), approval, "{spec}");
    }
}

#[test]
fn pods_renew_hourly_and_hosts_do_not_expire_unless_told_otherwise() {
    let workload = json!({"serviceAccountNames": ["web"]});
    let seconds = |spec| machine(spec).lifetime().map(|lifetime| lifetime.as_secs());
    assert_eq!(seconds(json!({"workload": workload})), Some(3600));
    assert_eq!(seconds(json!({"workload": workload, "identity": {"lifetime": "15m"}})), Some(900));
    assert_eq!(seconds(json!({"host": {}})), None);
    assert_eq!(seconds(json!({"host": {}, "identity": {"lifetime": "720h"}})), Some(720 * 3600));
}

#[test]
fn a_file_needs_what_its_format_needs() {
    let cases = [
        (json!({"path": "a", "secretRefs": []}), FileContentError::RawInputs),
        (json!({"path": "a", "secretRefs": [{"name": "x"}, {"name": "y"}]}), FileContentError::RawInputs),
        (json!({"path": "a", "secretRefs": [{"name": "x", "as": "X"}]}), FileContentError::RawInputs),
        (json!({"path": "a", "format": "Template", "secretRefs": [{"name": "x"}]}), FileContentError::NoTemplate),
        (json!({"path": "a", "format": "PKCS12", "secretRefs": [{"name": "x"}]}), FileContentError::NoPkcs12),
    ];
    for (file, refusal) in cases {
        let parsed: DeliveryFile = serde_json::from_value(file.clone()).unwrap();
        assert_eq!(parsed.content(), Err(refusal), "{file}");
    }
}

#[test]
fn a_duration_in_days_is_refused_with_the_hours_to_write() {
    let refusal = serde_json::from_value::<MachineSpec>(json!({"host": {}, "identity": {"lifetime": "30d"}}));
    assert_eq!(refusal.unwrap_err().to_string(), "days are not a unit: 30d is 720h");
}
