//! `Secret`: what may be read. The value never stands in the spec.
//!
//! Import this module, not the type: `secret::Secret` beside `k8s_openapi`'s `Secret` is a mistake waiting to happen.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    choice::{NotExactlyOne, exactly_one},
    condition::Condition,
    defaults,
    duration::Duration,
    reference::LocalRef,
    shape::{self, check, check_at},
};

/// What may be read, and where its value comes from. The value itself never stands here.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sikkerkey.com",
    version = "v1alpha1",
    kind = "Secret",
    plural = "secrets",
    shortname = "sks",
    category = "sikkerkey",
    namespaced,
    schema = "manual",
    doc = "A Secret of SikkerKey (sks, not a core Secret): what may be read. Its value is kept by the server.",
    derive = "PartialEq",
    derive = "Default",
    status = "SecretStatus",
    selectable = ".spec.policyRef.name",
    printcolumn = r#"{"name": "Source", "type": "string", "jsonPath": ".status.source"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Version", "type": "integer", "jsonPath": ".status.version"}"#,
    printcolumn = r#"{"name": "Served", "type": "string", "jsonPath": ".status.pods.summary"}"#,
    printcolumn = r#"{"name": "Grants", "type": "integer", "jsonPath": ".status.grants"}"#,
    printcolumn = r#"{"name": "Policy", "type": "string", "jsonPath": ".spec.policyRef.name"}"#,
    printcolumn = r#"{"name": "Changed", "type": "date", "jsonPath": ".status.versionTime"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Next-Rotation", "type": "string", "jsonPath": ".status.nextRotationTime", "priority": 1}"#,
    printcolumn = r#"{"name": "ID", "type": "string", "jsonPath": ".status.secretID", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SecretSpec {
    /// Where the value comes from. Give exactly one of `generate`, `sealed`, `kubernetesSecret` and `external`.
    pub source: SecretSource,
    /// The `AccessPolicy` of this namespace that every read must pass. Absent: a Grant is enough. While the policy that
    /// is named here does not exist, or is not accepted, every read is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<LocalRef>,
    /// When a new value is due. Absent: only when somebody asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// What happens to the value when this object is deleted. `Retain`: it is kept at the server, unreadable, and taken
    /// up again by a Secret of the same name in the same namespace. `Delete`: it goes to the server's trash, for 30
    /// days. Absent: `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// Where the value comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = check(
    "[has(self.generate), has(self.sealed), has(self.kubernetesSecret), has(self.external)].filter(x, x).size() == 1",
    "give exactly one of generate, sealed, kubernetesSecret and external"
))]
pub struct SecretSource {
    /// The server makes the value. Empty (`{}`): one value of 32 letters and digits. An edit here does not make a new
    /// value: it applies at the next rotation. Absent: another source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// The value, encrypted to the server's sealing key by `sikkerkey-operator seal`. Safe to keep in Git. Absent: another
    /// source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// The value is taken over from a core Secret of this namespace: when this object changes, and when the core Secret
    /// does, within 30 seconds or so (of more than 600 such Secrets in the cluster, proportionally later). Whoever may
    /// write this can have any core Secret of this namespace read. Off unless the operator was started with
    /// `--kubernetes-secret-source`. Absent: another source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_secret: Option<KubernetesSecret>,
    /// A person or a program sets the value at the server. Empty (`{}`): one value without fields. Absent: another
    /// source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// A value that the server makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = check(
        "!has(self.fields) || (!has(self.length) && !has(self.charset))",
        "with fields, length and charset stand on each field"
    ),
    transform = check_at(
        ".fields",
        "!has(self.fields) || self.fields.exists(f, !has(f.literal))",
        "at least one field must be generated: a Secret of literals alone is a ConfigMap"
    ),
    transform = check(
        "!has(self.charset) || self.charset != 'UUID' || !has(self.length)",
        "a UUID has no length"
    )
)]
pub struct Generate {
    /// Number of characters, from 8 to 1024. Absent: 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 1024))]
    pub length: Option<i32>,
    /// `Alphanumeric` (safe in URLs, shells and connection strings), `Symbols`, `Numeric` or `UUID`. Absent:
    /// `Alphanumeric`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charset: Option<Charset>,
    /// Makes a structured Secret with these fields. Absent: one value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), transform = shape::map_list(["name"]))]
    pub fields: Option<Vec<GeneratedField>>,
}

/// A field of a structured Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = check(
    "!has(self.literal) || (!has(self.length) && !has(self.charset))",
    "a literal field is not generated: leave out length and charset"
))]
pub struct GeneratedField {
    /// Name of the field, for example `password`.
    #[schemars(transform = shape::field)]
    pub name: String,
    /// Number of characters, from 8 to 1024. Absent: 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 1024))]
    pub length: Option<i32>,
    /// `Alphanumeric`, `Symbols`, `Numeric` or `UUID`. Absent: `Alphanumeric`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charset: Option<Charset>,
    /// A fixed text instead of a generated value, for example a user name. A literal is not secret: whoever may view
    /// this object sees it. Absent: the field is generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub literal: Option<String>,
}

/// Of what a generated value is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Charset {
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits and punctuation.
    Symbols,
    /// Digits.
    Numeric,
    /// A random UUID (version 4).
    #[serde(rename = "UUID")]
    Uuid,
}

/// A value that is encrypted to the server's sealing key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// The sealing key that the value was encrypted to.
    #[serde(rename = "keyID")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub key_id: String,
    /// The encrypted value in base64. It opens only for this vault, this cluster (unless it was sealed for any), this
    /// namespace and (by its scope) this name; an older one never replaces a newer one. Whoever may view this object sees
    /// the ciphertext.
    #[schemars(length(min = 64, max = 24576), regex(pattern = r"^[A-Za-z0-9+/]+={0,2}$"))]
    pub ciphertext: String,
    /// What the value was sealed for: `Name` (this name in this namespace) or `Namespace` (any name in this namespace).
    /// Authenticated inside the ciphertext. Absent: `Name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<SealedScope>,
}

/// What a value is sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SealedScope {
    /// One name in one namespace.
    Name,
    /// Any name in one namespace.
    Namespace,
}

/// A core Secret to take the value from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesSecret {
    /// Name of the core Secret, in this namespace.
    #[schemars(transform = shape::name)]
    pub name: String,
    /// The key to take, as one value. Absent: all keys, as fields. Values are UTF-8 text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
    /// What happens to the core Secret once its value is taken: `Keep` or `Delete`. With `Delete` it goes some 15 seconds
    /// after the server has the value, and from then on need not exist. One that something else manages (an owner, Argo
    /// CD, Flux, Helm, …), or that another Secret (sks) still takes from, is not deleted. Absent: `Keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_taken: Option<OnTaken>,
}

/// What happens to a core Secret once its value is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnTaken {
    /// It stays.
    Keep,
    /// It goes, unless something else manages it.
    Delete,
}

/// A value that a person or a program sets at the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// The fields that the value must have. Absent: one value without fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), transform = shape::set_list, transform = shape::each(shape::field))]
    pub fields: Option<Vec<String>>,
}

/// When a new value is due.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = check("has(self.every) || has(self.olderThan)", "give every, olderThan or both"))]
pub struct Rotation {
    /// How long a value stays, for example `720h` (30 days; days are no unit); from 5m to 8784h. Absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = check(
        "duration(self) >= duration('5m') && duration(self) <= duration('8784h')",
        "every is from 5m to 8784h"
    ))]
    pub every: Option<Duration>,
    /// A value made before this instant is replaced, once, for example `"2026-11-24T09:00:00Z"`. This is how to rotate
    /// now: safe to apply again, to revert and to restore. Absent: nothing is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<Time>,
}

/// What happens to the value when the object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It is kept, unreadable, for the same name in the same namespace.
    Retain,
    /// It goes to the trash.
    Delete,
}

/// Where the value comes from: the one source that is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Origin<'a> {
    /// The server makes it.
    Generate(&'a Generate),
    /// It stands here, encrypted.
    Sealed(&'a Sealed),
    /// It is taken from a core Secret.
    KubernetesSecret(&'a KubernetesSecret),
    /// Somebody sets it at the server.
    External(&'a External),
}

impl SecretSpec {
    /// What happens to the value when the object is deleted.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        self.deletion_policy.unwrap_or(defaults::DELETION_POLICY)
    }
}

impl SecretSource {
    /// The one source that is given.
    pub fn origin(&self) -> Result<Origin<'_>, NotExactlyOne> {
        exactly_one(
            "spec.source",
            &["generate", "sealed", "kubernetesSecret", "external"],
            [
                self.generate.as_ref().map(Origin::Generate),
                self.sealed.as_ref().map(Origin::Sealed),
                self.kubernetes_secret.as_ref().map(Origin::KubernetesSecret),
                self.external.as_ref().map(Origin::External),
            ],
        )
    }
}

impl Origin<'_> {
    /// The word for it in `status.source`.
    pub const fn type_(&self) -> SourceType {
        match self {
            Self::Generate(_) => SourceType::Generated,
            Self::Sealed(_) => SourceType::Sealed,
            Self::KubernetesSecret(_) => SourceType::KubernetesSecret,
            Self::External(_) => SourceType::External,
        }
    }
}

impl Generate {
    /// Number of characters of a value without fields.
    pub fn length(&self) -> i32 {
        self.length.unwrap_or(defaults::GENERATED_LENGTH)
    }

    /// Of what a value without fields is made.
    pub fn charset(&self) -> Charset {
        self.charset.unwrap_or(defaults::CHARSET)
    }

    /// The fields. Empty: one value without fields.
    pub fn fields(&self) -> &[GeneratedField] {
        self.fields.as_deref().unwrap_or_default()
    }
}

impl GeneratedField {
    /// Number of characters.
    pub fn length(&self) -> i32 {
        self.length.unwrap_or(defaults::GENERATED_LENGTH)
    }

    /// Of what the value is made.
    pub fn charset(&self) -> Charset {
        self.charset.unwrap_or(defaults::CHARSET)
    }
}

impl Sealed {
    /// What the value was sealed for.
    pub fn scope(&self) -> SealedScope {
        self.scope.unwrap_or(defaults::SEALED_SCOPE)
    }
}

impl KubernetesSecret {
    /// What happens to the core Secret once its value is taken.
    pub fn on_taken(&self) -> OnTaken {
        self.on_taken.unwrap_or(defaults::ON_TAKEN)
    }
}

impl External {
    /// The fields that the value must have. Empty: one value without fields.
    pub fn fields(&self) -> &[String] {
        self.fields.as_deref().unwrap_or_default()
    }
}

/// What the operator last saw of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// The `metadata.generation` that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub observed_generation: Option<i64>,
    /// Accepted, `ResolvedRefs`, Programmed and their summary Ready; Stalled while only an edit can help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = shape::map_list(["type"]))]
    pub conditions: Vec<Condition>,
    /// `Generated`, `Sealed`, `KubernetesSecret` or `External`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceType>,
    /// Id of the secret at the server.
    #[serde(rename = "secretID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub secret_id: Option<String>,
    /// Id of the project at the server.
    #[serde(rename = "projectID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub project_id: Option<String>,
    /// Number of the newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub version: Option<i64>,
    /// When the newest version was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_time: Option<Time>,
    /// When the next version is due. Absent: no date is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_rotation_time: Option<Time>,
    /// Names of the fields of the newest version, never their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), transform = shape::set_list)]
    pub fields: Vec<String>,
    /// How many Grants name this Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub grants: Option<i32>,
    /// The pods that have this Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<SecretPods>,
}

/// Where the value comes from, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SourceType {
    /// The server makes it.
    Generated,
    /// It stands in the object, encrypted.
    Sealed,
    /// It is taken from a core Secret.
    KubernetesSecret,
    /// Somebody sets it at the server.
    External,
}

/// Counts of the pods that have a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretPods {
    /// Pods that have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub total: Option<i32>,
    /// Pods that have its newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub current: Option<i32>,
    /// Newest version of all, for example `3/5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub summary: Option<String>,
}
