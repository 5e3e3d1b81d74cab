//! Requests that are too many and too little known to be audited one by one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, PoisonError};

use crate::ledger::{Activity, ActivityKey, ActivityKind};
use crate::model::millis::Millis;

/// Counters that handlers add to and the writer collects every few seconds.
#[derive(Default)]
pub struct Floods(Mutex<BTreeMap<ActivityKey, Activity>>);

impl Floods {
    /// Counts one.
    pub fn count(&self, kind: ActivityKind, now: Millis, who: &str) {
        let one = Activity::by(who.to_owned());
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counters.entry(ActivityKey::at(kind, now)) {
            Entry::Occupied(mut known) => known.get_mut().add(one),
            Entry::Vacant(place) => drop(place.insert(one)),
        }
    }

    /// Counts again what could not be written.
    pub fn put_back(&self, floods: BTreeMap<ActivityKey, Activity>) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, flood) in floods {
            let mut flood = flood;
            if let Some(newer) = counters.remove(&key) {
                flood.add(newer);
            }
            counters.insert(key, flood);
        }
    }

    /// What was counted since the last time.
    pub fn take(&self) -> BTreeMap<ActivityKey, Activity> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
