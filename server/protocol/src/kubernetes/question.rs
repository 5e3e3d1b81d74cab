//! What a person asks about a cluster's objects, through the operator.
//!
//! The operator has asked the API server whether the person may. Objects are named with their uid: a person who may not see
//! an object does not know it, and what is held of an earlier object of the same name is not told.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Kind, ObjectKey, Usage};
use crate::Call;
use crate::denial::DenialReason;
use crate::explain::Explanation;

/// The most reads and denials in one answer.
pub const MAX_EVENTS: u32 = 50;

/// One very object: not another one of the same name, earlier or later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectIdentity {
    /// Namespace and name.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
}

/// May this `Machine` read this `Secret`, and if not, why?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExplainRead {
    /// Who would read.
    pub machine: ObjectIdentity,
    /// What.
    pub secret: ObjectIdentity,
    /// Uid of the pod that would read; absent: the one that was seen last, or a pod that is still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// From where; absent: from where it was seen last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Who asks, as the API server calls them: for the audit.
    pub asked_by: String,
}

/// The answer to [`ExplainRead`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReadExplained {
    /// Which of the two the server does not hold. Without both there is nothing to explain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_held: Vec<Kind>,
    /// Whether the pod that was asked about has a key of its own at the server; absent: none was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled: Option<bool>,
    /// Rule by rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

impl Call for ExplainRead {
    const PATH: &'static str = "/v1/ai/kubernetes/explain";
    type Answer = ReadExplained;
}

/// Who read what an object is about, and who was refused?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditOf {
    /// Its kind.
    pub kind: Kind,
    /// Which one.
    pub object: ObjectIdentity,
    /// How many reads and denials, [`MAX_EVENTS`] at most.
    pub limit: u32,
    /// Who asks, as the API server calls them: for the audit.
    pub asked_by: String,
}

/// The answer to [`AuditOf`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    /// Whether the server holds the object.
    pub held: bool,
    /// How much was read and denied since the object is in force.
    pub usage: Usage,
    /// The last of it, newest first.
    pub events: Vec<AuditedRead>,
    /// How far back was looked, in Unix milliseconds; absent: to the beginning, or as far as was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_back_to: Option<i64>,
}

/// A read, or one that was refused. Never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditedRead {
    /// Unix milliseconds.
    pub time: i64,
    /// Whether the value was refused.
    pub denied: bool,
    /// Who: the `Machine` as `namespace/name`, or what a machine of no object is called.
    pub machine: String,
    /// Of a pod: `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What, as `namespace/name`; absent: nothing that the asker may know of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Of one that was refused: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DenialReason>,
    /// For a person.
    pub message: String,
}

impl Call for AuditOf {
    const PATH: &'static str = "/v1/ai/kubernetes/audit";
    type Answer = Audited;
}
