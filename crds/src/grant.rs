//! `Grant`: one Machine may read these Secrets. It stands with the Secrets: granting is their owner's act.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::Condition,
    reference::{LocalRef, MachineRef},
    shape,
};

/// One Machine may read these Secrets of this namespace. Grants add up: access lasts as long as one of them gives it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sikkerkey.com",
    version = "v1alpha1",
    kind = "Grant",
    plural = "grants",
    shortname = "skg",
    category = "sikkerkey",
    namespaced,
    schema = "manual",
    doc = "A Grant: one Machine may read these Secrets of this namespace.",
    derive = "PartialEq",
    derive = "Default",
    status = "GrantStatus",
    selectable = ".spec.machineRef.name",
    printcolumn = r#"{"name": "Machine", "type": "string", "jsonPath": ".status.machine"}"#,
    printcolumn = r#"{"name": "Secrets", "type": "string", "jsonPath": ".status.secrets.summary"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Reads", "type": "integer", "jsonPath": ".status.usage.reads"}"#,
    printcolumn = r#"{"name": "Denied", "type": "integer", "jsonPath": ".status.usage.denied"}"#,
    printcolumn = r#"{"name": "Last-Read", "type": "date", "jsonPath": ".status.usage.lastReadTime"}"#,
    printcolumn = r#"{"name": "Expires", "type": "string", "jsonPath": ".spec.expiresAt"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "As-Of", "type": "date", "jsonPath": ".status.usage.asOf", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GrantSpec {
    /// The Machine that may read.
    pub machine_ref: MachineRef,
    /// The Secrets (sks, of the group sikkerkey.com) of this namespace that it may read.
    #[schemars(length(min = 1, max = 128), transform = shape::map_list(["name"]))]
    pub secret_refs: Vec<LocalRef>,
    /// When the access ends, for example `"2027-03-31T00:00:00Z"`. Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// What the operator last saw of the Grant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantStatus {
    /// The `metadata.generation` that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub observed_generation: Option<i64>,
    /// Accepted, `ResolvedRefs`, Programmed and their summary Ready; Stalled while only an edit can help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = shape::map_list(["type"]))]
    pub conditions: Vec<Condition>,
    /// The Machine: `web`, or `shop/web` of another namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub machine: Option<String>,
    /// Id of the Machine at the server.
    #[serde(rename = "machineID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub machine_id: Option<String>,
    /// How many of the Secrets are granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<GrantedSecrets>,
    /// The Secrets that are not granted, then those whose reads wait for a co-signer; 16 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = shape::map_list(["secret"]))]
    pub problems: Vec<GrantProblem>,
    /// Reads under this Grant. Coarse: `asOf` says how old the figures are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<GrantUsage>,
}

/// How many Secrets are granted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantedSecrets {
    /// Secrets that the Machine may read by this Grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub granted: Option<i32>,
    /// Secrets that the Grant names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub total: Option<i32>,
    /// Granted of total, for example `1/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub summary: Option<String>,
}

/// A Secret that is not granted, or whose reads wait for a co-signer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantProblem {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    pub secret: String,
    /// Why, in one word.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// What is and what to do.
    #[schemars(length(max = 512))]
    pub message: String,
}

/// Reads under a Grant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantUsage {
    /// Deliveries of a value to an identity. Polls, renewals and refused requests are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub reads: Option<i64>,
    /// Reads that were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub denied: Option<i64>,
    /// When a value was last delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_read_time: Option<Time>,
    /// The last read that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_denied: Option<DeniedRead>,
    /// How old these figures are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Time>,
}

/// A read that was refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedRead {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub secret: Option<String>,
    /// Why, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub reason: Option<String>,
    /// What is and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}
