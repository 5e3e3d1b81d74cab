//! The MAC of each entity as it stands in the database.

use std::collections::HashMap;

use crate::fingerprint::{Fingerprint, Fingerprints};
use crate::model::EntityKey;

/// The MAC of each entity. There are as many as there are machines and more, so none has a name here.
#[derive(Default)]
pub(super) struct Macs {
    names: Fingerprints,
    macs: HashMap<Fingerprint, [u8; 32]>,
}

impl Macs {
    pub(super) fn get(&self, key: &EntityKey) -> Option<&[u8; 32]> {
        self.macs.get(&self.names.of(key))
    }

    /// None: there is no such entity any more.
    pub(super) fn set(&mut self, key: &EntityKey, mac: Option<[u8; 32]>) {
        let name = self.names.of(key);
        match mac {
            Some(mac) => drop(self.macs.insert(name, mac)),
            None => drop(self.macs.remove(&name)),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.macs.values()
    }
}
