//! An access policy as it travels from operator to server and is stored there.
//!
//! Every axis is optional; an absent axis does not restrict. Any one axis denies. A key that is not known is refused: it may
//! be a restriction that is misspelt, or one of a newer operator, and without it the policy would be wider than its author
//! wrote.

use serde::{Deserialize, Serialize};

use crate::id::MachineId;
use crate::kubernetes::ObjectKey;

/// When, from where and how often a secret may be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyDocument {
    /// IANA time zone of the window and of the day that `per_day` counts. Required by both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Weekly window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window: Option<TimeWindow>,
    /// CIDR ranges, IPv4 and IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_allowlist: Option<Vec<String>>,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_cap: Option<RateCap>,
    /// With whose consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub co_sign: Option<CoSign>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// A new value after so many reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_after_reads: Option<u32>,
}

impl PolicyDocument {
    /// The names of the axes that are given.
    pub fn axes(&self) -> Vec<&'static str> {
        let axes = [
            ("timeWindow", self.time_window.is_some()),
            ("ipAllowlist", self.ip_allowlist.is_some()),
            ("rateCap", self.rate_cap.is_some()),
            ("coSign", self.co_sign.is_some()),
            ("ttl", self.ttl.is_some()),
            ("rotateAfterReads", self.rotate_after_reads.is_some()),
        ];
        axes.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}

/// A window of the week, in the policy's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TimeWindow {
    /// On which days it opens. Never empty.
    pub days: Vec<Day>,
    /// `HH:MM`.
    pub start: String,
    /// `HH:MM` or `24:00`, not included; before `start`: on the next day.
    pub end: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the days of the week")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// How often a secret may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateCap {
    /// Reads in one minute of the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// Reads in one day of the policy's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
    /// Whether all pods of a fleet share the cap.
    pub counted_by: CountedBy,
}

/// Whose reads a cap counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CountedBy {
    /// The fleet's.
    Machine,
    /// Each pod's.
    Pod,
}

/// A second machine that has to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CoSign {
    /// Who approves.
    pub approver: Approver,
    /// How long an approval is good, in seconds: [`CO_SIGN_WINDOW_SECONDS`].
    pub window_seconds: u64,
}

/// How long an approval may be good, in seconds: from 30 seconds to a week.
pub const CO_SIGN_WINDOW_SECONDS: std::ops::RangeInclusive<u64> = 30..=168 * 3600;

/// Who approves reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Approver {
    /// Any machine of a `Machine` object of the policy's own cluster.
    Object(ObjectKey),
    /// A machine that no object stands for, by its id.
    Machine(MachineId),
}

/// Until when a secret may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ttl {
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Reads of the secret by everybody together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reads: Option<u32>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_refused_wherever_it_stands() {
        let whole = json!({
            "timeZone": "UTC", "timeWindow": {"days": ["Mon"], "start": "06:00", "end": "18:00"},
            "ipAllowlist": ["10.0.0.0/8"], "rateCap": {"perMinute": 1, "perDay": 2, "countedBy": "Machine"},
            "coSign": {"approver": {"object": {"namespace": "hq", "name": "boss"}}, "windowSeconds": 60},
            "ttl": {"expiresAt": 1, "maxReads": 2}, "rotateAfterReads": 3,
        });
        let document: PolicyDocument = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(serde_json::to_value(&document).unwrap(), whole, "every field is in the test");
        for place in ["", "/timeWindow", "/rateCap", "/coSign", "/coSign/approver", "/ttl"] {
            let mut spoilt = whole.clone();
            spoilt.pointer_mut(place).and_then(Value::as_object_mut).unwrap().insert("more".into(), json!(1));
            assert!(serde_json::from_value::<PolicyDocument>(spoilt).is_err(), "{place}");
        }
    }
}
