//! Strict JSON schemas of the four kinds, for editors and for checks before anything is applied.
//!
//! The schemas in a cluster keep keys that they do not know, so that these can be refused with a message ([`crate::unknown`]).
//! An editor would therefore underline nothing: these schemas admit no such key and no null. The rules in the Common
//! Expression Language are left out, for JSON schema has no word for them.

use serde_json::{Map, Value, json};

use crate::{crd::Kind, names};

/// The schema of a kind, in JSON schema draft 7, which all readers know.
pub fn strict<K: Kind>() -> Result<Value, serde_json::Error> {
    let mut spec = serde_json::to_value(K::schema().properties.as_ref().and_then(|fields| fields.get("spec")))?;
    tighten(&mut spec);
    let description = spec.get("description").cloned();
    Ok(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "description": description,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": {"type": "string", "enum": [names::API_VERSION]},
            "kind": {"type": "string", "enum": [K::KIND]},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {"type": "object", "description": "Written by the operator."},
        },
    }))
}

/// The schema as text.
pub fn to_json<K: Kind>() -> Result<String, serde_json::Error> {
    Ok(format!("{:#}\n", strict::<K>()?))
}

/// Takes out what only Kubernetes reads, and whatever admits nulls and unknown keys.
fn tighten(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    schema.retain(|keyword, _| keyword != "nullable" && !keyword.starts_with("x-kubernetes-"));
    whole(schema);
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(tighten);
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    for inner in ["items", "additionalProperties"] {
        schema.get_mut(inner).into_iter().for_each(tighten);
    }
}

/// Writes bounds as `1` rather than `1.0`: they pass through a floating-point type on the way.
fn whole(schema: &mut Map<String, Value>) {
    for bound in ["minimum", "maximum"] {
        if let Some(number) = schema.get_mut(bound) {
            #[expect(clippy::cast_possible_truncation, reason = "a bound without a fraction, far below 2^53")]
            let integer = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15).map(|f| f as i64);
            if let Some(integer) = integer {
                *number = integer.into();
            }
        }
    }
}
