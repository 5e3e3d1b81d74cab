//! The sidecar's one request: what to write, what changed, and the values that are new.
//!
//! A signed `POST`. The server answers at once when something is new and otherwise holds the answer for as long as the
//! client allows, so a change reaches a running pod within a moment and an idle pod makes no traffic. Asking is a poll;
//! only a value that is delivered counts as a read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Call;
use crate::denial::DenialReason;
use crate::id::SecretId;
use crate::secret_text::{self, SecretText};

/// The longest time the server holds an answer, in seconds.
pub const MAX_WAIT_SECONDS: u32 = 55;

/// What the sidecar has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// Revision of the delivery it holds; absent at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_revision: Option<String>,
    /// What it knows of each secret.
    #[serde(default)]
    pub held: BTreeMap<SecretKey, Held>,
    /// Those of them that do not stand in its files as it holds them: there was no room, the value does not fit its file's
    /// format, or the files went. A server that knows no such thing takes all that is held for served.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub not_in_files: BTreeSet<SecretKey>,
    /// How long the server may hold the answer while nothing is new, in seconds; at most [`MAX_WAIT_SECONDS`].
    #[serde(default)]
    pub wait_seconds: u32,
}

/// What the sidecar knows of one secret: only a difference to it is news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Held {
    /// It holds this version of this secret.
    Version {
        /// Which secret the name meant.
        id: SecretId,
        /// Which version.
        version: u64,
    },
    /// It was denied, for this reason.
    Denied(DenialReason),
}

/// A secret by the names its users know: `namespace/name` of the `Secret` object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct SecretKey {
    /// Namespace of the `Secret` object.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl From<SecretKey> for String {
    fn from(key: SecretKey) -> Self {
        format!("{}/{}", key.namespace, key.name)
    }
}

impl TryFrom<String> for SecretKey {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (namespace, name) = text.split_once('/').ok_or("a secret is written namespace/name")?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl std::fmt::Display for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Synced {
    /// Revision of the delivery in force.
    pub delivery_revision: String,
    /// The delivery, when it is not the one the sidecar holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// News about the delivery's secrets. One that is not named here stands as the sidecar has it.
    pub secrets: BTreeMap<SecretKey, News>,
    /// When to ask again, in milliseconds: the server spreads its clients.
    pub next_sync_millis: u64,
    /// When the identity ends, in Unix milliseconds.
    pub identity_expires_at: i64,
}

/// News about one secret.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum News {
    /// A value.
    #[serde(rename_all = "camelCase")]
    Value {
        /// The secret's id.
        id: SecretId,
        /// The version.
        version: u64,
        /// Names of the fields; empty for a plain secret.
        #[serde(default)]
        field_names: Vec<String>,
        /// The value; of a structured secret, a JSON object whose values are all strings.
        #[serde(serialize_with = "secret_text::serialize")]
        value: SecretText,
    },
    /// A denial.
    #[serde(rename_all = "camelCase")]
    Denied {
        /// Why.
        reason: DenialReason,
        /// Why, for a person.
        message: String,
        /// When another answer may be had, in Unix milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
}

impl Call for Sync {
    const PATH: &'static str = "/v1/machine/sync";
    type Answer = Synced;
}

/// What a sidecar writes, and when it takes it away: `Machine.spec.delivery` with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// What happens to a file whose access is over.
    pub on_revoked: OnDenied,
    /// What happens to a file whose policy closes.
    pub on_closed: OnDenied,
    /// How long files stay while the server is away, in seconds.
    pub max_staleness_seconds: u64,
    /// Whom to tell that files have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
    /// The files.
    pub files: Vec<File>,
}

/// What happens to a file that may not be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OnDenied {
    /// It is removed.
    Remove,
    /// It stays as it is.
    Keep,
}

/// Whom to tell that files have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OnChange {
    /// How long to wait for more changes, in milliseconds.
    pub debounce_millis: u64,
    /// How to tell.
    pub action: ChangeAction,
}

/// How to tell an application that files have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ChangeAction {
    /// `POST` to `http://127.0.0.1:{port}{path}`.
    HttpPost {
        /// The port.
        port: u16,
        /// The path, beginning with `/`.
        path: String,
    },
    /// A signal to the process of that name.
    Signal {
        /// `SIGHUP` and the like.
        name: String,
        /// The process's name, as in `/proc/PID/comm`.
        process_name: String,
    },
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Relative to the volume, no `..`.
    pub path: String,
    /// How inputs become content.
    pub format: Format,
    /// Permission bits.
    pub mode: u32,
    /// Whether the application starts without it.
    pub optional: bool,
    /// The inputs, in the order of the output.
    pub inputs: Vec<Input>,
    /// The template, for [`Format::Template`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The keystore's settings, for [`Format::Pkcs12`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs12: Option<Pkcs12>,
}

/// How inputs become content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Format {
    /// The value itself.
    Raw,
    /// `NAME="value"` lines.
    DotEnv,
    /// A JSON object.
    #[serde(rename = "JSON")]
    Json,
    /// A YAML mapping.
    #[serde(rename = "YAML")]
    Yaml,
    /// Java properties.
    Properties,
    /// INI, a section for each structured secret.
    #[serde(rename = "INI")]
    Ini,
    /// A PKCS#12 keystore.
    #[serde(rename = "PKCS12")]
    Pkcs12,
    /// A template.
    Template,
}

/// One input of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input {
    /// Which secret.
    pub secret: SecretKey,
    /// Only this field of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The name the content knows it by; absent: the secret's name.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// Settings of a PKCS#12 keystore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Pkcs12 {
    /// Whether it is a trust store (certificates only).
    pub trust_store: bool,
    /// The entry's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The secret that holds the password.
    pub password: Input,
}

impl Delivery {
    /// Every secret that some file needs, once each.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretKey> {
        let inputs = self.files.iter().flat_map(|file| {
            file.inputs.iter().chain(file.pkcs12.as_ref().map(|store| &store.password)).map(|input| &input.secret)
        });
        inputs.collect::<BTreeSet<_>>().into_iter()
    }
}
