//! The definitions of the four kinds, finished, and their YAML.

use std::{borrow::Cow, sync::OnceLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use kube::{CustomResourceExt, Resource, core::NamespaceResourceScope};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    access_policy::{AccessPolicy, AccessPolicySpec, AccessPolicyStatus},
    condition::Condition,
    grant::{Grant, GrantSpec, GrantStatus},
    machine::{Machine, MachineSpec, MachineStatus},
    schema,
    secret::{Secret, SecretSpec, SecretStatus},
    shape,
};

/// What the four kinds have in common.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + CustomResourceExt
    + JsonSchema
    + Serialize
    + DeserializeOwned
    + Clone
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// The kind's name, as it stands in `kind`.
    const KIND: &'static str;
    /// The plural in the group, as it stands in URLs and rules.
    const PLURAL: &'static str;
    /// The short name, which nothing else answers to: `sks/db` in messages, never `secret/db`.
    const SHORT_NAME: &'static str;

    /// The finished schema of the kind.
    fn schema() -> &'static JSONSchemaProps;

    /// The generation that the status speaks of.
    fn observed_generation(&self) -> Option<i64>;

    /// The conditions of the status; none before the first write.
    fn conditions(&self) -> &[Condition];
}

/// Implements what differs only by name.
macro_rules! kind {
    ($kind:ident, $spec:ty, $status:ty, $plural:literal, $short_name:literal, $describe:expr) => {
        impl Kind for $kind {
            const KIND: &'static str = stringify!($kind);
            const PLURAL: &'static str = $plural;
            const SHORT_NAME: &'static str = $short_name;

            fn schema() -> &'static JSONSchemaProps {
                static SCHEMA: OnceLock<JSONSchemaProps> = OnceLock::new();
                SCHEMA.get_or_init(|| open_api_schema(&Self::crd()))
            }

            fn observed_generation(&self) -> Option<i64> {
                self.status.as_ref().and_then(|status| status.observed_generation)
            }

            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
        }

        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let describe: fn(Schema) -> Schema = $describe;
                describe(schema::of_kind::<$spec, $status>())
            }
        }
    };
}

kind!(Machine, MachineSpec, MachineStatus, "machines", "skm", |mut schema| {
    let mut name_is_a_label = shape::check(
        "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must be a DNS label of at most 63 characters: pods name it in the label sikkerkey.com/machine",
    );
    name_is_a_label(&mut schema);
    schema
});
kind!(Secret, SecretSpec, SecretStatus, "secrets", "sks", std::convert::identity);
kind!(Grant, GrantSpec, GrantStatus, "grants", "skg", std::convert::identity);
kind!(AccessPolicy, AccessPolicySpec, AccessPolicyStatus, "accesspolicies", "skp", std::convert::identity);

/// The definitions of the four kinds, ready to apply.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![Machine::crd(), Secret::crd(), Grant::crd(), AccessPolicy::crd()]
}

/// The schema of the one version that a definition has.
fn open_api_schema(crd: &CustomResourceDefinition) -> JSONSchemaProps {
    let version = crd.spec.versions.first();
    let schema = version.and_then(|version| version.schema.as_ref()).and_then(|all| all.open_api_v3_schema.clone());
    schema.unwrap_or_default()
}

/// A definition as YAML: keys in a stable order, with a first line that says where it comes from.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    let mut document = serde_yaml::to_value(crd)?;
    whole_numbers(&mut document);
    let head = "# Generated from the Rust types: UPDATE_GOLDEN=1 cargo test -p sikkerkey-crds\n";
    // Quoted, because to some readers an unquoted instant is no string.
    let body = serde_yaml::to_string(&document)?.replace(schema::EPOCH, &format!("\"{}\"", schema::EPOCH));
    Ok(format!("{head}{body}"))
}

/// Writes bounds as `1` rather than `1.0`: they pass through a floating-point type on the way.
fn whole_numbers(node: &mut serde_yaml::Value) {
    match node {
        serde_yaml::Value::Number(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "a bound without a fraction, far below 2^53")]
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15) {
                *number = (float as i64).into();
            }
        }
        serde_yaml::Value::Sequence(items) => items.iter_mut().for_each(whole_numbers),
        serde_yaml::Value::Mapping(entries) => entries.values_mut().for_each(whole_numbers),
        _ => {}
    }
}
