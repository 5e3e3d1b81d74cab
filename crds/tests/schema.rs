//! What holds for every field of every schema, whatever is added later.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Value, json};
use sikkerkey_crds::{
    access_policy::AccessPolicy,
    crd::Kind,
    grant::Grant,
    machine::Machine,
    secret::Secret,
    unknown::{Finding, unknown_and_null},
};

/// One schema with where it stands: `spec.files[].path`.
struct Node<'a> {
    path: String,
    schema: &'a JSONSchemaProps,
    /// Whether it is a field that may be absent.
    optional: bool,
}

fn walk<'a>(schema: &'a JSONSchemaProps, path: &str, optional: bool, nodes: &mut Vec<Node<'a>>) {
    nodes.push(Node { path: path.to_owned(), schema, optional });
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, field) in schema.properties.iter().flatten() {
        walk(field, &format!("{path}.{name}"), !required.contains(name), nodes);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(items, &format!("{path}[]"), false, nodes);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        walk(values, &format!("{path}{{}}"), false, nodes);
    }
}

fn nodes<K: Kind>(part: &str) -> Vec<Node<'static>> {
    let mut nodes = Vec::new();
    walk(&K::schema().properties.as_ref().unwrap()[part], part, false, &mut nodes);
    nodes
}

/// Every schema under spec and status of the four kinds, with the kind's name.
fn everywhere() -> Vec<(&'static str, Node<'static>)> {
    ["spec", "status"]
        .into_iter()
        .flat_map(|part| {
            let kinds = [
                (Machine::KIND, nodes::<Machine>(part)),
                (Secret::KIND, nodes::<Secret>(part)),
                (Grant::KIND, nodes::<Grant>(part)),
                (AccessPolicy::KIND, nodes::<AccessPolicy>(part)),
            ];
            kinds.into_iter().flat_map(|(kind, nodes)| nodes.into_iter().map(move |node| (kind, node)))
        })
        .collect()
}

fn is(node: &Node<'_>, type_: &str) -> bool {
    node.schema.type_.as_deref() == Some(type_)
}

fn in_spec(node: &Node<'_>) -> bool {
    node.path.starts_with("spec")
}

/// Asserts `holds` for every schema that `applies` to, and that there is one.
fn for_all(rule: &str, applies: impl Fn(&Node<'_>) -> bool, holds: impl Fn(&Node<'_>) -> bool) {
    let all = everywhere();
    let concerned: Vec<_> = all.iter().filter(|(_, node)| applies(node)).collect();
    assert!(!concerned.is_empty(), "{rule}: concerns nothing");
    let broken: Vec<_> = concerned.iter().filter(|(_, node)| !holds(node)).collect();
    let broken: Vec<_> = broken.iter().map(|(kind, node)| format!("{kind} {}", node.path)).collect();
    assert!(broken.is_empty(), "{rule}: {broken:?}");
}

#[test]
fn nothing_under_spec_has_a_default() {
    for_all("no default", in_spec, |node| node.schema.default.is_none());
}

#[test]
fn only_the_status_itself_has_a_default() {
    let has_default = |node: &Node<'_>| node.schema.default.is_some();
    for_all("no default", |node| !in_spec(node), |node| has_default(node) == (node.path == "status"));
}

#[test]
fn under_spec_a_field_takes_null_exactly_when_it_is_optional() {
    let values_of_a_map = |node: &Node<'_>| node.path.ends_with("{}");
    for_all("nullable", in_spec, |node| {
        node.schema.nullable.unwrap_or(false) == (node.optional || values_of_a_map(node))
    });
}

#[test]
fn under_status_nothing_takes_null() {
    for_all("not nullable", |node| !in_spec(node), |node| node.schema.nullable.is_none());
}

#[test]
fn every_object_under_spec_keeps_keys_that_it_does_not_know() {
    let keeps = |node: &Node<'_>| node.schema.x_kubernetes_preserve_unknown_fields == Some(true);
    let has_fields = |node: &Node<'_>| node.schema.properties.is_some();
    for_all("keeps", |node| in_spec(node) && has_fields(node), keeps);
    for_all("does not keep", |node| !in_spec(node) || !has_fields(node), |node| !keeps(node));
}

#[test]
fn every_list_has_a_maximum_and_says_how_it_merges() {
    for_all("maximum", |node| is(node, "array"), |node| node.schema.max_items.is_some());
    for_all("merge", |node| is(node, "array"), |node| node.schema.x_kubernetes_list_type.is_some());
}

#[test]
fn the_keys_of_a_list_are_required_fields_of_its_items() {
    let keyed = |node: &Node<'_>| node.schema.x_kubernetes_list_type.as_deref() == Some("map");
    for_all("keys", keyed, |node| {
        let Some(JSONSchemaPropsOrArray::Schema(items)) = &node.schema.items else { return false };
        let keys = node.schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
        let required = items.required.as_deref().unwrap_or_default();
        !keys.is_empty() && keys.iter().all(|key| required.contains(key))
    });
}

#[test]
fn every_string_is_bounded() {
    for_all(
        "bound",
        |node| is(node, "string"),
        |node| {
            let schema = node.schema;
            schema.max_length.is_some() || schema.enum_.is_some() || schema.format.as_deref() == Some("date-time")
        },
    );
}

#[test]
fn every_number_is_an_integer_of_a_width_that_kubernetes_knows_and_bounded_below() {
    for_all("integer", |_| true, |node| !is(node, "number"));
    for_all(
        "width",
        |node| is(node, "integer"),
        |node| matches!(node.schema.format.as_deref(), Some("int32" | "int64")) && node.schema.minimum.is_some(),
    );
}

#[test]
fn initials_are_written_in_capitals() {
    for_all(
        "capitals",
        |_| true,
        |node| {
            let name = node.path.rsplit('.').next().unwrap().trim_end_matches(['[', ']', '{', '}']);
            !["Id", "Ids", "Url", "Json", "Uuid"].iter().any(|initials| name.ends_with(initials))
        },
    );
}

#[test]
fn every_field_is_described_in_whole_sentences() {
    let is_field = |node: &Node<'_>| !node.path.ends_with([']', '}']);
    for_all("description", is_field, |node| {
        let description = node.schema.description.as_deref().unwrap_or_default();
        description.ends_with('.') && !description.contains('\n')
    });
}

#[test]
fn an_optional_field_of_a_spec_says_what_its_absence_means() {
    for_all(
        "absence",
        |node| in_spec(node) && node.optional,
        |node| {
            let text = node.schema.description.as_deref().unwrap_or_default();
            text.contains("Absent:") || text.contains("Give exactly one of")
        },
    );
}

#[test]
fn every_kind_begins_as_unknown_and_is_described() {
    for schema in [Machine::schema(), Secret::schema(), Grant::schema(), AccessPolicy::schema()] {
        let description = schema.description.as_deref().unwrap();
        assert!(!description.starts_with("Auto-generated"), "{description}");
        assert_eq!(schema.x_kubernetes_preserve_unknown_fields, Some(true), "a field beside the spec is kept");
        assert_eq!(schema.required.as_deref(), Some(["spec".to_owned()].as_slice()));
        let default = schema.properties.as_ref().unwrap()["status"].default.as_ref().unwrap();
        assert_eq!(
            default.0,
            json!({"conditions": [{
                "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "Waiting for the operator",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }]})
        );
    }
}

/// An object in which `value` stands at `path`, one item in each list on the way.
fn object_with(path: &str, value: Value) -> Value {
    let wrap = |value: Value, segment: &str| match segment.strip_suffix("[]") {
        Some(list) => json!({list: [value]}),
        None => json!({segment: value}),
    };
    path.rsplit('.').fold(value, wrap)
}

/// How the walk prints a path of the schema in an object with one item in each list.
fn printed(path: &str) -> String {
    path.replace("[]", "[0]")
}

fn assert_slips_and_nulls_are_found<K: Kind>() {
    let mut tried = 0;
    for node in nodes::<K>("spec") {
        let is_field = node.path != "spec" && !node.path.ends_with([']', '}']);
        if !is_field {
            continue;
        }
        tried += 1;
        let null = Finding::Null { path: printed(&node.path) };
        assert_eq!(unknown_and_null(K::schema(), &object_with(&node.path, Value::Null)), [null]);

        let slip = format!("{}x", node.path);
        let found = unknown_and_null(K::schema(), &object_with(&slip, json!("value")));
        let [Finding::Unknown { path, suggestion, .. }] = found.as_slice() else { panic!("{slip}: {found:?}") };
        assert_eq!(path, &printed(&slip));
        assert!(suggestion.is_some(), "{slip} is near to something");
    }
    assert!(tried >= 4, "{} has fields", K::KIND);
}

#[test]
fn of_every_field_of_every_kind_the_slip_and_the_null_are_found() {
    assert_slips_and_nulls_are_found::<Machine>();
    assert_slips_and_nulls_are_found::<Secret>();
    assert_slips_and_nulls_are_found::<Grant>();
    assert_slips_and_nulls_are_found::<AccessPolicy>();
}
