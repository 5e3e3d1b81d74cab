//! How an operator logs in.

use serde::{Deserialize, Serialize};

use crate::Call;
use crate::id::{AgentId, VaultId};
use crate::key::{PublicKey, Signature};
use crate::secret_text::{self, SecretText};

/// An operator's replica logs in with a token of its cluster and a key it has just made. Unsigned.
///
/// The token's audience is the server's public URL, its issuer and subject are those of a cluster the server was told
/// to trust, it is bound to a pod, and each is accepted once. The agent ends with the token.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The service-account token.
    #[serde(serialize_with = "secret_text::serialize")]
    pub token: SecretText,
    /// The replica's key.
    pub public_key: PublicKey,
    /// Signature over [`possession`](crate::canonical::possession) with `Purpose::Login` and the token.
    pub proof: Signature,
}

/// The answer to [`Login`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LoggedIn {
    /// What to sign as.
    pub agent_id: AgentId,
    /// The vault that holds this cluster's projects.
    pub vault_id: VaultId,
    /// The cluster's name at the server.
    pub cluster: String,
    /// When the agent ends, in Unix milliseconds.
    pub expires_at: i64,
}

impl Call for Login {
    const PATH: &'static str = "/v1/ai/kubernetes/login";
    type Answer = LoggedIn;
}
