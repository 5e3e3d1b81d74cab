//! Agents on the management plane.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AuditEntry, Scope};
use crate::Call;
use crate::id::{AgentId, ProjectId, VaultId};
use crate::key::{PublicKey, Signature};
use crate::kubernetes::Approval;
use crate::secret_text::{self, SecretText};

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentView {
    /// What it signs as.
    pub id: AgentId,
    /// What people call it.
    pub name: String,
    /// How approval stands.
    pub approval: Approval,
    /// Whether it is switched on.
    pub enabled: bool,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The projects it may see, as far as the asker sees them; `null`: every project of the vault.
    pub project_ids: Option<Vec<ProjectId>>,
    /// When it registered; none of one that is older than this note. Unix milliseconds.
    pub created_at: Option<i64>,
    /// When it ends; Unix milliseconds.
    pub expires_at: Option<i64>,
    /// The fingerprint of its key: what is compared before it is approved.
    pub fingerprint: String,
    /// The cluster it speaks for: then it has routes of its own, and scopes do not matter.
    pub cluster: Option<String>,
    /// The trust by which it logged in.
    pub trust: Option<String>,
    /// The workload that logged in, as its token calls it.
    pub subject: Option<String>,
}

/// The agent that asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhoAmI {
    /// What stands in the list of agents.
    #[serde(flatten)]
    pub agent: AgentView,
    /// The last 20 rows by it or about it among the last 5,000 of the audit, the newest first.
    pub recent_activity: Vec<AuditEntry>,
}

/// The agents of a vault, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentList {
    /// The agents.
    pub agents: Vec<AgentView>,
}

/// Approves an agent's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApproveAgent {
    /// The fingerprint that the agent shows: one that is not the key's is refused.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

/// A workload logs in with a token of an issuer that the server was told to trust, and a key it has just made. Unsigned.
///
/// The token's audience is the one that the trust names, and each token is accepted once. The agent ends by itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentLogin {
    /// The workload's token.
    #[serde(serialize_with = "secret_text::serialize")]
    pub token: SecretText,
    /// The workload's key.
    pub public_key: PublicKey,
    /// Signature over [`possession`](crate::canonical::possession) with `Purpose::Login` and the token.
    pub proof: Signature,
    /// The vault, where trusts of several fit the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault_id: Option<VaultId>,
    /// The trust's name, where several of one vault fit the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
}

/// The answer to [`AgentLogin`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentLoggedIn {
    /// What to sign as.
    pub agent_id: AgentId,
    /// What people call it.
    pub name: String,
    /// Its vault.
    pub vault_id: VaultId,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends, in Unix milliseconds.
    pub expires_at: i64,
}

impl Call for AgentLogin {
    const PATH: &'static str = "/v1/ai-bootstrap/login";
    type Answer = AgentLoggedIn;
}

/// Whose workloads may log in as agents, and what these may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrustView {
    /// The vault.
    pub vault_id: VaultId,
    /// Its name, unique in the vault.
    pub name: String,
    /// The `iss` of the tokens.
    pub issuer: String,
    /// The `aud` of the tokens.
    pub audience: String,
    /// What their `sub` looks like.
    pub subject: String,
    /// What the agents may do.
    pub scopes: BTreeSet<Scope>,
    /// The projects they may see; `null`: every project of the vault.
    pub project_ids: Option<BTreeSet<ProjectId>>,
    /// How long each agent lasts, in seconds.
    pub lifetime_seconds: u64,
    /// How many agents are logged in by it.
    pub alive: usize,
}
