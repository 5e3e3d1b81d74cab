//! `Secret` objects at the server.

use serde::{Deserialize, Serialize};

use super::ObjectMeta;
use crate::Call;
use crate::id::{ProjectId, SecretId};
use crate::secret_text::{self, SecretText};

/// Puts a `Secret` in force.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApplySecret {
    /// Which one.
    pub object: ObjectMeta,
    /// Where its value comes from.
    pub source: SecretSource,
    /// The policy of the same namespace that guards it: locked while that is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// When a new value is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// The version that the object's status speaks of. A server that has no version at all has lost it, and makes another
    /// one only on a person's word: a [`Rotation::older_than`] that lies after this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedVersion>,
}

/// A version that an object has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExpectedVersion {
    /// Its number.
    pub version: u64,
    /// When it was made, in Unix milliseconds.
    pub made_at: i64,
}

/// Where a secret's value comes from.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// The server makes it. A new recipe applies to the next version; it makes none by itself.
    Generate(Recipe),
    /// It was sealed to the server's key.
    #[serde(rename_all = "camelCase")]
    Sealed {
        /// Which key.
        key_id: String,
        /// Base64.
        ciphertext: String,
        /// Bound to the namespace only, not to the name.
        namespace_scope: bool,
    },
    /// It is taken over from a Kubernetes Secret; carried once per change of that Secret.
    #[serde(rename_all = "camelCase")]
    Supplied {
        /// The value.
        #[serde(serialize_with = "secret_text::serialize")]
        value: SecretText,
        /// Names of its fields; empty for a plain value.
        field_names: Vec<String>,
        /// What it was taken over from.
        from: TakenFrom,
    },
    /// Whatever value is there stays in force: there is nothing new where it is taken over from.
    Kept {},
    /// A person sets it at the server.
    External {
        /// The fields it is expected to have; empty for a plain value.
        fields: Vec<String>,
    },
}

/// The place in a Kubernetes Secret that a value was taken over from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TakenFrom {
    /// Name of the Kubernetes Secret, in the namespace of the object.
    pub name: String,
    /// The key; none: all keys, as fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// How a value is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Recipe {
    /// One value.
    Plain(Generator),
    /// A structured value.
    Fields(Vec<RecipeField>),
}

/// One field of a structured value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecipeField {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: FieldContent,
}

/// Content of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum FieldContent {
    /// Made by the server.
    Generated(Generator),
    /// The text of the manifest.
    Literal(String),
}

/// How random text is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Generator {
    /// Characters; not used for a UUID.
    pub length: u32,
    /// Which characters.
    pub charset: Charset,
}

/// Which characters a generated value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Charset {
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits and symbols.
    Symbols,
    /// Digits.
    Numeric,
    /// A random UUID.
    #[serde(rename = "UUID")]
    Uuid,
}

/// When a new value is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// So long after the last version, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u64>,
    /// A version made before this instant (Unix milliseconds) is replaced, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<i64>,
}

/// A `Secret` as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretState {
    /// The secret's id.
    pub secret_id: SecretId,
    /// The namespace's project.
    pub project_id: ProjectId,
    /// The newest version; 0 while nobody has set a value, or one that was expected is lost.
    pub version: u64,
    /// When it was made, in Unix milliseconds.
    pub version_time: Option<i64>,
    /// When the next is due, in Unix milliseconds.
    pub next_rotation: Option<i64>,
    /// Since when a new value is due that the server cannot make itself, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_due_since: Option<i64>,
    /// Names of the fields.
    pub field_names: Vec<String>,
    /// What the newest version was taken over from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_from: Option<TakenFrom>,
    /// Live grants that name it.
    pub grants: u32,
    /// Whether the policy it names is in force; true when it names none.
    pub policy_in_force: bool,
    /// The policy that this very call took off, where none guards it any more. Told once, by the answer to that call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbound: Option<String>,
    /// Live machines that were delivered some version.
    pub pods_total: u32,
    /// Those that were delivered the newest.
    pub pods_current: u32,
}

impl Call for ApplySecret {
    const PATH: &'static str = "/v1/ai/kubernetes/secrets/apply";
    type Answer = SecretState;
}
