//! What has happened: reads, denials, deliveries, last requests.
//!
//! Like [`State`](crate::state::State) it is held in memory as a whole and changes only in the writer's hands. Every
//! change is journalled until the group it belongs to is committed: a group that fails is taken back, one that succeeds
//! names the rows to be written: at once, or later where nothing compares with them ([`unsaved`]).

mod activity;
mod holding;
mod tally;
mod unsaved;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque, btree_map, hash_map};
use std::net::IpAddr;
use std::sync::Arc;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{MachineId, SecretId};
use sikkerkey_protocol::kubernetes::{LastDenied, Usage};

use self::unsaved::Unsaved;
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::pool::Pool;

pub use activity::{Activity, ActivityKey, ActivityKind};
pub use holding::Holding;
pub use tally::{Counts, Reader, Tally};

/// What one machine was delivered.
type Holdings = BTreeMap<SecretId, Holding>;

/// What has happened. See the module's page.
#[derive(Default)]
pub struct Ledger {
    tallies: HashMap<SecretId, BTreeMap<Reader, Tally>>,
    /// The machines of a fleet hold the same: what is equal is one, but for what a group has changed.
    delivered: HashMap<MachineId, Arc<Holdings>>,
    holdings: Pool<Holdings>,
    /// Of whom deliveries were taken over that are not settled yet.
    restored: HashSet<MachineId>,
    last_seen: HashMap<MachineId, Seen>,
    unsaved_last_seen: HashSet<MachineId>,
    /// On their way to the database.
    saving_last_seen: HashSet<MachineId>,
    unsaved: Unsaved,
    gone: Gone,
    journal: Journal,
}

/// Ids of machines and agents that were removed lately: a request by one of them is no attack.
#[derive(Default)]
struct Gone {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Gone {
    const KEPT: usize = 65_536;

    fn insert(&mut self, id: &str) {
        if self.ids.insert(id.to_owned()) {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > Self::KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

/// Reads and denials of one secret by everybody together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretUsage {
    /// Reads and denials.
    pub usage: Usage,
    /// Denials by reason.
    pub denied_by: BTreeMap<DenialReason, u64>,
}

/// The last request that a machine signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Millis,
    /// From where.
    pub address: Option<IpAddr>,
}

/// What a delivery is counted for, besides the grantee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The pod by itself.
    pub by_pod: bool,
    /// The day.
    pub by_day: bool,
    /// After how many reads of a version there is to be another.
    pub rotate_after: Option<u32>,
    /// Whether something compares with the count.
    pub is_compared: bool,
}

/// A value that is delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// To which machine.
    pub machine: &'a MachineId,
    /// For whom it counts.
    pub grantee: &'a Grantee,
    /// Which secret.
    pub secret: &'a SecretId,
    /// Which version.
    pub version: u64,
    /// Whether the machine uses it with the answer. One that writes files says later that it stands there.
    pub in_files: bool,
    /// When.
    pub now: Millis,
    /// What it is counted for, besides the grantee.
    pub counted: Counted,
    /// Whether the counters are stored with the read, because something compares with them or because other servers have
    /// to know them. Those that are only looked at are stored later: the audit holds what they would say.
    pub at_once: bool,
}

/// What a tally was before the current group.
struct Before {
    tally: Option<Tally>,
    /// Whether it is stored with the group.
    at_once: bool,
}

#[derive(Default)]
struct Journal {
    tallies: HashMap<(SecretId, Reader), Before>,
    delivered: HashMap<(MachineId, SecretId), Option<Holding>>,
    /// What is to be added to the database's counters.
    activity: BTreeMap<ActivityKey, Activity>,
}

/// A row to be written: the key, and the value or none for a row to be removed.
pub type Row<K, V> = (K, Option<V>);

/// The rows that the current group has changed.
#[derive(Debug, Default)]
pub struct Dirty {
    /// Tallies.
    pub tallies: Vec<Row<(SecretId, Reader), Tally>>,
    /// Delivered versions.
    pub delivered: Vec<Row<(MachineId, SecretId), Holding>>,
    /// Requests to be added to the counters: what is there already stays, whoever counted it and however long ago.
    pub activity: Vec<(ActivityKey, Activity)>,
}

/// Tallies that are stored later than the reads they count.
#[derive(Debug, Default)]
pub struct LateTallies {
    /// The tallies.
    pub rows: Vec<Row<(SecretId, Reader), Tally>>,
    /// Every row of the audit up to this one is counted in the stored tallies from then on.
    pub counted: Option<u64>,
}

impl Ledger {
    /// Reads and denials of one secret by one grantee.
    pub fn usage(&self, grantee: &Grantee, secret: &SecretId) -> Option<&Usage> {
        self.tally(secret, &Reader::from(grantee)).map(|tally| &tally.usage)
    }

    /// Reads and denials of one secret by everybody together.
    pub fn secret_usage(&self, secret: &SecretId) -> SecretUsage {
        let mut sum = SecretUsage::default();
        for (reader, tally) in self.tallies.get(secret).into_iter().flatten() {
            // What a pod reads is counted for its fleet as well.
            if matches!(reader, Reader::Pod(_)) {
                continue;
            }
            sum.usage.reads += tally.usage.reads;
            sum.usage.denied += tally.usage.denied;
            sum.usage.last_read = sum.usage.last_read.max(tally.usage.last_read);
            if let Some(last) = &tally.usage.last_denied
                && sum.usage.last_denied.as_ref().is_none_or(|known| known.time < last.time)
            {
                sum.usage.last_denied = Some(last.clone());
            }
            for (reason, count) in &tally.denied_by {
                *sum.denied_by.entry(*reason).or_default() += count;
            }
        }
        sum
    }

    /// Denials of one secret by its policy in the last day, to the hour.
    pub fn denied_lately(&self, secret: &SecretId, now: Millis) -> u64 {
        let tallies = self.tallies.get(secret).into_iter().flatten();
        tallies.filter(|(it, _)| !matches!(it, Reader::Pod(_))).map(|(_, tally)| tally.denied_lately(now)).sum()
    }

    /// When a secret was read last by anybody, in Unix milliseconds.
    pub fn last_read_of(&self, secret: &SecretId) -> Option<i64> {
        self.tallies.get(secret)?.values().filter_map(|it| it.usage.last_read).max()
    }

    /// The version of a secret that a machine was delivered last.
    pub fn delivered(&self, machine: &MachineId, secret: &SecretId) -> Option<u64> {
        self.holding(machine, secret).map(|it| it.version)
    }

    /// The same, and whether the machine uses it.
    pub fn holding(&self, machine: &MachineId, secret: &SecretId) -> Option<Holding> {
        self.delivered.get(machine)?.get(secret).copied()
    }

    /// When a machine last signed a request.
    pub fn last_seen(&self, machine: &MachineId) -> Option<Millis> {
        self.last_seen.get(machine).map(|seen| seen.at)
    }

    /// The last request that a machine signed.
    pub fn seen(&self, machine: &MachineId) -> Option<Seen> {
        self.last_seen.get(machine).copied()
    }

    /// From where each machine last signed a request.
    pub fn last_addresses(&self) -> impl Iterator<Item = (&MachineId, IpAddr)> {
        self.last_seen.iter().filter_map(|(machine, seen)| Some((machine, seen.address?)))
    }

    /// What caps compare with. `day_start` is the beginning of today in the policy's time zone.
    pub fn counts(&self, secret: &SecretId, reader: &Reader, now: Millis, day_start: Option<Millis>) -> Counts {
        let total = self.tallies.get(secret).into_iter().flatten();
        let total = total.filter(|(it, _)| !matches!(it, Reader::Pod(_))).map(|(_, tally)| tally.usage.reads).sum();
        let (minute, day) = self
            .tally(secret, reader)
            .map_or((0, 0), |tally| (tally.in_minute(now), day_start.map_or(0, |start| tally.since(start))));
        Counts { minute, day, total }
    }

    /// Reads of a version of a secret by machines that had it already.
    pub fn read_again(&self, secret: &SecretId, version: u64) -> u64 {
        let tallies = self.tallies.get(secret).into_iter().flatten();
        tallies.filter(|(it, _)| !matches!(it, Reader::Pod(_))).map(|(_, tally)| tally.again(version)).sum()
    }

    /// Counts a delivery.
    pub fn record_delivery(&mut self, it: Delivered<'_>) {
        let had_it = self.delivered(it.machine, it.secret) == Some(it.version);
        let pod = it.counted.by_pod.then(|| Reader::Pod(it.machine.clone()));
        for reader in std::iter::once(Reader::from(it.grantee)).chain(pod) {
            let tally = self.tally_mut(it.secret, reader, it.at_once);
            tally.count_read(it.now, it.counted.by_day);
            // A machine has to read each version once, however many machines there are.
            if it.counted.rotate_after.is_some() && had_it {
                tally.count_again(it.version);
            }
        }
        self.hold(it.machine, it.secret, Holding { version: it.version, in_files: it.in_files });
    }

    /// Notes what a machine says of its files: whether the version that it was delivered, if it speaks of that one, stands
    /// there.
    pub fn record_files(&mut self, machine: &MachineId, secret: &SecretId, version: u64, in_files: bool) {
        if self.delivered(machine, secret) == Some(version) {
            self.hold(machine, secret, Holding { version, in_files });
        }
    }

    fn hold(&mut self, machine: &MachineId, secret: &SecretId, holding: Holding) {
        let before = self.holding(machine, secret);
        if before == Some(holding) {
            return;
        }
        self.holdings_of(machine).insert(secret.clone(), holding);
        self.journal.delivered.entry((machine.clone(), secret.clone())).or_insert(before);
    }

    /// Notes that a machine was told that it may not read a secret any more: it is not news again.
    pub fn forget_delivery(&mut self, machine: &MachineId, secret: &SecretId) {
        if self.holding(machine, secret).is_none() {
            return;
        }
        if let Some(old) = self.holdings_of(machine).remove(secret) {
            self.journal.delivered.entry((machine.clone(), secret.clone())).or_insert(Some(old));
        }
    }

    /// What a machine was delivered, with the versions.
    pub fn delivered_to(&self, machine: &MachineId) -> impl Iterator<Item = (&SecretId, u64)> {
        self.delivered.get(machine).into_iter().flat_map(|it| it.iter()).map(|(secret, it)| (secret, it.version))
    }

    /// Counts a denial.
    pub fn record_denial(&mut self, grantee: &Grantee, secret: &SecretId, denied: LastDenied) {
        self.tally_mut(secret, Reader::from(grantee), true).count_denial(denied);
    }

    /// Notes that a machine signed a request. Kept in memory and saved now and then: it is for people to look at.
    pub fn record_seen(&mut self, machine: &MachineId, seen: Seen) {
        self.last_seen.insert(machine.clone(), seen);
        self.unsaved_last_seen.insert(machine.clone());
    }

    /// Counts a request that is not audited by itself.
    pub fn record_activity(&mut self, kind: ActivityKind, now: Millis, who: String) {
        self.add_activity(ActivityKey::at(kind, now), Activity::by(who));
    }

    /// Adds requests that were counted elsewhere.
    pub fn add_activity(&mut self, key: ActivityKey, later: Activity) {
        match self.journal.activity.entry(key) {
            btree_map::Entry::Occupied(mut known) => known.get_mut().add(later),
            btree_map::Entry::Vacant(place) => drop(place.insert(later)),
        }
    }

    /// Whether a machine or agent of that id was removed lately. In memory only, and bounded.
    pub fn is_gone(&self, id: &str) -> bool {
        self.gone.ids.contains(id)
    }

    /// Notes that an agent is removed for good.
    pub fn forget_agent(&mut self, agent: &str) {
        self.gone.insert(agent);
    }

    /// Forgets a machine that is removed for good.
    pub fn forget_machine(&mut self, machine: &MachineId) {
        self.gone.insert(machine.as_str());
        for (secret, version) in self.delivered.remove(machine).iter().flat_map(|it| it.iter()) {
            self.forget_tally(secret, &Reader::Pod(machine.clone()));
            self.journal.delivered.entry((machine.clone(), secret.clone())).or_insert(Some(*version));
        }
        self.last_seen.remove(machine);
        self.unsaved_last_seen.remove(machine);
    }

    /// Forgets a secret that is removed for good.
    pub fn forget_secret(&mut self, secret: &SecretId) {
        for (reader, tally) in self.tallies.remove(secret).into_iter().flatten() {
            self.journal.note((secret.clone(), reader), true, || Some(tally));
        }
        for (machine, holdings) in &mut self.delivered {
            if holdings.contains_key(secret)
                && let Some(version) = Arc::make_mut(holdings).remove(secret)
            {
                self.journal.delivered.entry((machine.clone(), secret.clone())).or_insert(Some(version));
            }
        }
    }

    /// The rows that have changed since the last [`Ledger::settle`] or [`Ledger::take_back`]. `as_of` is the last row of
    /// the audit that is written with them.
    pub fn dirty(&self, as_of: u64) -> Dirty {
        let at_once = self.journal.tallies.iter().filter(|(_, before)| before.at_once);
        let tallies = at_once.map(|(key, _)| self.stored_tally(key.clone(), as_of));
        let delivered = self.journal.delivered.keys().map(|key| (key.clone(), self.holding(&key.0, &key.1)));
        let activity = self.journal.activity.iter().map(|(key, it)| (*key, it.clone()));
        let mut dirty =
            Dirty { tallies: tallies.collect(), delivered: delivered.collect(), activity: activity.collect() };
        // Sorted by key, so that two writers never wait for each other in a circle.
        dirty.tallies.sort_by(|(a, _), (b, _)| a.cmp(b));
        dirty.delivered.sort_by(|(a, _), (b, _)| a.cmp(b));
        dirty
    }

    /// What has changed is written.
    pub fn settle(&mut self) {
        let journal = std::mem::take(&mut self.journal);
        for (key, before) in journal.tallies {
            self.unsaved.changed(key, before.at_once);
        }
        let machines: HashSet<_> = journal.delivered.into_keys().map(|(machine, _)| machine).collect();
        for machine in machines {
            self.settle_holdings(&machine);
        }
        self.unsaved.saved();
        self.saving_last_seen.clear();
    }

    /// What has changed could not be written: everything is as it was.
    pub fn take_back(&mut self) {
        let journal = std::mem::take(&mut self.journal);
        self.unsaved_last_seen.extend(self.saving_last_seen.drain());
        self.unsaved.failed();
        for ((secret, reader), before) in journal.tallies {
            let tallies = self.tallies.entry(secret).or_default();
            match before.tally {
                Some(old) => drop(tallies.insert(reader, old)),
                None => drop(tallies.remove(&reader)),
            }
        }
        for ((machine, secret), old) in journal.delivered {
            self.set_holding(&machine, secret, old);
            self.settle_holdings(&machine);
        }
    }

    /// Last requests that are not saved yet. They are with the current group.
    pub fn take_unsaved_last_seen(&mut self) -> Vec<(MachineId, Seen)> {
        self.saving_last_seen = std::mem::take(&mut self.unsaved_last_seen);
        self.saving_last_seen.iter().filter_map(|id| Some((id.clone(), *self.last_seen.get(id)?))).collect()
    }

    /// Begins to store the tallies that were not stored with their reads. `head` is the last row of the audit.
    pub fn begin_storing_tallies(&mut self, head: u64) {
        self.unsaved.begin(head);
    }

    /// Whether some of them are left.
    pub fn is_storing_tallies(&self) -> bool {
        self.unsaved.is_under_way()
    }

    /// Some of them, to be stored with the current group. `head` is the last row of the audit.
    pub fn take_unsaved_tallies(&mut self, head: u64) -> LateTallies {
        let (keys, counted) = self.unsaved.take();
        let rows = keys.into_iter().map(|key| self.stored_tally(key, head)).filter(|(_, tally)| tally.is_some());
        LateTallies { rows: rows.collect(), counted }
    }

    /// Up to which row of the audit everything is stored as counted without more ado, when it is time to say so.
    pub fn take_counted(&mut self, head: u64) -> LateTallies {
        LateTallies { rows: Vec::new(), counted: self.unsaved.counted(head) }
    }

    /// Counts a read again that the audit holds and the stored tally may not.
    pub fn recount(&mut self, secret: &SecretId, grantee: &Grantee, seq: u64, at: Millis) {
        let reader = Reader::from(grantee);
        let tally = self.tallies.entry(secret.clone()).or_default().entry(reader.clone()).or_default();
        if tally.as_of < seq {
            tally.as_of = seq;
            tally.count_read(at, false);
            self.unsaved.changed((secret.clone(), reader), false);
        }
    }

    /// Takes over a row as the database holds it. [`Ledger::settle_restored`] follows when there are no more.
    pub fn restore(&mut self, row: Stored) {
        match row {
            Stored::Tally(secret, reader, Some(tally)) => {
                self.tallies.entry(secret).or_default().insert(reader, tally);
            }
            Stored::Tally(secret, reader, None) => {
                if let Some(tallies) = self.tallies.get_mut(&secret) {
                    tallies.remove(&reader);
                }
            }
            Stored::Delivered(machine, secret, holding) => {
                self.set_holding(&machine, secret, holding);
                self.restored.insert(machine);
            }
            Stored::LastSeen(machine, seen) => {
                let known = self.last_seen.entry(machine).or_insert(seen);
                if known.at < seen.at {
                    *known = seen;
                }
            }
        }
    }

    /// What there was to take over is taken over.
    pub fn settle_restored(&mut self) {
        for machine in std::mem::take(&mut self.restored) {
            self.settle_holdings(&machine);
        }
    }

    /// Does something that the database knows already, so that it is neither written nor taken back.
    pub fn follow(&mut self, what: impl FnOnce(&mut Self)) {
        let journal = std::mem::take(&mut self.journal);
        what(self);
        self.journal = journal;
    }

    /// Takes over what is not in the database yet from the ledger that this one replaces.
    pub fn carry_over(&mut self, old: Self) {
        self.journal.activity = old.journal.activity;
        self.gone = old.gone;
        for machine in old.unsaved_last_seen {
            if let Some(seen) = old.last_seen.get(&machine) {
                self.restore(Stored::LastSeen(machine.clone(), *seen));
                self.unsaved_last_seen.insert(machine);
            }
        }
    }

    /// To be changed: it is this machine's own until it is settled.
    fn holdings_of(&mut self, machine: &MachineId) -> &mut Holdings {
        Arc::make_mut(self.delivered.entry(machine.clone()).or_default())
    }

    /// Has what a machine holds in one copy with others that hold the same.
    fn settle_holdings(&mut self, machine: &MachineId) {
        let Some(holdings) = self.delivered.get_mut(machine) else { return };
        if holdings.is_empty() {
            self.delivered.remove(machine);
        } else {
            self.holdings.share(holdings);
        }
    }

    fn set_holding(&mut self, machine: &MachineId, secret: SecretId, holding: Option<Holding>) {
        let holdings = self.holdings_of(machine);
        match holding {
            Some(it) => drop(holdings.insert(secret, it)),
            None => drop(holdings.remove(&secret)),
        }
    }

    fn tally(&self, secret: &SecretId, reader: &Reader) -> Option<&Tally> {
        self.tallies.get(secret)?.get(reader)
    }

    fn stored_tally(&self, key: (SecretId, Reader), as_of: u64) -> Row<(SecretId, Reader), Tally> {
        let mut tally = self.tally(&key.0, &key.1).cloned();
        if let Some(tally) = &mut tally {
            tally.as_of = as_of;
        }
        (key, tally)
    }

    fn tally_mut(&mut self, secret: &SecretId, reader: Reader, at_once: bool) -> &mut Tally {
        let tallies = self.tallies.entry(secret.clone()).or_default();
        self.journal.note((secret.clone(), reader.clone()), at_once, || tallies.get(&reader).cloned());
        tallies.entry(reader).or_default()
    }

    fn forget_tally(&mut self, secret: &SecretId, reader: &Reader) {
        if let Some(old) = self.tallies.get_mut(secret).and_then(|tallies| tallies.remove(reader)) {
            self.journal.note((secret.clone(), reader.clone()), true, || Some(old));
        }
    }
}

impl Journal {
    /// Notes what a tally was, unless it has changed in this group before.
    fn note(&mut self, key: (SecretId, Reader), at_once: bool, tally: impl FnOnce() -> Option<Tally>) {
        match self.tallies.entry(key) {
            hash_map::Entry::Occupied(mut noted) => noted.get_mut().at_once |= at_once,
            hash_map::Entry::Vacant(place) => drop(place.insert(Before { tally: tally(), at_once })),
        }
    }
}

/// A row as the database holds it; none for one that was removed.
#[derive(Debug)]
pub enum Stored {
    /// A tally.
    Tally(SecretId, Reader, Option<Tally>),
    /// A delivered version.
    Delivered(MachineId, SecretId, Option<Holding>),
    /// A last request.
    LastSeen(MachineId, Seen),
}

#[cfg(test)]
mod tests;
