//! Machines by what is asked for beside their ids.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::model::machine::{Machine, PodOf, PodUid};

/// What a machine is looked for by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key<'m> {
    /// A pod: its cluster and uid.
    Pod(&'m str, &'m PodUid),
    /// A public key.
    Public([u8; 32]),
}

/// Machines by their pods and by their public keys.
pub(super) struct Indexes {
    pods: Index,
    keys: Index,
}

impl Default for Indexes {
    fn default() -> Self {
        Self {
            pods: Index::by(|it| it.pod.as_ref().map(|PodOf { cluster, pod }| Key::Pod(cluster, &pod.uid))),
            keys: Index::by(|it| Some(Key::Public(*it.public_key.as_bytes()))),
        }
    }
}

impl Indexes {
    pub(super) fn insert(&mut self, machine: &Arc<Machine>) {
        self.pods.insert(machine);
        self.keys.insert(machine);
    }

    pub(super) fn remove(&mut self, machine: &Machine) {
        self.pods.remove(machine);
        self.keys.remove(machine);
    }

    /// The machines with this key.
    pub(super) fn with<'i>(&'i self, wanted: Key<'i>) -> impl Iterator<Item = &'i Arc<Machine>> {
        match wanted {
            Key::Pod(..) => &self.pods,
            Key::Public(_) => &self.keys,
        }
        .with(wanted)
    }
}

/// Machines by a key that each has at most one of, and few have alike. The key stands in the machine and nowhere else.
struct Index {
    key: fn(&Machine) -> Option<Key<'_>>,
    hasher: RandomState,
    machines: HashTable<Arc<Machine>>,
}

impl Index {
    fn by(key: fn(&Machine) -> Option<Key<'_>>) -> Self {
        Self { key, hasher: RandomState::new(), machines: HashTable::new() }
    }

    fn hash(&self, machine: &Machine) -> Option<u64> {
        (self.key)(machine).map(|key| self.hasher.hash_one(key))
    }

    fn insert(&mut self, machine: &Arc<Machine>) {
        let Some(hash) = self.hash(machine) else { return };
        let Self { key, hasher, machines } = self;
        // Each that is in here has one.
        machines.insert_unique(hash, Arc::clone(machine), |it| key(it).map_or(0, |key| hasher.hash_one(key)));
    }

    fn remove(&mut self, machine: &Machine) {
        let Some(hash) = self.hash(machine) else { return };
        if let Ok(entry) = self.machines.find_entry(hash, |it| it.id == machine.id) {
            entry.remove();
        }
    }

    fn with<'i>(&'i self, wanted: Key<'i>) -> impl Iterator<Item = &'i Arc<Machine>> {
        self.machines.iter_hash(self.hasher.hash_one(wanted)).filter(move |it| (self.key)(it) == Some(wanted))
    }
}
