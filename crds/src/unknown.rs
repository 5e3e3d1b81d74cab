//! Keys that are no fields, and explicit nulls: found by walking the schema beside the raw object.
//!
//! Either can be a restriction that somebody meant and does not get: `ipAllowList:` for `ipAllowlist:`, or a Helm value
//! that rendered to nothing behind `policyRef:`. The typed form of an object cannot show them, so the raw one is
//! walked.

use std::fmt;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use crate::reason::Reason;

/// Something in an object that the typed form cannot hold. `Display` is a sentence for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A key that is no field.
    Unknown {
        /// Where it stands, for example `spec.ipAllowList`, or `policyRef` where `spec.policyRef` was meant.
        path: String,
        /// The field that was probably meant, as a whole path. None: nothing is near.
        suggestion: Option<String>,
        /// The fields that the object has.
        fields: Vec<String>,
    },
    /// An explicit null.
    Null {
        /// Where it stands, for example `spec.policyRef`.
        path: String,
    },
}

impl Finding {
    /// Where it stands.
    pub fn path(&self) -> &str {
        match self {
            Self::Unknown { path, .. } | Self::Null { path } => path,
        }
    }

    /// The reason for a condition.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Unknown { .. } => Reason::UnknownField,
            Self::Null { .. } => Reason::InvalidSpec,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { path, suggestion: Some(suggestion), .. } => {
                write!(f, "{path} is not a field: did you mean {suggestion}?")
            }
            Self::Unknown { path, suggestion: None, fields } => {
                write!(f, "{path} is not a field: there are {}", fields.join(", "))
            }
            Self::Null { path } => {
                let reference = path.rsplit('.').next().and_then(|key| key.strip_suffix("Ref"));
                match reference {
                    Some(noun) => write!(f, "{path} is null: remove the key or name a {noun}"),
                    None => write!(f, "{path} is null: remove the key or give it a value"),
                }
            }
        }
    }
}

/// What stands in every object beside what its schema says.
const ENVELOPE: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Every unknown key and every null in `object` and its `spec`, in the order of their keys.
///
/// `schema` is that of the whole object ([`crate::crd::Kind::schema`]). Values of a wrong type are not looked into: the
/// API server refuses them by the same schema.
pub fn unknown_and_null(schema: &JSONSchemaProps, object: &Value) -> Vec<Finding> {
    let mut walk = Walk { root: schema, findings: Vec::new() };
    let spec = property(schema, "spec");
    for (key, value) in object.as_object().into_iter().flatten() {
        match (key.as_str(), spec) {
            ("spec", Some(schema)) => walk.visit(schema, value, "spec"),
            // What the API server fills in, and what the operator alone writes.
            (key, _) if ENVELOPE.contains(&key) || property(schema, key).is_some() => {}
            (key, _) => walk.findings.push(Finding::Unknown {
                path: key.to_owned(),
                suggestion: spec.and_then(|spec| elsewhere(spec, "spec", key)),
                fields: top_level(schema),
            }),
        }
    }
    walk.findings
}

/// The keys that an object of this schema has.
pub(crate) fn top_level(schema: &JSONSchemaProps) -> Vec<String> {
    let own = schema.properties.iter().flatten().map(|(key, _)| key.clone());
    ENVELOPE.map(str::to_owned).into_iter().chain(own).collect()
}

fn property<'a>(schema: &'a JSONSchemaProps, key: &str) -> Option<&'a JSONSchemaProps> {
    schema.properties.as_ref()?.get(key)
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(items) => Some(items),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

struct Walk<'a> {
    root: &'a JSONSchemaProps,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn visit(&mut self, schema: &JSONSchemaProps, value: &Value, path: &str) {
        match value {
            Value::Null => self.findings.push(Finding::Null { path: path.to_owned() }),
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    if let Some(items) = items(schema) {
                        self.visit(items, value, &format!("{path}[{index}]"));
                    }
                }
            }
            Value::Object(entries) => {
                for (key, value) in entries {
                    self.visit_entry(schema, key, value, path);
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn visit_entry(&mut self, schema: &JSONSchemaProps, key: &str, value: &Value, path: &str) {
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            return self.visit(values, value, &format!("{path}[{key}]"));
        }
        let Some(fields) = &schema.properties else { return };
        let entry = format!("{path}.{key}");
        match fields.get(key) {
            Some(field) => self.visit(field, value, &entry),
            None => self.findings.push(Finding::Unknown {
                path: entry,
                suggestion: nearest(fields.keys(), key)
                    .map(|field| format!("{path}.{field}"))
                    .or_else(|| elsewhere(property(self.root, "spec")?, "spec", key)),
                fields: fields.keys().cloned().collect(),
            }),
        }
    }
}

/// The field that `key` is a slip of: up to a third of its characters differ, upper and lower case aside.
fn nearest<'a>(fields: impl Iterator<Item = &'a String>, key: &str) -> Option<&'a str> {
    let key = key.to_lowercase();
    let distance = |field: &str| strsim::osa_distance(&field.to_lowercase(), &key);
    let allowed = (key.chars().count() / 3).max(1);
    let (distance, field) = fields.map(|field| (distance(field), field.as_str())).min()?;
    (distance <= allowed).then_some(field)
}

/// The path of a field of this very name somewhere else in the spec: it was only put into the wrong place.
fn elsewhere(schema: &JSONSchemaProps, path: &str, key: &str) -> Option<String> {
    if let Some(items) = items(schema) {
        return elsewhere(items, &format!("{path}[]"), key);
    }
    let fields = schema.properties.as_ref()?;
    let here = fields.keys().find(|field| field.eq_ignore_ascii_case(key));
    here.map(|field| format!("{path}.{field}"))
        .or_else(|| fields.iter().find_map(|(field, schema)| elsewhere(schema, &format!("{path}.{field}"), key)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{access_policy::AccessPolicy, crd::Kind, machine::Machine, secret::Secret};

    fn sentences<K: Kind>(object: &Value) -> Vec<String> {
        unknown_and_null(K::schema(), object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_slip_is_named_with_the_field_that_was_meant() {
        let object = json!({"spec": {"ipAllowList": {"cidrs": []}}});
        assert_eq!(
            sentences::<AccessPolicy>(&object),
            ["spec.ipAllowList is not a field: did you mean spec.ipAllowlist?"]
        );
        let object = json!({"spec": {"source": {"external": {}}, "policyref": {"name": "p"}}});
        assert_eq!(sentences::<Secret>(&object), ["spec.policyref is not a field: did you mean spec.policyRef?"]);
    }

    #[test]
    fn a_null_is_named_with_what_to_do() {
        let object = json!({"spec": {"source": {"external": null}, "policyRef": null}});
        assert_eq!(
            sentences::<Secret>(&object),
            [
                "spec.policyRef is null: remove the key or name a policy",
                "spec.source.external is null: remove the key or give it a value",
            ]
        );
    }

    #[test]
    fn a_field_in_the_wrong_place_is_sent_to_its_own() {
        let object = json!({"spec": {"mountPath": "/x", "delivery": {"files": [{"path": "a", "debounce": "5s"}]}}});
        assert_eq!(
            sentences::<Machine>(&object),
            [
                "spec.delivery.files[0].debounce is not a field: did you mean spec.delivery.onChange.debounce?",
                "spec.mountPath is not a field: did you mean spec.delivery.mountPath?",
            ]
        );
    }

    #[test]
    fn a_field_beside_the_spec_is_sent_into_it() {
        let object = json!({
            "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Secret", "metadata": {"name": "db"}, "status": {"x": 1},
            "spec": {"source": {"external": {}}}, "policyRef": {"name": "p"}, "zebra": null,
        });
        assert_eq!(
            sentences::<Secret>(&object),
            [
                "policyRef is not a field: did you mean spec.policyRef?",
                "zebra is not a field: there are apiVersion, kind, metadata, spec, status",
            ]
        );
    }

    #[test]
    fn a_key_like_nothing_is_answered_with_the_fields_there_are() {
        let object = json!({"spec": {"source": {"external": {}}, "zebra": 1}});
        assert_eq!(
            sentences::<Secret>(&object),
            ["spec.zebra is not a field: there are deletionPolicy, policyRef, rotation, source"]
        );
    }

    #[test]
    fn labels_to_match_are_free_but_not_null() {
        let selector = json!({"matchLabels": {"example.com/any": "x", "app": null}});
        let object = json!({"spec": {"workload": {"serviceAccountNames": ["web"], "podSelector": selector}}});
        assert_eq!(
            sentences::<Machine>(&object),
            ["spec.workload.podSelector.matchLabels[app] is null: remove the key or give it a value"]
        );
    }
}
