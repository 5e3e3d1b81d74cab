//! `Machine` objects at the server.

use serde::{Deserialize, Serialize};

use super::{ObjectIdentity, ObjectMeta};
use crate::Call;
use crate::key::PublicKey;
use crate::sync::Delivery;

/// Puts a `Machine` in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApplyMachine {
    /// Which one.
    pub object: ObjectMeta,
    /// Whether a person approves (once for a fleet, for each key of a host).
    pub manual_approval: bool,
    /// Whether nobody reads as it for now.
    pub suspended: bool,
    /// Pods or a host.
    pub subject: Subject,
}

/// Whom a `Machine` stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// The pods of a workload.
    #[serde(rename_all = "camelCase")]
    Workload {
        /// Names of the service accounts whose pods may assume it. A pod of another one loses its identity at once.
        service_accounts: Vec<String>,
        /// How long one pod's identity lasts before it renews, in seconds.
        lifetime_seconds: u64,
        /// What its sidecars write.
        delivery: Delivery,
    },
    /// A machine outside the cluster.
    #[serde(rename_all = "camelCase")]
    Host {
        /// The key it must have; pinning it is the approval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public_key: Option<PublicKey>,
        /// How long the identity lasts, in seconds; absent: for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifetime_seconds: Option<u64>,
    },
}

/// How approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names say it")]
pub enum Approval {
    Approved,
    Pending,
    Denied,
}

/// A `Machine` as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MachineState {
    /// Id of the fleet, or of the host (a host that has not enrolled has none).
    pub machine_id: Option<String>,
    /// How approval stands.
    pub approval: Approval,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Live pods.
    pub alive: u32,
    /// Secrets it is granted.
    pub granted_secrets: u32,
    /// Last signed request, in Unix milliseconds.
    pub last_seen: Option<i64>,
    /// Of a host: the fingerprint of its key.
    pub fingerprint: Option<String>,
    /// Of a host: when its identity ends, in Unix milliseconds.
    pub expires_at: Option<i64>,
}

impl Call for ApplyMachine {
    const PATH: &'static str = "/v1/ai/kubernetes/machines/apply";
    type Answer = MachineState;
}

/// Makes a one-time token known with which the host of a `Machine` registers. The token itself stays with the person who
/// asks: only its hash comes here. Good for ten minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BootstrapHost {
    /// Which `Machine`; it has to be for a host.
    pub machine: ObjectIdentity,
    /// Lower-case hex of the SHA-256 of the token, whose text is 64 lower-case hex digits.
    pub token_hash: String,
    /// Who asks, for the audit.
    pub asked_by: String,
}

/// What the command for the host needs besides the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HostBootstrap {
    /// The server's public origin, without a trailing slash.
    pub url: String,
    /// The authority that hosts need to be told of in order to trust it, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// When the token ends, in Unix milliseconds.
    pub expires_at: i64,
    /// Whether the object names the key that the host has to have.
    pub is_pinned: bool,
}

impl Call for BootstrapHost {
    const PATH: &'static str = "/v1/ai/kubernetes/machines/bootstrap";
    type Answer = HostBootstrap;
}
