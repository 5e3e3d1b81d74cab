//! Requests that are too many and too little known to be audited one by one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ledger::{Activity, ActivityKey, ActivityKind};
use crate::model::millis::Millis;

/// Counters that handlers add to and the writer collects every few seconds.
#[derive(Default)]
pub struct Floods(Mutex<BTreeMap<ActivityKey, Activity>>);

impl Floods {
    /// Counts one.
    pub fn count(&self, kind: ActivityKind, now: Millis, who: &str) {
        let key = ActivityKey { minute: now.0.div_euclid(60_000), kind };
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.entry(key).or_insert_with(|| Activity::first(who)).add(1, who);
    }

    /// Counts again what could not be written.
    pub fn put_back(&self, floods: BTreeMap<ActivityKey, Activity>) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, flood) in floods {
            let newer = counters.insert(key, flood);
            if let (Some(newer), Some(flood)) = (newer, counters.get_mut(&key)) {
                flood.add(newer.count, &newer.last);
            }
        }
    }

    /// What was counted since the last time.
    pub fn take(&self) -> BTreeMap<ActivityKey, Activity> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
