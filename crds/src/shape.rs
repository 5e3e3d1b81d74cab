//! The recurring shapes of the schema: what a name, a duration or a counter looks like, how a list merges, and rules.
//!
//! Each is a transform for `#[schemars(transform = …)]`, so that it works on `T` and on `Option<T>` alike.

use kube::core::Rule;
use schemars::Schema;
use serde_json::{Value, json};

fn set<const N: usize>(schema: &mut Schema, keywords: [(&str, Value); N]) {
    for (keyword, value) in keywords {
        schema.insert(keyword.to_owned(), value);
    }
}

/// A string of `min` to `max` characters that matches `pattern`.
fn text(schema: &mut Schema, min: u32, max: u32, pattern: &str) {
    set(schema, [("minLength", json!(min)), ("maxLength", json!(max)), ("pattern", json!(pattern))]);
}

/// Name of an object: a DNS subdomain.
pub(crate) fn name(schema: &mut Schema) {
    text(schema, 1, 253, "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$");
}

/// Name of a Machine or a namespace: a DNS label.
pub(crate) fn label(schema: &mut Schema) {
    text(schema, 1, 63, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$");
}

/// Name of a field of a structured Secret.
pub(crate) fn field(schema: &mut Schema) {
    text(schema, 1, 63, "^[A-Za-z_][A-Za-z0-9_.-]*$");
}

/// Name under which a file writes a value.
pub(crate) fn alias(schema: &mut Schema) {
    text(schema, 1, 63, "^[A-Za-z_][A-Za-z0-9_]*$");
}

/// A counter or a generation: never negative.
pub(crate) fn count(schema: &mut Schema) {
    set(schema, [("minimum", json!(0))]);
}

/// A limit: at least one.
pub(crate) fn positive(schema: &mut Schema) {
    set(schema, [("minimum", json!(1))]);
}

/// Applies `shape` to the items of a list.
pub(crate) fn each(shape: fn(&mut Schema)) -> impl FnMut(&mut Schema) {
    move |list| {
        if let Some(Ok(items)) = list.get_mut("items").map(<&mut Schema>::try_from) {
            shape(items);
        }
    }
}

/// The list merges by `keys`: two managers can add items to it without a fight.
pub(crate) fn map_list<const N: usize>(keys: [&'static str; N]) -> impl FnMut(&mut Schema) {
    move |list| {
        set(list, [("x-kubernetes-list-type", json!("map")), ("x-kubernetes-list-map-keys", json!(keys.as_slice()))]);
    }
}

/// The list is a set of scalars.
pub(crate) fn set_list(list: &mut Schema) {
    set(list, [("x-kubernetes-list-type", json!("set"))]);
}

/// The list is replaced as a whole: its order has a meaning.
pub(crate) fn atomic_list(list: &mut Schema) {
    set(list, [("x-kubernetes-list-type", json!("atomic"))]);
}

/// Adds a rule in the Common Expression Language.
#[expect(clippy::expect_used, reason = "a rule of strings always serialises")]
pub(crate) fn rule(rule: Rule) -> impl FnMut(&mut Schema) {
    move |schema| kube::core::validate(schema, rule.clone()).expect("a rule is JSON")
}

/// A rule with the sentence that a person reads when it fails.
pub(crate) fn check(expression: &str, message: &str) -> impl FnMut(&mut Schema) {
    rule(Rule::new(expression).message(message))
}

/// As [`check`], with the field to blame.
pub(crate) fn check_at(path: &str, expression: &str, message: &str) -> impl FnMut(&mut Schema) {
    rule(Rule::new(expression).message(message).field_path(path))
}

/// The values of a map of labels. Null is kept so that it can be refused: where a schema forbids it, the API server
/// drops the label instead, and a selector without its label matches everything.
pub(crate) fn label_values(map: &mut Schema) {
    map.insert("additionalProperties".to_owned(), json!({"type": "string", "maxLength": 63, "nullable": true}));
}
