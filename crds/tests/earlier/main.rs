//! Whoever installed an earlier version can go on with this one: what the rules of a version allow to change in a definition, and
//! what not. The definitions of each earlier version are kept; a change of today's is judged by all of them.

#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by a panic")]

mod change;

use serde::Deserialize;
use serde_json::{Value, json};
use sikkerkey_crds::crd::crds;
use sikkerkey_crds::question;

use crate::change::{Change, changes};

/// The definitions of each earlier version.
const EARLIER: [(&str, &str); 2] = [
    ("first", include_str!("../fixtures/definitions/first.yaml")),
    ("v0.1.0", include_str!("../fixtures/definitions/v0.1.0.yaml")),
];

/// Rules that became narrower since. What was stored before can still be written, as far as it stays as it is: that is the API
/// server's doing, and each of these needs an object in `e2e/tests/api_server/upgrade.rs` that shows it.
const NARROWER: [(&str, &str); 1] = [("first", "machines.sikkerkey.com v1alpha1 spec.delivery.files[].mode: pattern")];

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn today() -> Vec<Value> {
    let all = crds().into_iter().chain([question::definition()]);
    all.map(|definition| serde_json::to_value(definition).unwrap()).collect()
}

#[test]
fn no_definition_has_changed_in_a_way_that_an_earlier_version_would_notice() {
    let today = today();
    for (version, text) in EARLIER {
        let earlier = documents(text);
        assert!(earlier.len() >= 4, "{version}");
        let changes = changes(&earlier, &today);
        let broken: Vec<_> = changes.iter().filter_map(Change::broken).collect();
        assert!(
            broken.is_empty(),
            "since {version}: {broken:#?}\nInside a version of the API fields are only added, and all of them are optional. A field that \
             is no longer used stays and is ignored."
        );
        // A Question is stored by nobody, so there is none that a rule could turn away.
        let is_stored = |it: &&str| !it.starts_with("questions.");
        let narrower: Vec<_> = changes.iter().filter_map(Change::narrower).filter(is_stored).collect();
        let shown: Vec<_> = NARROWER.into_iter().filter(|(since, _)| *since == version).map(|(_, path)| path).collect();
        assert_eq!(narrower, shown, "since {version}: add to NARROWER, with an object that is stored already");
    }
}

/// A definition with one field of each sort.
fn definition() -> Value {
    json!({
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example"},
        "spec": {
            "group": "example", "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "shortNames": ["th"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "selectableFields": [{"jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                    "spec": {"type": "object", "required": ["name"], "x-kubernetes-preserve-unknown-fields": true,
                        "x-kubernetes-validations": [{"rule": "has(self.size)", "message": "it has a size"}],
                        "properties": {
                            "name": {"type": "string", "maxLength": 10, "pattern": "a"},
                            "size": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 9, "nullable": true},
                            "sort": {"type": "string", "enum": ["Small", "Large"]},
                            "parts": {"type": "array", "maxItems": 4, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
                            "labels": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}},
                        }},
                    "status": {"type": "object", "default": {"phase": "New"}, "properties": {"phase": {"type": "string"}}},
                }}},
            }],
        },
    })
}

const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";

/// What is said when `place` of the definition becomes `value`, or is removed if that is null.
fn said(place: &str, value: Value) -> Vec<String> {
    let mut later = definition();
    let (parent, key) = place.rsplit_once('/').unwrap();
    match later.pointer_mut(parent).unwrap() {
        Value::Object(fields) if value.is_null() => drop(fields.remove(key).unwrap()),
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        Value::Array(items) => drop(items.remove(key.parse().unwrap())),
        other => panic!("{other}"),
    }
    changes(&[definition()], &[later]).iter().map(ToString::to_string).collect()
}

#[test]
fn what_breaks_an_earlier_version_is_named_by_its_path() {
    let in_spec = |place: &str, value: Value| said(&format!("{SPEC}{place}"), value);
    for (said, expected) in [
        (in_spec("/properties/size", Value::Null), "v1 spec.size: the field was removed"),
        (in_spec("/required", json!(["name", "size"])), "v1 spec.size: became required"),
        (in_spec("/properties/new", json!({"type": "string", "default": "x"})), "v1 spec.new: default is another"),
        (in_spec("/properties/size/default", json!(3)), "v1 spec.size: default is another"),
        (
            said("/spec/versions/0/schema/openAPIV3Schema/properties/status/default", json!({})),
            "v1 status: default is another",
        ),
        (in_spec("/properties/sort/enum", json!(["Large", "Huge"])), "v1 spec.sort: no longer takes \"Small\""),
        (in_spec("/properties/name/enum", json!(["a"])), "v1 spec.name: takes only some values"),
        (in_spec("/properties/size/type", json!("string")), "v1 spec.size: type is another"),
        (in_spec("/properties/size/format", json!("int64")), "v1 spec.size: format is another"),
        (in_spec("/properties/size/nullable", Value::Null), "v1 spec.size: null can no longer be told from nothing"),
        (in_spec("/x-kubernetes-preserve-unknown-fields", Value::Null), "v1 spec: unknown fields are no longer kept"),
        (
            in_spec("/properties/parts/x-kubernetes-list-type", json!("atomic")),
            "v1 spec.parts: x-kubernetes-list-type is another",
        ),
        (
            in_spec("/properties/parts/x-kubernetes-list-map-keys", json!(["key"])),
            "v1 spec.parts: x-kubernetes-list-map-keys is another",
        ),
        (
            in_spec("/properties/parts/items/properties/name", Value::Null),
            "v1 spec.parts[].name: the field was removed",
        ),
        (
            in_spec("/properties/labels/additionalProperties/type", json!("integer")),
            "v1 spec.labels{}: type is another",
        ),
        (in_spec("/properties/labels/additionalProperties", Value::Null), "v1 spec.labels{}: the field was removed"),
        (said("/spec/versions/0/served", json!(false)), "v1: is no longer served"),
        (said("/spec/versions/0", Value::Null), "v1: is no longer served"),
        (said("/spec/versions/0/subresources/status", Value::Null), "v1: has no status any more"),
        (said("/spec/versions/0/selectableFields", Value::Null), "v1: .spec.size can no longer be selected by"),
        (said("/spec/scope", json!("Cluster")), "scope is another"),
        (said("/spec/names/plural", json!("thinges")), "plural is another"),
        (said("/spec/names/shortNames", json!([])), "the short name th was removed"),
    ] {
        assert_eq!(said, [format!("things.example {expected}")]);
    }
    let gone = changes(&[definition()], &[]);
    assert_eq!(
        gone.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["things.example: the definition was removed"]
    );
    assert!(gone.iter().all(|change| change.broken().is_some()));
}

#[test]
fn a_rule_that_became_narrower_is_told_apart_from_one_that_became_wider() {
    let field = |field: &str, value: Value| said(&format!("{SPEC}/properties/{field}"), value);
    for (said, expected) in [
        (field("name/pattern", json!("b")), Some("name: pattern")),
        (field("name/pattern", Value::Null), None),
        (field("name/maxLength", json!(9)), Some("name: maxLength")),
        (field("name/maxLength", json!(11)), None),
        (field("name/minLength", json!(1)), Some("name: minLength")),
        (field("size/minimum", json!(1)), Some("size: minimum")),
        (field("size/minimum", json!(-1)), None),
        (field("size/maximum", json!(8)), Some("size: maximum")),
        (field("parts/maxItems", json!(3)), Some("parts: maxItems")),
        (field("parts/maxItems", Value::Null), None),
        (field("labels/maxProperties", json!(1)), Some("labels: maxProperties")),
        (field("sort/enum", json!(["Small", "Large", "Huge"])), None),
        (field("sort/enum", Value::Null), None),
        (field("later", json!({"type": "string"})), None),
        (
            field("name/x-kubernetes-validations", json!([{"rule": "self != ''", "message": "x"}])),
            Some("name: rule self != ''"),
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|it| format!("things.example v1 spec.{it}")).collect();
        assert_eq!(said, expected);
    }
    let rule = format!("{SPEC}/x-kubernetes-validations/0/rule");
    assert_eq!(said(&rule, json!("true")), ["things.example v1 spec: rule true"]);
    assert_eq!(said(&format!("{SPEC}/x-kubernetes-validations/0/message"), json!("Other words.")), [""; 0]);
    assert_eq!(said(&format!("{SPEC}/required"), json!([])), [""; 0]);
}
