//! Keys that values in Git are sealed to.

use std::fmt;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::sealed::{PublishedKey, SUITE, SealingPublicKey};

use super::millis::Millis;

/// A sealing key of a vault. The newest is published; older ones stay, so that what was sealed to them still opens.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SealingKey {
    /// What objects name it by. Unique over all vaults.
    pub id: String,
    /// The vault.
    pub vault: VaultId,
    /// When it was made. No two of a vault have the same.
    pub made: Millis,
    /// Its public half.
    pub public_key: SealingPublicKey,
    /// Its private half, wrapped by a key that follows from the master key (see [`crate::crypto::envelope`]).
    pub wrapped_key: Vec<u8>,
}

impl SealingKey {
    /// What everybody may know of it.
    pub fn published(&self) -> PublishedKey {
        PublishedKey {
            vault: self.vault.clone(),
            key_id: self.id.clone(),
            suite: SUITE.to_owned(),
            public_key: self.public_key,
        }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({} of {})", self.id, self.vault)
    }
}
