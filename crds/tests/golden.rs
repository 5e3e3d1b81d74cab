//! Generated files are what the types generate.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{fs, path::Path};

use sikkerkey_crds::{
    access_policy::AccessPolicy,
    admission,
    crd::{crds, to_yaml},
    grant::Grant,
    json_schema,
    machine::Machine,
    question,
    secret::Secret,
};

/// Compares a committed file with what it is generated from, or rewrites it if the environment says so.
fn assert_committed(path: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is out of date: run UPDATE_GOLDEN=1 cargo test -p sikkerkey-crds",
        path.display()
    );
}

#[test]
fn the_definitions_beside_the_crate_are_what_the_types_generate() {
    for crd in crds().into_iter().chain([question::definition()]) {
        assert_committed(&format!("{}.yaml", crd.spec.names.plural), &to_yaml(&crd).unwrap());
    }
}

#[test]
fn the_admission_policies_are_what_was_last_looked_at() {
    assert_committed("tests/fixtures/admission-policies.yaml", &admission::to_yaml().unwrap());
}

#[test]
fn the_strict_schemas_are_what_the_types_generate() {
    for (kind, schema) in [
        ("machine", json_schema::to_json::<Machine>()),
        ("secret", json_schema::to_json::<Secret>()),
        ("grant", json_schema::to_json::<Grant>()),
        ("accesspolicy", json_schema::to_json::<AccessPolicy>()),
    ] {
        assert_committed(&format!("../charts/gitops/schemas/sikkerkey.com/{kind}_v1alpha1.json"), &schema.unwrap());
    }
}
