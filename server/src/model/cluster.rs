//! Kubernetes clusters that the server trusts.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::VaultId;

use super::millis::Millis;

/// A cluster whose operator may log in. Which cluster a token is of follows from the keys that verify it, never from a
/// claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name, unique at this server.
    pub name: String,
    /// The vault that holds its projects.
    pub vault: VaultId,
    /// The `iss` of its service-account tokens.
    pub issuer: String,
    /// Its signing keys, a JWK set in JSON.
    pub jwks: String,
    /// The `sub` of its operator: `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
    /// Login tokens that were issued at this second or before are refused: the server was restored, and does not know which
    /// of them were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logins_after: Option<i64>,
}

/// A pod that is gone: its uid gets no voucher any more, however late one asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GonePod {
    /// The cluster.
    pub cluster: String,
    /// The pod's uid.
    pub uid: String,
    /// When the server learnt it. Forgotten after a day: no token of the pod lives that long.
    pub since: Millis,
    /// Whether it is there, but a person took its identity away: remembered until the pod itself is gone, at most a year.
    #[serde(default)]
    pub revoked: bool,
}

impl GonePod {
    /// The entity's id.
    pub fn id(cluster: &str, uid: &str) -> String {
        format!("{cluster}/{uid}")
    }
}

/// A login token that was used. Each is accepted once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpentLogin {
    /// Hex SHA-256 of the token's header and payload; of the whole token where an earlier version wrote it.
    pub hash: String,
    /// When the token ends by itself, after which this may be forgotten.
    pub expires_at: Millis,
}
