//! Vouchers for pods, and pods that are gone.

use serde::{Deserialize, Serialize};

use super::ObjectKey;
use crate::Call;
use crate::id::{FleetId, VaultId};
use crate::key::PublicKey;
use crate::secret_text::{self, SecretText};

/// A pod as the API server's token review names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PodIdentity {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The node it runs on.
    pub node: String,
    /// Its service account's name.
    pub service_account: String,
}

/// Asks for a voucher: one key of one pod may become a machine of this fleet, once, within 60 seconds. A newer voucher
/// for the same pod voids the older ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IssueVoucher {
    /// The `Machine` the pod assumes.
    pub machine: ObjectKey,
    /// The pod, from the token review and from nowhere else.
    pub pod: PodIdentity,
    /// The key the sidecar proved to have.
    pub public_key: PublicKey,
}

/// The voucher.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IssuedVoucher {
    /// One-time token for [`Register`](crate::enrolment::Register).
    #[serde(serialize_with = "secret_text::serialize")]
    pub voucher: SecretText,
    /// The vault.
    pub vault_id: VaultId,
    /// The fleet.
    pub fleet_id: FleetId,
    /// When the voucher ends, in Unix milliseconds.
    pub expires_at: i64,
}

impl Call for IssueVoucher {
    const PATH: &'static str = "/v1/ai/kubernetes/vouchers/issue";
    type Answer = IssuedVoucher;
}

/// Pods that are gone: their machines are revoked and their uids get no voucher any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GonePods {
    /// Uids.
    pub uids: Vec<String>,
}

/// The answer to [`GonePods`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodsRevoked {
    /// Machines that were live until now.
    pub revoked: u32,
}

impl Call for GonePods {
    const PATH: &'static str = "/v1/ai/kubernetes/pods/gone";
    type Answer = PodsRevoked;
}
