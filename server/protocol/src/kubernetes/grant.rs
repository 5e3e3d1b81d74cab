//! `Grant` objects at the server.

use serde::{Deserialize, Serialize};

use super::{ObjectKey, ObjectMeta};
use crate::Call;
use crate::denial::DenialReason;

/// Puts a `Grant` in force. What does not exist yet is left out and named in the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApplyGrant {
    /// Which one.
    pub object: ObjectMeta,
    /// Who may read. The operator has checked the consent of the Machine's namespace.
    pub machine: ObjectKey,
    /// What may be read: names of Secrets of the Grant's own namespace.
    pub secrets: Vec<String>,
    /// Until when, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// A `Grant` as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GrantState {
    /// The fleet's or host's id; absent when the server has no such Machine.
    pub machine_id: Option<String>,
    /// Names of the Secrets that are granted.
    pub granted: Vec<String>,
    /// Names of the Secrets that the server does not have.
    pub missing: Vec<String>,
    /// What has been read through it.
    pub usage: Usage,
    /// Reads that wait for a policy's co-signer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaiting: Vec<Awaited>,
}

/// A read that waits for a policy's co-signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Awaited {
    /// Name of the Secret.
    pub secret: String,
    /// Whether its co-signer has not answered, or has refused.
    pub reason: DenialReason,
    /// Who is awaited and which request, for a person.
    pub message: String,
}

/// Reads and denials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Values delivered.
    pub reads: u64,
    /// Reads denied.
    pub denied: u64,
    /// Last delivery, in Unix milliseconds.
    pub last_read: Option<i64>,
    /// Last denial.
    pub last_denied: Option<LastDenied>,
}

/// The last denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastDenied {
    /// Unix milliseconds.
    pub time: i64,
    /// Name of the Secret.
    pub secret: String,
    /// Why.
    pub reason: DenialReason,
    /// Why, for a person.
    pub message: String,
}

impl Call for ApplyGrant {
    const PATH: &'static str = "/v1/ai/kubernetes/grants/apply";
    type Answer = GrantState;
}
