//! Programs that manage.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{AgentId, ProjectId, VaultId};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::management::Scope;

use super::machine::EarlierName;
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
    /// What it may do on the management plane; none of one that is older than scopes: everything there.
    #[serde(default)]
    pub scopes: Option<BTreeSet<Scope>>,
    /// The projects it may see; none: every project of its vault.
    #[serde(default)]
    pub projects: Option<BTreeSet<ProjectId>>,
    /// When it registered; none of one that is older than this note.
    #[serde(default)]
    pub created_at: Option<Millis>,
    /// What it was called before, oldest first.
    #[serde(default)]
    pub earlier_names: Vec<EarlierName>,
}
