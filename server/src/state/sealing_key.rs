//! The sealing keys of vaults. There are few: a rotation makes one.

use sikkerkey_protocol::id::VaultId;

use super::State;
use crate::model::sealing_key::SealingKey;

impl State {
    /// The sealing keys of a vault, the newest first.
    pub fn sealing_keys_of(&self, vault: &VaultId) -> Vec<&SealingKey> {
        let mut keys: Vec<_> = self.sealing_keys.values().filter(|it| it.vault == *vault).collect();
        keys.sort_by(|a, b| (b.made, &b.id).cmp(&(a.made, &a.id)));
        keys
    }

    /// The one that is published.
    pub fn newest_sealing_key(&self, vault: &VaultId) -> Option<&SealingKey> {
        self.sealing_keys_of(vault).into_iter().next()
    }
}
