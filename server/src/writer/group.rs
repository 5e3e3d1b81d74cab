//! One group on its way to the disk.

use std::collections::{HashMap, HashSet};

use sikkerkey_protocol::id::SecretId;

use crate::audit::entry::Entry;
use crate::bell::{self, Topic};
use crate::crypto::keyring::Keyring;
use crate::crypto::master::WrappedMaster;
use crate::decision::Context;
use crate::entropy::Entropy;
use crate::ledger::Ledger;
use crate::live::{self, World};
use crate::metrics::Metrics;
use crate::model::millis::Millis;
use crate::model::spend::Spend;
use crate::model::version::Version;
use crate::model::{Change, Entity, EntityKey};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::undo::Undo;
use crate::store::ChainHead;
use crate::usecase::steps::Steps;

/// One request in the writer's queue.
pub(super) trait Job: Send {
    /// The nonce it burns.
    fn spend(&self) -> Option<&Spend>;
    /// How many rows of the audit it is about to write, roughly.
    fn weight(&self) -> usize {
        1
    }
    /// Decides and applies in memory. Runs where nothing else can come between.
    fn perform(&mut self, group: &mut Group<'_>, nonce: Nonce);
    /// Answers: the group was written, or it was not.
    fn finish(self: Box<Self>, committed: bool);
}

/// How the nonce of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nonce {
    /// The request has none: it is not signed.
    None,
    /// It was never seen before, and it is burnt now.
    Fresh,
    /// It was seen before.
    Replayed,
    /// Its timestamp lies at or below the floor, under which nonces are forgotten.
    BelowFloor,
}

impl Nonce {
    /// Whether the request may go on.
    pub(super) fn check(self) -> Result<(), Refusal> {
        let text = match self {
            Self::None | Self::Fresh => return Ok(()),
            Self::Replayed => "this request was received before: sign each request with a fresh nonce",
            Self::BelowFloor => "the request is too old for this server: check the clock and sign it again",
        };
        Err(Refusal::new(RefusalKind::Unauthenticated, text))
    }
}

/// What the server works with, for as long as it runs.
pub(super) struct Means<'a> {
    pub(super) keyring: &'a Keyring,
    pub(super) metrics: &'a Metrics,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) public_url: &'a str,
    /// Whether other servers decide on the same data.
    pub(super) is_shared: bool,
}

/// What a group has done so far.
#[derive(Default)]
pub(super) struct Done {
    /// The last thing that happened to each entity: its value, or none for removed.
    pub(super) entities: HashMap<EntityKey, Option<Entity>>,
    pub(super) versions: Vec<Version>,
    pub(super) forgotten: Vec<(SecretId, u64)>,
    pub(super) master: Option<WrappedMaster>,
    pub(super) audit: Vec<Entry>,
    /// Rows of the audit up to this one are to be dropped.
    pub(super) audit_base: Option<ChainHead>,
    pub(super) undo: Vec<Undo>,
    /// Whom it concerns.
    pub(super) topics: HashSet<Topic>,
}

/// One group on its way to the disk, as a job sees it.
pub(super) struct Group<'a> {
    pub(super) world: &'a mut World,
    pub(super) means: &'a Means<'a>,
    pub(super) now: Millis,
    pub(super) done: &'a mut Done,
}

impl Group<'_> {
    /// What a use case may look at.
    pub(super) fn context(&self) -> Context<'_> {
        Context {
            state: &self.world.state,
            ledger: &self.world.ledger,
            now: self.now,
            keyring: self.means.keyring,
            entropy: self.means.entropy,
            public_url: self.means.public_url,
        }
    }

    /// What has happened, to be counted on.
    pub(super) fn ledger(&mut self) -> &mut Ledger {
        &mut self.world.ledger
    }

    /// Takes a step.
    pub(super) fn change(&mut self, change: Change) {
        self.done.topics.extend(bell::topics(&self.world.state, &change));
        match &change {
            Change::Put(entity) => drop(self.done.entities.insert(entity.key(), Some((**entity).clone()))),
            Change::Remove(key) => {
                self.done.entities.insert(key.clone(), None);
                live::forget(&mut self.world.ledger, key);
            }
            Change::PutVersion(version) => self.done.versions.push(version.clone()),
            Change::ForgetVersion(secret, version) => self.done.forgotten.push((secret.clone(), *version)),
            Change::WrapMaster(master) => self.done.master = Some(master.clone()),
        }
        self.done.undo.push(self.world.state.apply_with_undo(change));
    }

    /// Takes all the steps of a use case.
    pub(super) fn take(&mut self, steps: Steps) {
        for change in steps.changes {
            self.change(change);
        }
        for entry in steps.audit {
            self.audit(entry);
        }
    }

    /// Adds a row to the audit. Whoever reads rows counts on a detail of bounded length.
    pub(super) fn audit(&mut self, entry: Entry) {
        self.done.audit.push(entry.bounded());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{Action, MAX_DETAIL};
    use crate::usecase::fixture::Bench;
    use crate::usecase::steps::by_server;

    #[test]
    fn no_row_is_longer_than_what_reads_it_takes() {
        let bench = Bench::new();
        let (keyring, entropy, metrics) = (&bench.keyring, &bench.entropy, &Metrics::default());
        let means = Means { keyring, metrics, entropy, public_url: "", is_shared: false };
        let (mut world, mut done) = (World::default(), Done::default());
        let mut group = Group { world: &mut world, means: &means, now: bench.now, done: &mut done };
        let mut steps = Steps::default();
        steps.audit.push(Entry { detail: "x".repeat(2 * 1024 * 1024), ..by_server(Action::IpAllowlistUpdate) });
        group.take(steps);
        assert_eq!(done.audit.iter().map(|it| it.detail.len()).collect::<Vec<_>>(), [MAX_DETAIL]);
    }
}
