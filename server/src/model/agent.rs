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
    /// The trust by which a workload logged in as it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

/// A workload that logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// The trust, by name.
    pub trust: String,
    /// The `sub` of its token.
    pub subject: String,
}

/// Workloads that may log in as agents of people, such as the jobs of a build server: tokens of an issuer, for an audience,
/// of subjects that look like this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentTrust {
    /// The vault of the agents.
    pub vault: VaultId,
    /// Its name, unique in the vault.
    pub name: String,
    /// The `iss` of the tokens.
    pub issuer: String,
    /// The issuer's signing keys, a JWK set in JSON.
    pub jwks: String,
    /// The `aud` of the tokens.
    pub audience: String,
    /// What their `sub` looks like, `*` and `?` standing for any characters.
    pub subject: String,
    /// What the agents may do.
    pub scopes: BTreeSet<Scope>,
    /// The projects they may see; none: every project of the vault.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// How long each agent lasts, in seconds.
    pub lifetime_seconds: u64,
    /// Tokens that were issued at this second or before are refused: the server was restored, and does not know which of
    /// them were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logins_after: Option<i64>,
}

impl AgentTrust {
    /// The entity's id.
    pub fn id(vault: &VaultId, name: &str) -> String {
        format!("{vault}/{name}")
    }

    /// Whether an agent logged in by it.
    pub fn let_in(&self, agent: &Agent) -> bool {
        agent.vault == self.vault && agent.workload.as_ref().is_some_and(|it| it.trust == self.name)
    }
}
