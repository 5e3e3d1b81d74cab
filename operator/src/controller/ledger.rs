//! What the controllers remember between two passes. Losing it costs a few calls, never correctness.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use sikkerkey_protocol::kubernetes::{Kind, ObjectKey};

use super::budget::Budget;
use super::secret::original::Taken;

/// Counters of one object are written at most this often.
const COUNTERS_EVERY: Duration = Duration::from_mins(10);
/// Statuses written for their counters alone, in one second, by the whole operator.
pub const COUNTERS_PER_SECOND: usize = 10;
/// Time for each of them, in milliseconds.
const COUNTERS_COST: i64 = 100;
/// So much time may be saved up, in milliseconds.
const COUNTERS_SAVED: i64 = 2_000;

/// Something of each object. A copy has its keys in common with what it was made of.
pub type ByObject<T> = BTreeMap<Kind, HashMap<Arc<ObjectKey>, T>>;

/// The memory of one leader.
#[derive(Debug)]
pub struct Ledger {
    started: Timestamp,
    entries: Mutex<ByObject<Entry>>,
    /// Uids whose finalizer went while the server was away, and whether their value goes to the trash.
    deferred: Mutex<HashMap<String, bool>>,
    /// Of writes for counters alone.
    counter_writes: Budget,
}

/// What is remembered of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Which object of that name.
    pub uid: Arc<str>,
    /// The generation that is in force, or was the last one to be and gives nothing.
    pub in_force: Option<i64>,
    /// Whether the server holds it.
    pub held: Held,
    /// Whether it waits for the server.
    pub waits: bool,
    /// Whether the server refused it the last time: the next attempt has its own time.
    pub refused: bool,
    /// Passes that failed, in a row.
    pub failures: u32,
    /// Passes in which something was told to the server or decided, wrapping.
    pub passes: u32,
    /// Whether the server holds something else than was believed, and no pass has ended since that was noted.
    pub due: bool,
    /// The resource version with the status that was written last: one that is older does not tell what the API server has.
    pub written: u64,
    /// When its counters were written last.
    pub counters_written: Option<Timestamp>,
    /// The reasons of denials that its status told, and when each was told last.
    pub denials_told: BTreeMap<String, Timestamp>,
    /// Of one that does not parse, and whose status therefore cannot be read either: what was said of it.
    pub said: Option<Box<str>>,
    /// Of a Secret that takes its value from a core Secret: what the server acknowledged. Never the value.
    pub taken: Option<Box<Taken>>,
    /// When it was looked at last, in Unix seconds.
    pub looked_at: i64,
}

/// Whether the server holds an object, as far as this leader has told it to or was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// That is not known.
    #[default]
    Unknown,
    /// A generation is in force.
    Applied,
    /// The generation in force gives nothing: whatever was there before was taken out of force.
    Withdrawn,
    /// The generation in force gives nothing, and this earlier one is there again: the server was restored.
    Returned(i64),
    /// It holds nothing of it any more, by its own word: it was restored from an earlier day, or is another one.
    Missing,
}

impl Held {
    /// Whether the generation in force gives nothing.
    pub fn gives_nothing(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Returned(_))
    }
}

/// What a comparison needs to know of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Which object of that name.
    pub uid: Arc<str>,
    /// The generation that is in force, or that gives nothing.
    pub generation: Option<i64>,
    /// Whether the server refused it the last time.
    pub refused: bool,
    /// Whether the server holds it.
    pub held: Held,
    /// Whether it is known that the server holds something else, and a pass is about to put that right.
    pub due: bool,
    /// Passes that have ended, see [`Entry`].
    pub passes: u32,
}

impl InForce {
    fn of(entry: &Entry) -> Self {
        Self {
            uid: Arc::clone(&entry.uid),
            generation: entry.in_force,
            refused: entry.refused,
            held: entry.held,
            due: entry.due,
            passes: entry.passes,
        }
    }
}

impl Entry {
    /// The generation that is in force at the server: what was noted, and where nothing is known yet what the object itself says.
    pub fn in_force_or(&self, said: impl FnOnce() -> Option<i64>) -> Option<i64> {
        match self.held {
            Held::Unknown => self.in_force.or_else(said),
            Held::Returned(earlier) => Some(earlier),
            Held::Applied | Held::Withdrawn | Held::Missing => self.in_force,
        }
    }

    /// Whether the server is known to hold nothing of it.
    pub fn is_absent(&self) -> bool {
        matches!(self.held, Held::Withdrawn | Held::Missing)
    }
}

impl Ledger {
    /// An empty memory.
    pub fn new(started: Timestamp) -> Self {
        let counter_writes = Budget::new(COUNTERS_COST, COUNTERS_SAVED);
        Self { started, entries: Mutex::default(), deferred: Mutex::default(), counter_writes }
    }

    fn entries(&self) -> MutexGuard<'_, ByObject<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of the object of that uid.
    pub fn entry(&self, kind: Kind, key: &ObjectKey, uid: &str) -> Entry {
        let entries = self.entries();
        let entry = entries.get(&kind).and_then(|of_kind| of_kind.get(key)).filter(|entry| *entry.uid == *uid);
        entry.cloned().unwrap_or_else(|| Entry { uid: uid.into(), ..Entry::default() })
    }

    /// Changes what is remembered of the object of that uid.
    pub fn note(&self, kind: Kind, key: &ObjectKey, uid: &str, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries();
        let of_kind = entries.entry(kind).or_default();
        let fresh = || Entry { uid: uid.into(), ..Entry::default() };
        if let Some(entry) = of_kind.get_mut(key) {
            if *entry.uid != *uid {
                *entry = fresh();
            }
            change(entry);
        } else {
            change(of_kind.entry(Arc::new(key.clone())).or_insert_with(fresh));
        }
    }

    /// A pass over the object has ended, whatever came of it.
    pub fn pass_ended(&self, kind: Kind, key: &ObjectKey, uid: &str) {
        let mut entries = self.entries();
        let entry = entries.get_mut(&kind).and_then(|of_kind| of_kind.get_mut(key));
        if let Some(entry) = entry.filter(|entry| *entry.uid == *uid) {
            entry.due = false;
        }
    }

    /// Forgets the object.
    pub fn forget(&self, kind: Kind, key: &ObjectKey) {
        self.entries().get_mut(&kind).map(|of_kind| of_kind.remove(key));
    }

    /// The objects that wait for the server.
    pub fn waiting(&self) -> Vec<(Kind, Arc<ObjectKey>)> {
        self.those(|entry| entry.waits)
    }

    /// The objects that nobody has looked at for `every`, up to a quarter more.
    pub fn overdue(&self, every: Duration, now: Timestamp) -> Vec<(Kind, Arc<ObjectKey>)> {
        self.those(|entry| {
            let age = u64::try_from(now.as_second().saturating_sub(entry.looked_at)).unwrap_or_default();
            age > every.as_secs() && Duration::from_secs(age) > jittered(every, &entry.uid)
        })
    }

    fn those(&self, are_meant: impl Fn(&Entry) -> bool) -> Vec<(Kind, Arc<ObjectKey>)> {
        let entries = self.entries();
        let all = entries.iter().flat_map(|(kind, of_kind)| of_kind.iter().map(|(key, entry)| (*kind, key, entry)));
        all.filter(|(.., entry)| are_meant(entry)).map(|(kind, key, _)| (kind, Arc::clone(key))).collect()
    }

    /// What is believed to be in force of each object.
    pub fn believed(&self) -> ByObject<InForce> {
        let of_all = |of_kind: &HashMap<Arc<ObjectKey>, Entry>| {
            of_kind.iter().map(|(key, entry)| (Arc::clone(key), InForce::of(entry))).collect()
        };
        self.entries().iter().map(|(kind, of_kind)| (*kind, of_all(of_kind))).collect()
    }

    /// Notes the generation that the server holds where another one was believed to be in force. False when a pass has ended
    /// since: then nothing is noted. With `due` one is about to begin.
    pub fn correct(&self, kind: Kind, key: &ObjectKey, believed: &InForce, at_server: Option<i64>, due: bool) -> bool {
        let mut entries = self.entries();
        let entry = entries.get_mut(&kind).and_then(|of_kind| of_kind.get_mut(key));
        let Some(entry) = entry.filter(|entry| InForce::of(entry) == *believed) else { return false };
        // One that is newer than what gives nothing was put in force since, and the answer was lost.
        let gives_nothing = believed.held.gives_nothing() && at_server <= believed.generation;
        match at_server {
            Some(earlier) if gives_nothing => entry.held = Held::Returned(earlier),
            None if gives_nothing => entry.held = Held::Withdrawn,
            Some(_) => (entry.in_force, entry.held) = (at_server, Held::Applied),
            None => (entry.in_force, entry.held) = (None, Held::Missing),
        }
        entry.due = due;
        true
    }

    /// Counts one more failed pass in a row; how many there were before.
    pub fn failed(&self, kind: Kind, key: &ObjectKey, uid: &str) -> u32 {
        let mut before = 0;
        self.note(kind, key, uid, |entry| {
            before = entry.failures;
            entry.failures = entry.failures.saturating_add(1);
        });
        before
    }

    /// The finalizer of the object of that uid goes although the server still holds it.
    pub fn defer(&self, uid: &str, trash: bool) {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), trash);
    }

    /// Whether the removal of that uid was deferred, and if so whether its value goes to the trash.
    pub fn deferred(&self, uid: &str) -> Option<bool> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).get(uid).copied()
    }

    /// The deferred removal is done.
    pub fn settle(&self, uid: &str) {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Whether counters that are no news are due for the object of that uid.
    pub fn counters_are_due(&self, entry: &Entry, now: Timestamp) -> bool {
        let since = entry.counters_written.unwrap_or(self.started);
        is_past(since, jittered(COUNTERS_EVERY, &entry.uid), now)
    }

    /// Whether the status told this reason of a denial a short while ago: two reasons that take turns are not told each
    /// time.
    pub fn was_told(entry: &Entry, denial: &str, now: Timestamp) -> bool {
        entry.denials_told.get(denial).is_some_and(|told| !is_past(*told, COUNTERS_EVERY, now))
    }

    /// Takes one write from the budget for counters, if one is left.
    pub fn take_counter_write(&self, now: Timestamp) -> bool {
        self.counter_writes.take(now)
    }
}

/// Whether something is so long ago. What is still to come was noted before the clock was put back, nobody knows when.
pub fn is_past(since: Timestamp, wait: Duration, now: Timestamp) -> bool {
    let age = now.duration_since(since);
    Duration::try_from(age).map_or(true, |age| age >= wait)
}

/// `base` and up to a quarter more, always the same for one uid: passes of many objects spread over time.
pub fn jittered(base: Duration, uid: &str) -> Duration {
    let hash = uid
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let share = u32::try_from(hash >> 40 & 0xff).unwrap_or_default();
    base + base * share / 1_024
}

/// How long to wait after so many failures in a row: 0.5 s, doubling, 30 s at most.
pub fn back_off(failures: u32, uid: &str) -> Duration {
    let seconds = Duration::from_millis(500) * 2_u32.saturating_pow(failures.min(6));
    jittered(seconds.min(Duration::from_secs(24)), uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key() -> ObjectKey {
        ObjectKey { namespace: "shop".into(), name: "db".into() }
    }

    #[test]
    fn a_successor_of_the_same_name_inherits_nothing() {
        let ledger = Ledger::new(at(0));
        ledger.note(Kind::Secret, &key(), "first", |entry| entry.in_force = Some(3));
        assert_eq!(ledger.entry(Kind::Secret, &key(), "first").in_force, Some(3));
        assert_eq!(ledger.entry(Kind::Secret, &key(), "second").in_force, None);
        ledger.note(Kind::Secret, &key(), "second", |entry| entry.waits = true);
        assert_eq!(ledger.entry(Kind::Secret, &key(), "second").in_force, None);
        assert_eq!(ledger.waiting(), [(Kind::Secret, Arc::new(key()))]);
    }

    #[test]
    fn what_the_server_holds_is_noted_unless_it_was_told_something_since() {
        let ledger = Ledger::new(at(0));
        let note = |in_force, held| {
            ledger.note(Kind::Secret, &key(), "u", |entry| (entry.in_force, entry.held) = (in_force, held));
        };
        let believed = || ledger.believed()[&Kind::Secret][&key()].clone();
        for (what, before, at_server, after) in [
            ("older there", (Some(2), Held::Applied), Some(1), (Some(1), Held::Applied)),
            ("lost there", (Some(2), Held::Applied), None, (None, Held::Missing)),
            ("read back, and lost there", (Some(2), Held::Unknown), None, (None, Held::Missing)),
            ("there again", (None, Held::Missing), Some(2), (Some(2), Held::Applied)),
            ("must not be there, and is", (Some(2), Held::Withdrawn), Some(1), (Some(2), Held::Returned(1))),
            ("and still is", (Some(2), Held::Returned(1)), Some(1), (Some(2), Held::Returned(1))),
            ("of another object now", (Some(2), Held::Returned(1)), None, (Some(2), Held::Withdrawn)),
            ("put in force since", (Some(2), Held::Withdrawn), Some(3), (Some(3), Held::Applied)),
        ] {
            note(before.0, before.1);
            assert!(ledger.correct(Kind::Secret, &key(), &believed(), at_server, true), "{what}");
            let entry = ledger.entry(Kind::Secret, &key(), "u");
            assert_eq!((entry.in_force, entry.held, entry.due), (after.0, after.1, true), "{what}");
            ledger.pass_ended(Kind::Secret, &key(), "u");
            assert!(!ledger.entry(Kind::Secret, &key(), "u").due, "{what}");
        }
        note(Some(2), Held::Applied);
        let before = believed();
        // The same generation once more.
        ledger.note(Kind::Secret, &key(), "u", |entry| entry.passes += 1);
        assert!(!ledger.correct(Kind::Secret, &key(), &before, None, true));
        assert_eq!(ledger.entry(Kind::Secret, &key(), "u").in_force, Some(2));
        ledger.forget(Kind::Secret, &key());
        assert!(!ledger.correct(Kind::Secret, &key(), &before, None, true));
    }

    #[test]
    fn what_the_object_says_counts_only_while_nothing_is_known() {
        for (noted, held, expected) in [
            (None, Held::Unknown, Some(7)),
            (Some(2), Held::Unknown, Some(2)),
            (Some(2), Held::Applied, Some(2)),
            (None, Held::Missing, None),
            (Some(2), Held::Withdrawn, Some(2)),
            (Some(2), Held::Returned(1), Some(1)),
        ] {
            let entry = Entry { in_force: noted, held, ..Entry::default() };
            assert_eq!(entry.in_force_or(|| Some(7)), expected, "{noted:?} {held:?}");
        }
    }

    #[test]
    fn counters_are_due_ten_minutes_after_they_were_written_or_after_the_start() {
        let ledger = Ledger::new(at(1_000));
        let fresh = Entry { uid: "u".into(), ..Entry::default() };
        let written = Entry { counters_written: Some(at(5_000)), ..fresh.clone() };
        for (entry, now, due) in [
            (&fresh, 1_599, false),
            (&fresh, 1_750, true),
            (&written, 5_599, false),
            (&written, 5_750, true),
            (&written, 4_999, true),
        ] {
            assert_eq!(ledger.counters_are_due(entry, at(now)), due, "{now}");
        }
    }

    #[test]
    fn ten_writes_a_second_are_for_counters_however_many_ask() {
        let ledger = Ledger::new(at(1_000));
        let taken = |second| (0..50).filter(|_| ledger.take_counter_write(at(second))).count();
        assert_eq!(taken(1_000), 20, "what was saved up");
        assert_eq!(taken(1_000), 0);
        assert_eq!((taken(1_001), taken(1_002)), (10, 10));
        assert_eq!((1_003..1_063).map(taken).sum::<usize>(), 600);
        assert_eq!(taken(2_000), 20);
        assert_eq!((taken(1_500), taken(1_501)), (0, 10), "the clock was put back");
    }

    #[test]
    fn the_distance_grows_to_half_a_minute_and_spreads() {
        let waits: Vec<_> = (0..12).map(|failures| back_off(failures, "uid")).collect();
        assert!(waits.is_sorted() && waits[0] >= Duration::from_millis(500) && waits[11] <= Duration::from_secs(30));
        assert_ne!(back_off(3, "one"), back_off(3, "other"));
    }
}
