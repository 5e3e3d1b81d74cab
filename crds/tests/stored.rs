//! Objects that an earlier version stored are read whole by this one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use serde::Deserialize;
use serde_json::Value;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::Secret;

/// What each version stored.
const STORED: [(&str, &str); 1] = [("v0.1.0", include_str!("fixtures/stored/v0.1.0.yaml"))];

/// The object as this version reads it and would write it.
fn read_and_written(object: &Value) -> Value {
    match object["kind"].as_str().unwrap() {
        "Machine" => through::<Machine>(object),
        "Secret" => through::<Secret>(object),
        "Grant" => through::<Grant>(object),
        "AccessPolicy" => through::<AccessPolicy>(object),
        other => panic!("{other}"),
    }
}

fn through<K: Kind>(object: &Value) -> Value {
    let received: Received<K> = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(received.findings, [], "{object}");
    serde_json::to_value(received.object).unwrap()
}

#[test]
fn nothing_of_what_an_earlier_version_stored_is_lost() {
    for (version, text) in STORED {
        let objects: Vec<Value> =
            serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect();
        assert!(objects.len() >= 10, "{version}");
        for object in objects {
            assert_eq!(read_and_written(&object), object, "{version}");
        }
    }
}
