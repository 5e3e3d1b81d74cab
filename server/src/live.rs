//! What is known and what has happened, behind one lock.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::bell::{self, Topic};
use crate::ledger::Ledger;
use crate::model::{Change, EntityKey, EntityKind};
use crate::state::State;
use crate::store::{Foreign, News};

/// What is known and what has happened.
#[derive(Default)]
pub struct World {
    /// What is known.
    pub state: State,
    /// What has happened.
    pub ledger: Ledger,
}

impl World {
    /// Takes over what other servers have done. Returns whom it concerns.
    pub fn follow(&mut self, news: News) -> HashSet<Topic> {
        match news {
            News::Groups(groups) => groups.into_iter().flat_map(|group| self.follow_group(group)).collect(),
            News::Everything(world) => {
                let old = std::mem::replace(self, *world);
                self.ledger.carry_over(old.ledger);
                HashSet::from([Topic::Everybody])
            }
        }
    }

    fn follow_group(&mut self, group: Foreign) -> Vec<Topic> {
        let mut topics = Vec::new();
        for change in group.changes {
            topics.extend(bell::topics(&self.state, &change));
            if let Change::Remove(key) = &change {
                let Self { ledger, .. } = self;
                ledger.follow(|ledger| forget(ledger, key));
            }
            self.state.apply(change);
        }
        for row in group.ledger {
            self.ledger.restore(row);
        }
        self.ledger.settle_restored();
        topics
    }
}

/// Forgets what has happened to an entity that is removed for good.
pub(crate) fn forget(ledger: &mut Ledger, key: &EntityKey) {
    match key.kind {
        EntityKind::Machine => {
            if let Ok(machine) = key.id.parse() {
                ledger.forget_machine(&machine);
            }
        }
        EntityKind::Secret => {
            if let Ok(secret) = key.id.parse() {
                ledger.forget_secret(&secret);
            }
        }
        EntityKind::Agent => ledger.forget_agent(&key.id),
        _ => {}
    }
}

/// The [`World`] behind a lock that is held for moments and never across an await. Only the writer writes.
///
/// A reader may see what the writer is about to commit. That is harmless, because no answer comes from here: each is
/// decided again by the writer and leaves only after the commit.
#[derive(Default)]
pub struct Live(RwLock<World>);

impl Live {
    /// Begins with this.
    pub fn new(world: World) -> Self {
        Self(RwLock::new(world))
    }

    /// To look at.
    pub fn read(&self) -> RwLockReadGuard<'_, World> {
        // A panic of the writer ends the process, so a poisoned lock is never seen for long.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// To change.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, World> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
