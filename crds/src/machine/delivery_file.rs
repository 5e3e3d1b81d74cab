//! One file that pods of a Machine get: its format, and the Secrets that go into it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    defaults,
    file_mode::FileMode,
    reference::SecretFieldRef,
    shape::{self, check, check_at},
};

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = check_at(
        ".secretRefs",
        "(has(self.format) && self.format != 'Raw') || (size(self.secretRefs) == 1 && !has(self.secretRefs[0].as))",
        "format Raw takes exactly one entry in secretRefs, without as"
    ),
    transform = check(
        "has(self.template) == (has(self.format) && self.format == 'Template')",
        "template goes with format Template, and only with it"
    ),
    transform = check(
        "has(self.pkcs12) == (has(self.format) && self.format == 'PKCS12')",
        "pkcs12 goes with format PKCS12, and only with it"
    )
)]
pub struct DeliveryFile {
    /// Where the file stands, relative to `mountPath`, for example `db/password`. At most eight segments, none of which
    /// begins with two dots.
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^\.?[A-Za-z0-9_][A-Za-z0-9_.-]*(/\.?[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}$")
    )]
    pub path: String,
    /// `Raw` (one value, byte for byte), `DotEnv`, `JSON`, `YAML`, `Properties`, `INI`, `PKCS12` (a key store) or
    /// `Template`. Absent: `Raw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<FileFormat>,
    /// Permission bits as four octal digits in quotes, for example `"0440"`; the owner may always read (`"0400"`). Absent:
    /// `"0444"`: only containers that mount the volume see the file, and it works for every user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// True: the pod starts without this file, which appears when it can be read. Absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// The Secrets (sks, of the group sikkerkey.com) that go into the file, in the order of the output. Format `Raw`
    /// takes exactly one.
    #[schemars(length(min = 1, max = 32), transform = shape::atomic_list)]
    pub secret_refs: Vec<FileSecretRef>,
    /// Text of format `Template`, for example `postgres://{{ db.username }}:{{ db.password | urlencode }}@db/shop`,
    /// where `db` is the `as` of an entry in `secretRefs`. Absent: for the other formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub template: Option<String>,
    /// Settings of format `PKCS12`. Absent: for the other formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pkcs12: Option<Pkcs12>,
}

/// How the values of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FileFormat {
    /// One value, byte for byte.
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
    /// INI sections.
    #[serde(rename = "INI")]
    Ini,
    /// A PKCS#12 key store or trust store.
    #[serde(rename = "PKCS12")]
    Pkcs12,
    /// A template.
    Template,
}

/// One Secret that goes into a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileSecretRef {
    /// Name of the Secret (sks, of the group sikkerkey.com).
    #[schemars(transform = shape::name)]
    pub name: String,
    /// Namespace of the Secret. Absent: the namespace of this Machine. A Secret of another namespace is readable when a
    /// Grant of that namespace names this Machine and this Machine's `allowFrom` lists that namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::label)]
    pub namespace: Option<String>,
    /// Field of a structured Secret. Absent: for format `Raw` the value, or the JSON text of a structured Secret; for
    /// other formats all fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::field)]
    pub field: Option<String>,
    /// Name of the value inside the file. Absent: the Secret's name; for `DotEnv` and `Properties` in upper case, with
    /// `_` for what is not a letter or digit. Not for format `Raw`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::alias)]
    pub alias: Option<String>,
}

/// A PKCS#12 store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pkcs12 {
    /// `KeyStore`: a private key with its chain. `TrustStore`: certificates only.
    #[serde(rename = "type")]
    pub type_: Pkcs12Type,
    /// Alias of the entry in the store. Absent: the `as` of the entry in `secretRefs`, or the Secret's name. A second
    /// certificate of a `TrustStore` is `{alias}-2`, and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub alias: Option<String>,
    /// The Secret that holds the store's password.
    pub password_ref: SecretFieldRef,
}

/// What a PKCS#12 store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Pkcs12Type {
    /// A private key with its chain.
    KeyStore,
    /// Certificates only.
    TrustStore,
}

/// What a file is made of: its format with just what that format needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FileContent<'a> {
    /// One value, byte for byte.
    Raw(&'a FileSecretRef),
    /// Named values in a format without settings of its own: `DotEnv`, `JSON`, `YAML`, `Properties` or `INI`.
    Named(FileFormat, &'a [FileSecretRef]),
    /// A key store or trust store.
    Pkcs12(&'a Pkcs12, &'a [FileSecretRef]),
    /// A template with its inputs.
    Template(&'a str, &'a [FileSecretRef]),
}

/// A file whose settings do not fit its format. The API server refuses these by rules of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FileContentError {
    /// `Raw` with more or less than one input, or with a name for it.
    #[error("format Raw takes exactly one entry in secretRefs, without as")]
    RawInputs,
    /// `Template` without a template.
    #[error("format Template needs template")]
    NoTemplate,
    /// `PKCS12` without its settings.
    #[error("format PKCS12 needs pkcs12")]
    NoPkcs12,
}

impl DeliveryFile {
    /// How the values are written.
    pub fn format(&self) -> FileFormat {
        self.format.unwrap_or(defaults::FILE_FORMAT)
    }

    /// Permission bits.
    pub fn mode(&self) -> FileMode {
        self.mode.unwrap_or(defaults::FILE_MODE)
    }

    /// Whether the pod starts without it.
    pub fn is_optional(&self) -> bool {
        self.optional.unwrap_or(false)
    }

    /// The format with just what it needs.
    pub fn content(&self) -> Result<FileContent<'_>, FileContentError> {
        let inputs = self.secret_refs.as_slice();
        match self.format() {
            FileFormat::Raw => match inputs {
                [input] if input.alias.is_none() => Ok(FileContent::Raw(input)),
                _ => Err(FileContentError::RawInputs),
            },
            FileFormat::Template => {
                let template = self.template.as_deref().ok_or(FileContentError::NoTemplate)?;
                Ok(FileContent::Template(template, inputs))
            }
            FileFormat::Pkcs12 => {
                let settings = self.pkcs12.as_ref().ok_or(FileContentError::NoPkcs12)?;
                Ok(FileContent::Pkcs12(settings, inputs))
            }
            named @ (FileFormat::DotEnv
            | FileFormat::Json
            | FileFormat::Yaml
            | FileFormat::Properties
            | FileFormat::Ini) => Ok(FileContent::Named(named, inputs)),
        }
    }
}

impl FileSecretRef {
    /// The namespace of the Secret, for a Machine that stands in `own`.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }

    /// Name of the value inside a file of `format`.
    pub fn alias_in(&self, format: FileFormat) -> Cow<'_, str> {
        match (&self.alias, format) {
            (Some(alias), _) => alias.into(),
            (None, FileFormat::DotEnv | FileFormat::Properties) => {
                let shout = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
                self.name.chars().map(shout).collect()
            }
            (None, _) => self.name.as_str().into(),
        }
    }
}
