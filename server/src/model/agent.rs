//! Programs that manage.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{AgentId, VaultId};
use sikkerkey_protocol::key::PublicKey;

use super::millis::Millis;

/// A program that manages and never reads a value. No route of a machine answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its vault.
    pub vault: VaultId,
    /// What people call it.
    pub name: String,
    /// Its key.
    pub public_key: PublicKey,
    /// The cluster it speaks for; none: no route of an operator answers it.
    pub cluster: Option<String>,
    /// Whether a person, or the cluster's token, vouches for it.
    pub approved: bool,
    /// Whether it is switched on.
    pub enabled: bool,
    /// When it ends; none: never.
    pub expires_at: Option<Millis>,
    /// The pod that logged in, `namespace/name`.
    pub pod: Option<String>,
}
