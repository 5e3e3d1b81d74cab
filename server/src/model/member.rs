//! Who may do what in a vault that is not theirs.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::account::Role;
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
