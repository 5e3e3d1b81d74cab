//! A Secret's spec as the server takes it, with every default filled in. Pure.

use sikkerkey_crds::secret::{Charset, Generate, GeneratedField, Origin, SealedScope, SecretSpec};
use sikkerkey_protocol::kubernetes::{
    self as wire, ApplySecret, FieldContent, Generator, ObjectMeta, Recipe, RecipeField, Rotation, SecretSource,
};

use crate::controller::figure::millis;

/// What cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The spec says nothing sensible.
    #[error("{path}: {what}")]
    InvalidSpec {
        /// Which field.
        path: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// Values are not taken over from core Secrets: the operator has no right to read them.
    #[error("Kubernetes Secrets are not taken over")]
    SourceDisabled,
}

/// The request that puts it in force.
pub fn convert(object: ObjectMeta, spec: &SecretSpec) -> Result<ApplySecret, ConvertError> {
    let origin = spec.source.origin().map_err(|error| ConvertError::InvalidSpec {
        path: error.path,
        what: format!("give exactly one of {}", error.members.join(", ")),
    })?;
    let source = match origin {
        Origin::Generate(generate) => SecretSource::Generate(recipe(generate)?),
        Origin::Sealed(sealed) => SecretSource::Sealed {
            key_id: sealed.key_id.clone(),
            ciphertext: sealed.ciphertext.clone(),
            namespace_scope: sealed.scope() == SealedScope::Namespace,
        },
        Origin::External(external) => SecretSource::External { fields: external.fields().to_vec() },
        Origin::KubernetesSecret(_) => return Err(ConvertError::SourceDisabled),
    };
    let rotation = spec.rotation.as_ref().map(|rotation| Rotation {
        every_seconds: rotation.every.map(|every| every.get().as_secs()),
        older_than: rotation.older_than.as_ref().map(millis),
    });
    Ok(ApplySecret { object, source, policy: spec.policy_ref.as_ref().map(|policy| policy.name.clone()), rotation })
}

fn recipe(generate: &Generate) -> Result<Recipe, ConvertError> {
    Ok(match generate.fields() {
        [] => Recipe::Plain(generator(generate.length(), generate.charset())?),
        fields => Recipe::Fields(fields.iter().map(recipe_field).collect::<Result<_, _>>()?),
    })
}

fn recipe_field(field: &GeneratedField) -> Result<RecipeField, ConvertError> {
    let content = match &field.literal {
        Some(literal) => FieldContent::Literal(literal.clone()),
        None => FieldContent::Generated(generator(field.length(), field.charset())?),
    };
    Ok(RecipeField { name: field.name.clone(), content })
}

fn generator(length: i32, charset: Charset) -> Result<Generator, ConvertError> {
    let length = u32::try_from(length).ok().filter(|length| (8..=1_024).contains(length));
    let length = length.ok_or_else(|| ConvertError::InvalidSpec {
        path: "spec.source.generate",
        what: "length is from 8 to 1024".to_owned(),
    })?;
    Ok(Generator {
        length,
        charset: match charset {
            Charset::Alphanumeric => wire::Charset::Alphanumeric,
            Charset::Symbols => wire::Charset::Symbols,
            Charset::Numeric => wire::Charset::Numeric,
            Charset::Uuid => wire::Charset::Uuid,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::fixture::meta;

    fn converted(spec: Value) -> Result<Value, ConvertError> {
        let spec: SecretSpec = serde_json::from_value(spec).unwrap();
        convert(meta("shop", "db"), &spec).map(|apply| {
            let mut apply = serde_json::to_value(apply).unwrap();
            apply.as_object_mut().unwrap().remove("object");
            apply
        })
    }

    #[test]
    fn each_source_is_sent_with_its_defaults() {
        for (spec, expected) in [
            (
                json!({"source": {"generate": {}}}),
                json!({"source": {"generate": {"plain": {"length": 32, "charset": "Alphanumeric"}}}}),
            ),
            (
                json!({"source": {"generate": {"charset": "UUID"}}}),
                json!({"source": {"generate": {"plain": {"length": 32, "charset": "UUID"}}}}),
            ),
            (
                json!({"source": {"generate": {"fields": [
                    {"name": "user", "literal": "shop"}, {"name": "password", "length": 40, "charset": "Symbols"}]}}}),
                json!({"source": {"generate": {"fields": [
                    {"name": "user", "content": {"literal": "shop"}},
                    {"name": "password", "content": {"generated": {"length": 40, "charset": "Symbols"}}}]}}}),
            ),
            (json!({"source": {"external": {}}}), json!({"source": {"external": {"fields": []}}})),
            (
                json!({"source": {"external": {"fields": ["a", "b"]}}, "policyRef": {"name": "p"}}),
                json!({"source": {"external": {"fields": ["a", "b"]}}, "policy": "p"}),
            ),
            (
                json!({"source": {"sealed": {"keyID": "k", "ciphertext": "AAAA"}}}),
                json!({"source": {"sealed": {"keyId": "k", "ciphertext": "AAAA", "namespaceScope": false}}}),
            ),
            (
                json!({"source": {"sealed": {"keyID": "k", "ciphertext": "AAAA", "scope": "Namespace"}}}),
                json!({"source": {"sealed": {"keyId": "k", "ciphertext": "AAAA", "namespaceScope": true}}}),
            ),
            (
                json!({"source": {"external": {}}, "rotation": {"every": "720h", "olderThan": "2026-11-24T09:00:00Z"}}),
                json!({"source": {"external": {"fields": []}},
                       "rotation": {"everySeconds": 2_592_000, "olderThan": 1_795_510_800_000_i64}}),
            ),
        ] {
            assert_eq!(converted(spec.clone()), Ok(expected), "{spec}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_its_reason() {
        assert_eq!(
            converted(json!({"source": {"kubernetesSecret": {"name": "old"}}})),
            Err(ConvertError::SourceDisabled)
        );
        for (source, message) in [
            (json!({}), "spec.source: give exactly one of generate, sealed, kubernetesSecret, external"),
            (json!({"generate": {"length": 4}}), "spec.source.generate: length is from 8 to 1024"),
            (
                json!({"generate": {"fields": [{"name": "a", "length": -1}]}}),
                "spec.source.generate: length is from 8 to 1024",
            ),
        ] {
            assert_eq!(converted(json!({"source": source})).unwrap_err().to_string(), message);
        }
    }
}
