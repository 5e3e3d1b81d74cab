//! Who may do what in a vault that is not theirs.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::VaultId;

use super::millis::Millis;

/// An account that may do something in a vault. The account that the vault belongs to is its owner without being one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The vault.
    pub vault: VaultId,
    /// The account.
    pub account: String,
    /// What it may do.
    pub role: Role,
    /// Since when.
    pub since: Millis,
}

impl Member {
    /// The id of the membership.
    pub fn id(vault: &VaultId, account: &str) -> String {
        format!("{vault}/{account}")
    }
}

/// What a person may do in a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at everything and changes nothing.
    Auditor,
    /// Manages machines, projects, secrets and policies.
    Manager,
    /// Manages also who else may: agents, and from where machines may connect.
    Owner,
}

impl Role {
    /// The name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Manager => "manager",
            Self::Owner => "owner",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
