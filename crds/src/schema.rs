//! The finished schema of a kind: what schemars and kube generate from the Rust types, and what neither can say.
//!
//! Under `spec`, and beside it (where a restriction ends up that is indented too little), every object keeps keys that
//! it does not know, and every optional field keeps an explicit null. Neither is there to allow anything: a schema that
//! drops them hides a mistyped restriction from every check that could refuse it (see [`crate::unknown`]). Under
//! `status`, which only the operator writes, they are dropped as usual.

use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    json_schema,
    transform::{AddNullable, Transform, transform_subschemas},
};
use serde_json::{Value, json};

/// The schema of a kind with this spec and status, described as its spec is.
pub(crate) fn of_kind<Spec: JsonSchema, Status: JsonSchema>() -> Schema {
    let mut spec = structural::<Spec>();
    keep_unknown_fields(&mut spec);
    let mut status = structural::<Status>();
    forbid_nulls(&mut status);
    status.insert("default".to_owned(), pending());
    json_schema!({
        "description": spec.get("description"),
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": spec, "status": status},
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// The schema of a question with this spec. What is no field of it is kept, so that it can be refused; the answer is what the
/// server says.
pub(crate) fn of_question<Spec: JsonSchema>() -> Schema {
    let mut spec = structural::<Spec>();
    keep_unknown_fields(&mut spec);
    json_schema!({
        "description": spec.get("description"),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": spec,
            "answer": {
                "description": "The answer, filled in by the operator.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
            },
        },
    })
}

/// When an object that nobody has looked at came into this state.
pub(crate) const EPOCH: &str = "1970-01-01T00:00:00Z";

/// What `status` is before the operator has written one: tools that wait for readiness see that nobody has looked yet.
fn pending() -> Value {
    json!({"conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "Waiting for the operator",
        "lastTransitionTime": EPOCH,
    }]})
}

/// The schema of one type in the form that Kubernetes demands.
fn structural<T: JsonSchema>() -> Schema {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(HoistOptional)
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .with_transform(Descriptions)
        .into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.remove("title");
    schema
}

/// Turns "this type or null" into the type, nullable, with the description of the field rather than of its type.
#[derive(Debug, Clone)]
struct HoistOptional;

impl Transform for HoistOptional {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(mut members)) = schema.remove("anyOf") {
            members.retain(|member| member.get("type") != Some(&json!("null")) && member.get("nullable").is_none());
            for (keyword, value) in members
                .into_iter()
                .filter_map(|member| match member {
                    Value::Object(member) => Some(member),
                    _ => None,
                })
                .flatten()
            {
                schema.ensure_object().entry(keyword).or_insert(value);
            }
            schema.insert("nullable".to_owned(), true.into());
        }
        transform_subschemas(self, schema);
    }
}

/// Makes descriptions fit for `kubectl explain`: lines are joined, for the breaks of the source are none for its
/// reader, and items of a list have none of their own, for it prints them behind that of the list.
#[derive(Debug, Clone)]
struct Descriptions;

impl Transform for Descriptions {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Ok(items)) = schema.get_mut("items").map(<&mut Schema>::try_from) {
            items.remove("description");
        }
        if let Some(Value::String(description)) = schema.get_mut("description") {
            let paragraphs = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
            *description = paragraphs.collect::<Vec<_>>().join("\n\n");
        }
        transform_subschemas(self, schema);
    }
}

fn keep_unknown_fields(schema: &mut Schema) {
    if schema.get("properties").is_some() {
        schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    }
    transform_subschemas(&mut keep_unknown_fields, schema);
}

fn forbid_nulls(schema: &mut Schema) {
    schema.remove("nullable");
    transform_subschemas(&mut forbid_nulls, schema);
}
