//! Grants.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};

use super::machine::Grantee;
use super::managed::Managed;
use super::millis::Millis;

/// Explicit secrets for one fleet or machine. What it may read is the union of its live grants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// A UUID.
    pub id: String,
    /// The vault.
    pub vault: VaultId,
    /// The project of the secrets.
    pub project: ProjectId,
    /// Who may read.
    pub grantee: Grantee,
    /// What may be read.
    pub secrets: Vec<SecretId>,
    /// Until when, not included; none: without end.
    pub expires_at: Option<Millis>,
    /// The object behind it.
    pub managed: Option<Managed>,
}

impl Grant {
    /// Whether it has not ended.
    pub fn is_live(&self, now: Millis) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}
