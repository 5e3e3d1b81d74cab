//! What pods of a Machine get: where the files stand, what is in them, and what happens when something changes.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    choice::{NotExactlyOne, exactly_one},
    defaults,
    duration::Duration,
    file_mode::FileMode,
    reference::SecretFieldRef,
    shape::{self, check, check_at},
    size::Size,
};

/// What pods of this Machine get.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// `Sidecar`: files are kept current while the pod runs. `Init`: files are written once, before the pod starts, and
    /// nothing is left running. Absent: `Sidecar`. Read when a pod is admitted: a change reaches pods when they are
    /// replaced (`status.pods.outdated` counts the others).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<DeliveryMode>,
    /// Where the files stand in the pod's containers. Absent: `/run/secrets/sikkerkey`. Read when a pod is admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 2, max = 255),
        regex(pattern = r"^(/[A-Za-z0-9_.-]+)+$"),
        transform = check(
            "!self.split('/').exists(s, s == '.' || s == '..')",
            "mountPath is an absolute path without . and .. segments"
        )
    )]
    pub mount_path: Option<String>,
    /// Size of the memory volume that holds the files, from `64Ki` to `64Mi`. It adds to the sidecar's memory limit.
    /// Absent: `4Mi`. Read when a pod is admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = check(
        "quantity(self).compareTo(quantity('64Ki')) >= 0 && quantity(self).compareTo(quantity('64Mi')) <= 0",
        "sizeLimit is from 64Ki to 64Mi"
    ))]
    pub size_limit: Option<Size>,
    /// What happens to a file when its Secret may no longer be read: `Remove` takes it away, `Keep` leaves the last
    /// version. Absent: `Remove`. Live: a change reaches running pods within the poll interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_revoked: Option<OnRevoked>,
    /// How long files stay while the server cannot be reached, for example `8h`. Absent: `24h`. Live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness: Option<Duration>,
    /// How the app learns that files have changed. Absent: it watches the files by itself. Live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
    /// The files. A Grant alone never makes a file: each one is listed here. Absent: none. Live.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 64),
        transform = shape::map_list(["path"]),
        transform = check(
            "self.all(f, self.all(g, !g.path.startsWith(f.path + '/')))",
            "one file stands where another file needs a directory: no path may continue another file's path"
        )
    )]
    pub files: Option<Vec<DeliveryFile>>,
}

/// Whether something keeps running beside the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeliveryMode {
    /// A native sidecar keeps the files current.
    Sidecar,
    /// An init container writes the files once.
    Init,
}

/// What happens to a file whose Secret may no longer be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRevoked {
    /// It goes.
    Remove,
    /// Its last version stays.
    Keep,
}

/// How the app learns that files have changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = check(
    "has(self.httpPost) != has(self.signal)",
    "give exactly one of httpPost and signal, or leave onChange out"
))]
pub struct OnChange {
    /// An HTTP POST without a body to 127.0.0.1. Give exactly one of `httpPost` and `signal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_post: Option<HttpPost>,
    /// A signal to a process of the pod, which needs `shareProcessNamespace: true`. Give exactly one of `httpPost` and
    /// `signal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// How long to wait for further changes before the app is told once, for example `5s`. Absent: `5s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Duration>,
}

/// An HTTP POST to 127.0.0.1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpPost {
    /// Port on 127.0.0.1.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Path and query, for example `/-/reload`. Absent: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = r"^/[!-~]*$"))]
    pub path: Option<String>,
}

/// A signal to a process of the pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signal {
    /// The signal: `SIGHUP`, `SIGUSR1`, `SIGUSR2` or `SIGTERM`.
    pub name: SignalName,
    /// Name of the process as it stands in `/proc/PID/comm`: at most 15 characters, without its path.
    #[schemars(length(min = 1, max = 15), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    pub process_name: String,
}

/// A signal that an app may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SignalName {
    /// Reload, by custom.
    #[serde(rename = "SIGHUP")]
    Hangup,
    /// The app's own.
    #[serde(rename = "SIGUSR1")]
    User1,
    /// The app's own.
    #[serde(rename = "SIGUSR2")]
    User2,
    /// End: the kubelet starts the container again.
    #[serde(rename = "SIGTERM")]
    Terminate,
}

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
    /// Permission bits as four octal digits in quotes, for example `"0440"`. Absent: `"0444"`: only containers that
    /// mount the volume see the file, and it works for every user id.
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
    /// Alias of the entry in the store. Absent: the Secret's name.
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

/// How the app is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChangeNotice<'a> {
    /// By an HTTP POST to 127.0.0.1.
    HttpPost(&'a HttpPost),
    /// By a signal.
    Signal(&'a Signal),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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

impl Delivery {
    /// A delivery of nothing, all defaults.
    pub(super) const EMPTY: Self = Self {
        mode: None,
        mount_path: None,
        size_limit: None,
        on_revoked: None,
        max_staleness: None,
        on_change: None,
        files: None,
    };

    /// Whether something keeps running beside the app.
    pub fn mode(&self) -> DeliveryMode {
        self.mode.unwrap_or(defaults::DELIVERY_MODE)
    }

    /// Where the files stand in the pod's containers.
    pub fn mount_path(&self) -> &str {
        self.mount_path.as_deref().unwrap_or(defaults::MOUNT_PATH)
    }

    /// Size of the memory volume.
    pub fn size_limit(&self) -> Size {
        self.size_limit.unwrap_or(defaults::SIZE_LIMIT)
    }

    /// What happens to a file whose Secret may no longer be read.
    pub fn on_revoked(&self) -> OnRevoked {
        self.on_revoked.unwrap_or(defaults::ON_REVOKED)
    }

    /// How long files stay while the server is away.
    pub fn max_staleness(&self) -> std::time::Duration {
        self.max_staleness.map_or(defaults::MAX_STALENESS, Duration::get)
    }

    /// The files.
    pub fn files(&self) -> &[DeliveryFile] {
        self.files.as_deref().unwrap_or_default()
    }
}

impl OnChange {
    /// How the app is told.
    pub fn notice(&self) -> Result<ChangeNotice<'_>, NotExactlyOne> {
        exactly_one(
            "spec.delivery.onChange",
            &["httpPost", "signal"],
            [self.http_post.as_ref().map(ChangeNotice::HttpPost), self.signal.as_ref().map(ChangeNotice::Signal)],
        )
    }

    /// How long to wait for further changes.
    pub fn debounce(&self) -> std::time::Duration {
        self.debounce.map_or(defaults::DEBOUNCE, Duration::get)
    }
}

impl HttpPost {
    /// Path and query of the request.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(defaults::HTTP_POST_PATH)
    }
}

impl SignalName {
    /// The name as it stands in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::User1 => "SIGUSR1",
            Self::User2 => "SIGUSR2",
            Self::Terminate => "SIGTERM",
        }
    }
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
