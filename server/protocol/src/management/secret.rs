//! Secrets on the management plane. Values come in and never go out.

use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, SecretId};
use crate::kubernetes;
use crate::secret_text::{self, SecretText};

/// Which characters a random value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ManagementCharset"))]
#[serde(rename_all = "camelCase")]
pub enum Charset {
    /// Letters, digits, and signs that rarely break where a value is pasted.
    Symbols,
    /// Letters and digits.
    Alphanumeric,
    /// Digits.
    Numbers,
    /// A random UUID; the length does not matter.
    Uuid,
}

impl From<Charset> for kubernetes::Charset {
    fn from(it: Charset) -> Self {
        match it {
            Charset::Symbols => Self::Symbols,
            Charset::Alphanumeric => Self::Alphanumeric,
            Charset::Numbers => Self::Numeric,
            Charset::Uuid => Self::Uuid,
        }
    }
}

impl From<kubernetes::Charset> for Charset {
    fn from(it: kubernetes::Charset) -> Self {
        match it {
            kubernetes::Charset::Symbols => Self::Symbols,
            kubernetes::Charset::Alphanumeric => Self::Alphanumeric,
            kubernetes::Charset::Numeric => Self::Numbers,
            kubernetes::Charset::Uuid => Self::Uuid,
        }
    }
}

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SecretType {
    /// One text.
    Secret,
    /// A JSON object whose values are texts.
    Structured,
    /// One that a machine trips over. To machines it is one of the other two.
    Canary,
}

/// The secrets of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretViews {
    /// By name.
    pub secrets: Vec<SecretView>,
}

/// A secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretView {
    /// Its id.
    pub id: SecretId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name, unique in the project.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: SecretType,
    /// Names of the fields of a structured value.
    pub field_names: Option<Vec<String>>,
    /// What people say about it.
    pub note: Option<String>,
    /// The newest version; 0 while nobody has set a value.
    pub version: u64,
    /// When it was made, in Unix milliseconds; none of one that is older than this note.
    pub created_at: Option<i64>,
    /// When its value, its name, its note or its schedule was changed, in Unix milliseconds.
    pub updated_at: Option<i64>,
    /// Who did that, for a person.
    pub updated_by: Option<String>,
    /// How many machines, and objects that stand for machines, are granted it.
    pub granted_to: usize,
    /// The name of the policy that guards it.
    pub policy: Option<String>,
    /// When a new value is due by its schedule or its object, in Unix milliseconds.
    pub next_rotation_at: Option<i64>,
    /// Whether nobody reads it until a person releases it, because it was restored from a backup.
    pub held: bool,
    /// Whether it was deleted: then it is in the trash, or waits for a Kubernetes object of its name.
    pub deleted: bool,
    /// The Kubernetes object that stands for it, for a person: it is changed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
}

/// A secret that is to be made.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateSecret {
    /// From 1 to 255 printable characters, unique in the project.
    pub name: String,
    /// At most 12 KiB.
    #[serde(serialize_with = "secret_text::serialize")]
    pub value: SecretText,
    /// The project once more; the one of the path, when it is given.
    #[serde(default)]
    pub project_id: Option<String>,
    /// For people; at most 1000 characters.
    #[serde(default)]
    pub note: Option<String>,
    /// Makes it a structured one: the value is a JSON object of these fields, and all its values are texts.
    #[serde(default)]
    pub field_names: Option<Vec<String>>,
}

/// A secret has this id and this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretNamed {
    /// Its id.
    pub id: SecretId,
    /// Its name.
    pub name: String,
}

/// A new value. The one before it stays in the list of versions.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateSecret {
    /// At most 12 KiB; of a structured secret a JSON object of the same fields.
    #[serde(serialize_with = "secret_text::serialize")]
    pub value: SecretText,
}

/// A secret is at this version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretVersioned {
    /// Its id.
    pub id: SecretId,
    /// The newest version.
    pub version: u64,
}

/// Another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RenameSecret {
    /// From 1 to 255 printable characters, unique in the project.
    pub name: String,
}

/// Another note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NoteSecret {
    /// At most 1000 characters; an empty one takes it away.
    #[serde(default)]
    pub note: String,
}

/// A secret has this note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretNoted {
    /// Its id.
    pub id: SecretId,
    /// Its note.
    pub note: Option<String>,
}

/// How a new random value is made. What is left out is as the secret's schedule says, or else 32 symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateSecret {
    /// From 1 to 1024.
    #[serde(default)]
    pub length: Option<u32>,
    /// Which characters.
    #[serde(default)]
    pub charset: Option<Charset>,
    /// Of a structured secret, the fields that get new texts, while the others keep theirs; left out or empty: all of
    /// them.
    #[serde(default)]
    pub fields: Option<Vec<String>>,
}

/// Which version's value is to be the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RollBackSecret {
    /// Its number.
    pub version: u64,
}

/// The versions of a secret that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretVersions {
    /// The secret.
    pub id: SecretId,
    /// Newest first, without their values.
    pub versions: Vec<SecretVersion>,
}

/// A version of a secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretVersion {
    /// Its number.
    pub version: u64,
    /// When it was made, in Unix milliseconds.
    pub created_at: i64,
    /// Where its value came from; none of one that is older than this note.
    pub origin: Option<VersionOrigin>,
    /// Of one that was rolled back to: whose value it has again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_of: Option<u64>,
    /// Who made it, for a person; none of one that is older than this note.
    pub created_by: Option<String>,
    /// Names of the fields of a structured value.
    pub field_names: Option<Vec<String>>,
    /// Whether it is the one that is read now.
    pub current: bool,
}

/// Where the value of a version came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum VersionOrigin {
    /// The server made it.
    Generated,
    /// A person or a program set it.
    Set,
    /// It stood sealed in its Kubernetes object.
    Sealed,
    /// It was taken over from a Kubernetes Secret.
    TakenOver,
    /// It is the value of an earlier version again.
    RolledBack,
}
