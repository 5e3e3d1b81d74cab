//! Of the objects that must be refused, those that only a look at the raw object can refuse.
//!
//! The others are the API server's: a test against a real one posts every object of the file.

use serde::Deserialize;
use serde_json::{Value, json};
use sikkerkey_crds::{
    access_policy::AccessPolicy, crd::Kind, grant::Grant, machine::Machine, secret::Secret, unknown::unknown_and_null,
};

#[test]
fn unknown_keys_and_nulls_are_found_where_the_schema_alone_would_let_them_pass() {
    let mut refused = 0;
    for document in serde_yaml::Deserializer::from_str(include_str!("fixtures/refused.yaml")) {
        let object = Value::deserialize(document).unwrap();
        let schema = match object["kind"].as_str().unwrap() {
            "Machine" => Machine::schema(),
            "Secret" => Secret::schema(),
            "Grant" => Grant::schema(),
            "AccessPolicy" => AccessPolicy::schema(),
            kind => panic!("{kind} is none of the four kinds"),
        };
        let mut raw = json!({"spec": object["spec"]});
        raw.as_object_mut().unwrap().extend(object["beside"].as_object().cloned().unwrap_or_default());
        let found: Vec<_> = unknown_and_null(schema, &raw).iter().map(ToString::to_string).collect();
        match object["by"].as_str().unwrap() {
            "schema" => assert!(found.is_empty(), "{object}: {found:?}"),
            "fields" => {
                refused += 1;
                let expected = object["expect"].as_str().unwrap();
                assert!(matches!(found.as_slice(), [one] if one.starts_with(expected)), "{object}: {found:?}");
            }
            by => panic!("nobody is called {by}"),
        }
    }
    assert!(refused >= 10);
}
