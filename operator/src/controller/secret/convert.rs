//! A Secret's spec as the server takes it, with every default filled in. Pure.

use sikkerkey_crds::secret::{Charset, Generate, GeneratedField, Origin, SealedScope, SecretSpec, SecretStatus};
use sikkerkey_protocol::kubernetes::{
    self as wire, ApplySecret, ExpectedVersion, FieldContent, Generator, ObjectMeta, Recipe, RecipeField, Rotation,
    SecretSource,
};

use super::original::{Disabled, Found, Original, Taking};
use super::take::place;
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
    /// Values are not taken over from core Secrets.
    #[error("Kubernetes Secrets are not taken over")]
    SourceDisabled(Disabled),
}

/// The request that puts it in force. `original` is what a look at its core Secret found; `expected`, what the server should
/// have.
pub fn convert(
    object: ObjectMeta,
    spec: &SecretSpec,
    original: &Original,
    expected: Option<ExpectedVersion>,
) -> Result<ApplySecret, ConvertError> {
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
        Origin::KubernetesSecret(named) => match original {
            Original::Disabled(why) => return Err(ConvertError::SourceDisabled(*why)),
            Original::Found(Found { value: Ok(Taking::New(value)), .. }) => SecretSource::Supplied {
                value: value.text.clone(),
                field_names: value.field_names.clone(),
                from: place(named),
            },
            // What else the object says is put in force all the same: a policy must not wait for a core Secret.
            Original::NotLooked | Original::Missing | Original::Found(_) => SecretSource::Kept {},
        },
    };
    let rotation = spec.rotation.as_ref().map(|rotation| Rotation {
        every_seconds: rotation.every.map(|every| every.get().as_secs()),
        older_than: rotation.older_than.as_ref().map(millis),
    });
    let policy = spec.policy_ref.as_ref().map(|policy| policy.name.clone());
    Ok(ApplySecret { object, source, policy, rotation, expected })
}

/// The version that the object has had, as its status says. Whoever may write the status can make the server do less by it and
/// never more: with a version that never was no value is generated, and without one it is as with a new object.
pub fn expected(status: Option<&SecretStatus>) -> Option<ExpectedVersion> {
    let status = status?;
    let version = u64::try_from(status.version?).ok().filter(|version| *version > 0)?;
    let made_at = status.version_time.as_ref()?;
    // The status shows whole seconds. What was asked for within that second has been made.
    Some(ExpectedVersion { version, made_at: millis(made_at).saturating_add(999) })
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
        convert(meta("shop", "db"), &spec, &Original::NotLooked, None).map(|apply| {
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
    fn a_value_is_sent_once_and_then_only_what_else_the_object_says() {
        use crate::controller::secret::original::{Flaw, Marks, TakenValue};
        use sikkerkey_protocol::secret_text::SecretText;
        let found = |value| {
            let marks = Marks { uid: "u".into(), version: "7".into() };
            Original::Found(Found { marks, value, kept_by: None, is_going: false })
        };
        let new = |names: &[&str]| {
            let field_names = names.iter().map(|name| (*name).to_owned()).collect();
            found(Ok(Taking::New(TakenValue { text: SecretText::new("hunter2".into()), field_names })))
        };
        let kept = json!({"kept": {}});
        for (source, original, expected) in [
            (
                json!({"name": "old", "key": "password"}),
                new(&[]),
                json!({"supplied": {"value": "hunter2", "fieldNames": [], "from": {"name": "old", "key": "password"}}}),
            ),
            (
                json!({"name": "old"}),
                new(&["a"]),
                json!({"supplied": {"value": "hunter2", "fieldNames": ["a"], "from": {"name": "old"}}}),
            ),
            (json!({"name": "old"}), found(Ok(Taking::Known)), kept.clone()),
            (json!({"name": "old"}), found(Err(Flaw::NoData)), kept.clone()),
            (json!({"name": "old"}), Original::Missing, kept.clone()),
            (json!({"name": "old"}), Original::NotLooked, kept),
        ] {
            let spec: SecretSpec = serde_json::from_value(json!({"source": {"kubernetesSecret": source}})).unwrap();
            let sent = convert(meta("shop", "db"), &spec, &original, None).unwrap();
            assert!(!format!("{sent:?} {original:?}").contains("hunter2"));
            assert_eq!(serde_json::to_value(&sent.source).unwrap(), expected);
        }
    }

    #[test]
    fn the_server_is_expected_to_have_what_the_status_says_and_nothing_else() {
        let had = |version, made_at| Some(ExpectedVersion { version, made_at });
        for (status, found) in [
            (json!(null), None),
            (json!({}), None),
            (json!({"version": 0}), None),
            (json!({"version": 0, "versionTime": "2026-06-01T12:00:00Z"}), None),
            (json!({"version": 7}), None),
            (json!({"version": -7, "versionTime": "2026-06-01T12:00:00Z"}), None),
            (json!({"version": 7, "versionTime": "2026-06-01T12:00:00Z"}), had(7, 1_780_315_200_999)),
        ] {
            let status: Option<SecretStatus> = serde_json::from_value(status.clone()).unwrap();
            assert_eq!(expected(status.as_ref()), found, "{status:?}");
            let spec: SecretSpec = serde_json::from_value(json!({"source": {"generate": {}}})).unwrap();
            let sent = convert(meta("shop", "db"), &spec, &Original::NotLooked, found).unwrap();
            assert_eq!(sent.expected, found);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_its_reason() {
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
