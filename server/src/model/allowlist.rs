//! From where a vault's machines may come.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::VaultId;

/// The addresses from which machines of a vault may connect and enrol. One for each vault; a vault that has none is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allowlist {
    /// The vault.
    pub vault: VaultId,
    /// Whether it is in force. In force and without an enabled entry it lets nobody in.
    pub enabled: bool,
    /// The ranges.
    pub entries: Vec<AllowedRange>,
}

/// One entry of an [`Allowlist`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedRange {
    /// A CIDR in its shortest form. What an entry is known by: it never changes.
    pub cidr: String,
    /// What people call it.
    pub label: String,
    /// Whether it counts.
    pub enabled: bool,
}
