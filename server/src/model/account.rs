//! Who owns what.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::VaultId;

/// A person or team that owns vaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// A UUID.
    pub id: String,
    /// Where to reach them. Unique.
    pub email: String,
    /// Whether their machines may read.
    pub standing: Standing,
}

/// Whether an account's machines may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// In good standing.
    Active,
    /// Suspended: refused even with a good signature.
    Suspended,
    /// Banned: refused even with a good signature.
    Banned,
    /// Not yet verified: refused even with a good signature.
    PendingVerification,
}

/// A vault: projects, machines and agents of one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vault {
    /// Its id.
    pub id: VaultId,
    /// Its owner.
    pub account: String,
    /// What people call it.
    pub name: String,
}
