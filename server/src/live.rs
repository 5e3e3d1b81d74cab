//! What is known and what has happened, behind one lock.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::ledger::Ledger;
use crate::state::State;

/// What is known and what has happened.
#[derive(Default)]
pub struct World {
    /// What is known.
    pub state: State,
    /// What has happened.
    pub ledger: Ledger,
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
