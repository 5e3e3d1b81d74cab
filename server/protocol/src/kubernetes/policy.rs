//! `AccessPolicy` objects at the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ObjectMeta, Usage};
use crate::Call;
use crate::denial::DenialReason;
use crate::policy::PolicyDocument;

/// Puts an `AccessPolicy` in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApplyPolicy {
    /// Which one.
    pub object: ObjectMeta,
    /// The policy.
    pub policy: PolicyDocument,
}

/// An `AccessPolicy` as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyState {
    /// Secrets that name it.
    pub secrets: u32,
    /// How its window stands.
    pub window: WindowState,
    /// When that changes, in Unix milliseconds.
    pub window_changes_at: Option<i64>,
    /// Reads and denials of the secrets it guards.
    pub usage: Usage,
    /// Denials by axis.
    pub denied_by: BTreeMap<DenialReason, u64>,
    /// Reads that wait for the co-signer.
    #[serde(default)]
    pub pending_co_signs: u32,
    /// Reads that are left under `ttl.maxReads`, of the secret that has the fewest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_reads: Option<u64>,
}

/// How a policy's window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum WindowState {
    /// No window.
    Always,
    /// Open now.
    Open,
    /// Closed now.
    Closed,
    /// Its last day or last read is past.
    Ended,
}

impl Call for ApplyPolicy {
    const PATH: &'static str = "/v1/ai/kubernetes/policies/apply";
    type Answer = PolicyState;
}
