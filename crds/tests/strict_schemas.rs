//! The strict JSON schemas admit what a team writes and underline what would be refused.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use serde::Deserialize;
use serde_json::{Value, json};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::json_schema::strict;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::secret::Secret;

/// What the schema of its kind finds wrong with an object.
fn findings(object: &Value) -> Vec<String> {
    let schema = match object["kind"].as_str().unwrap() {
        "Machine" => strict::<Machine>(),
        "Secret" => strict::<Secret>(),
        "Grant" => strict::<Grant>(),
        "AccessPolicy" => strict::<AccessPolicy>(),
        other => panic!("{other}"),
    };
    let validator = jsonschema::draft7::new(&schema.unwrap()).unwrap();
    validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn documents(text: &str) -> impl Iterator<Item = Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap())
}

#[test]
fn what_a_team_writes_passes() {
    let ours = documents(include_str!("fixtures/gitops.yaml"))
        .filter(|object| object["apiVersion"] == "sikkerkey.com/v1alpha1");
    let ours: Vec<_> = ours.collect();
    assert_eq!(ours.len(), 7);
    for object in ours {
        assert_eq!(findings(&object), [""; 0], "{object}");
    }
}

#[test]
fn every_key_that_is_no_field_and_every_null_is_found() {
    let cases: Vec<_> =
        documents(include_str!("fixtures/refused.yaml")).filter(|case| case["by"] == "fields").collect();
    assert!(cases.len() > 10);
    for case in cases {
        let mut object = json!({
            "apiVersion": "sikkerkey.com/v1alpha1", "kind": case["kind"], "metadata": {"name": "refused"},
            "spec": case["spec"],
        });
        if let Some(beside) = case["beside"].as_object() {
            object.as_object_mut().unwrap().extend(beside.clone());
        }
        assert!(!findings(&object).is_empty(), "{case}");
    }
}
