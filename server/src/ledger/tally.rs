//! Reads and denials of one secret by one reader.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{IdError, MachineId};
use sikkerkey_protocol::kubernetes::{LastDenied, Usage};

use crate::model::machine::Grantee;
use crate::model::millis::Millis;

const MINUTE: i64 = 60_000;
/// Offsets of time zones from UTC are multiples of this, so a day of any zone is a whole number of them.
const QUARTER: i64 = 15 * MINUTE;
/// The longest day has 25 hours.
const QUARTERS_KEPT: i64 = 26 * 4;
const HOUR: i64 = 60 * MINUTE;
const HOURS_KEPT: i64 = 24;

/// For whom a tally counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// All pods of a fleet, or a machine that belongs to none.
    Grantee(Grantee),
    /// One pod, for policies that count each by itself.
    Pod(MachineId),
}

impl From<&Grantee> for Reader {
    fn from(grantee: &Grantee) -> Self {
        Self::Grantee(grantee.clone())
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grantee(Grantee::Fleet(id)) => write!(f, "fleet/{id}"),
            Self::Grantee(Grantee::Machine(id)) => write!(f, "machine/{id}"),
            Self::Pod(id) => write!(f, "pod/{id}"),
        }
    }
}

impl FromStr for Reader {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Ok(match text.split_once('/') {
            Some(("fleet", id)) => Self::Grantee(Grantee::Fleet(id.parse()?)),
            Some(("pod", id)) => Self::Pod(id.parse()?),
            Some((_, id)) => Self::Grantee(Grantee::Machine(id.parse()?)),
            None => Self::Grantee(Grantee::Machine(text.parse()?)),
        })
    }
}

/// Reads and denials of one secret by one reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The last row of the audit that is counted in here, of one that is stored: what comes after it is counted again
    /// when the server starts.
    #[serde(default)]
    pub as_of: u64,
    /// Since ever.
    pub usage: Usage,
    /// Denials by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub denied_by: BTreeMap<DenialReason, u64>,
    /// The last minute in which there was a read, and how many.
    #[serde(default)]
    minute: (i64, u64),
    /// A version, and how many reads there were of it by machines that had it already.
    #[serde(default)]
    again: (u64, u64),
    /// Reads by quarters of an hour. A day is a sum of them, whatever the time zone a policy names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    quarters: BTreeMap<i64, u64>,
    /// Denials by a policy, by hours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    denied_hours: BTreeMap<i64, u64>,
}

/// What caps compare with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads in this minute of the clock.
    pub minute: u64,
    /// Reads today.
    pub day: u64,
    /// Reads of the secret by everybody, since ever.
    pub total: u64,
}

impl Tally {
    /// Counts a read; with `by_day` also for the day.
    pub fn count_read(&mut self, now: Millis, by_day: bool) {
        self.usage.reads += 1;
        self.usage.last_read = Some(now.0);
        let minute = now.0.div_euclid(MINUTE);
        self.minute = if self.minute.0 == minute { (minute, self.minute.1 + 1) } else { (minute, 1) };
        if by_day {
            let quarter = now.0.div_euclid(QUARTER);
            *self.quarters.entry(quarter).or_default() += 1;
            self.quarters.retain(|it, _| *it > quarter - QUARTERS_KEPT);
        }
    }

    /// Counts a read of a version by a machine that had it already.
    pub fn count_again(&mut self, version: u64) {
        self.again = if self.again.0 == version { (version, self.again.1 + 1) } else { (version, 1) };
    }

    /// Reads of a version by machines that had it already.
    pub fn again(&self, version: u64) -> u64 {
        if self.again.0 == version { self.again.1 } else { 0 }
    }

    /// Counts a denial.
    pub fn count_denial(&mut self, denied: LastDenied) {
        self.usage.denied += 1;
        *self.denied_by.entry(denied.reason).or_default() += 1;
        if denied.reason.is_of_axis() || denied.reason == DenialReason::PolicyMissing {
            let hour = denied.time.div_euclid(HOUR);
            *self.denied_hours.entry(hour).or_default() += 1;
            self.denied_hours.retain(|it, _| *it > hour - HOURS_KEPT);
        }
        self.usage.last_denied = Some(denied);
    }

    /// Denials by a policy in the last day, to the hour.
    pub fn denied_lately(&self, now: Millis) -> u64 {
        self.denied_hours.range(now.0.div_euclid(HOUR) - HOURS_KEPT + 1..).map(|(_, count)| count).sum()
    }

    /// Reads in the minute of `now`.
    pub fn in_minute(&self, now: Millis) -> u64 {
        if self.minute.0 == now.0.div_euclid(MINUTE) { self.minute.1 } else { 0 }
    }

    /// Reads since `start`, which is the beginning of a day and so of a quarter.
    pub fn since(&self, start: Millis) -> u64 {
        self.quarters.range(start.0.div_euclid(QUARTER)..).map(|(_, count)| count).sum()
    }
}
