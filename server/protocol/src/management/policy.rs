//! Access policies on the management plane.
//!
//! The object there is flat, has a switch for most axes, and keeps what was filled in under a switch that is off. What is
//! decided by is a [`PolicyDocument`], which holds the axes that are on and nothing else.

use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, SecretId};
use crate::policy::{Approver, CoSign, CountedBy, Day, PolicyDocument, RateCap, TimeWindow, Ttl};

/// An access policy as its author writes it.
///
/// `ttlExpiresAt`, `ttlMaxReads` and `rotateAfterReads` have no switch: they are on when they are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the public protocol")]
pub struct PolicyObject {
    /// Unique in the project.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the weekly window restricts.
    #[serde(default)]
    pub time_window_enabled: bool,
    /// `HH:mm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window_start: Option<String>,
    /// `HH:mm` or `24:00`, not included; before the start: on the next day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window_end: Option<String>,
    /// IANA time zone of the window, and of the day that `maxReadsPerDay` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window_timezone: Option<String>,
    /// Some of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window_days: Option<Vec<String>>,
    /// Whether the addresses restrict.
    #[serde(default)]
    pub ip_allowlist_enabled: bool,
    /// CIDR ranges, IPv4 and IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_allowlist_cidrs: Option<Vec<String>>,
    /// Whether the caps restrict.
    #[serde(default)]
    pub rate_cap_enabled: bool,
    /// Reads in one day, by a machine or by all pods of one `Machine` object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reads_per_day: Option<u32>,
    /// Reads in one minute of the clock, by the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reads_per_minute: Option<u32>,
    /// Whether a second machine has to approve.
    #[serde(default)]
    pub co_sign_enabled: bool,
    /// Which: a machine's id, or that of the fleet of a `Machine` object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub co_sign_machine_id: Option<String>,
    /// How long an approval is good, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub co_sign_window_seconds: Option<u64>,
    /// From this instant on nobody reads; Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_expires_at: Option<i64>,
    /// After so many reads of a secret, by everybody together, nobody reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_max_reads: Option<u32>,
    /// After so many reads of a secret it gets a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_after_reads: Option<u32>,
}

/// Which field of a [`PolicyObject`] is wrong, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct FieldError {
    /// The field, with an index where it is a list.
    pub field: String,
    /// What is wrong and what to write; begins with a verb.
    pub problem: String,
}

impl FieldError {
    /// What is wrong with a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

const DAYS: [(&str, Day); 7] = [
    ("mon", Day::Mon),
    ("tue", Day::Tue),
    ("wed", Day::Wed),
    ("thu", Day::Thu),
    ("fri", Day::Fri),
    ("sat", Day::Sat),
    ("sun", Day::Sun),
];

impl PolicyObject {
    /// The axes that are on. What stands under a switch that is off is not looked at. `find` says who the machine of an id
    /// is, and is asked only when there is a co-signer; `counted_by` is what the object cannot say.
    ///
    /// The day that `maxReadsPerDay` counts is one of `timeWindowTimezone`, whether or not the window is on: it has to be
    /// given for either. A day that begins at another hour than its author thinks is a cap that nobody has chosen, and one
    /// that follows the switch of the window would begin a new day with it.
    ///
    /// # Errors
    ///
    /// The field that is missing under a switch that is on. Whether what is there makes sense is for the server to say.
    pub fn document(
        &self,
        counted_by: CountedBy,
        find: impl FnOnce(&str) -> Result<Approver, FieldError>,
    ) -> Result<PolicyDocument, FieldError> {
        let by_day = self.rate_cap_enabled && self.max_reads_per_day.is_some();
        if by_day && self.time_window_timezone.is_none() {
            let text =
                "is missing, and maxReadsPerDay counts the days of a time zone: give one such as Europe/Oslo or UTC";
            return Err(FieldError::new("timeWindowTimezone", text));
        }
        let rate_cap = RateCap { per_minute: self.max_reads_per_minute, per_day: self.max_reads_per_day, counted_by };
        let ttl = Ttl { expires_at: self.ttl_expires_at, max_reads: self.ttl_max_reads };
        let time_window = if self.time_window_enabled { Some(self.time_window()?) } else { None };
        let ip_allowlist = if self.ip_allowlist_enabled { Some(self.ranges()?) } else { None };
        if self.rate_cap_enabled && rate_cap.per_minute.is_none() && rate_cap.per_day.is_none() {
            let text = "is on: give maxReadsPerMinute, maxReadsPerDay or both, or switch it off";
            return Err(FieldError::new("rateCapEnabled", text));
        }
        Ok(PolicyDocument {
            time_zone: self.time_window_timezone.clone().filter(|_| by_day || self.time_window_enabled),
            time_window,
            ip_allowlist,
            rate_cap: self.rate_cap_enabled.then_some(rate_cap),
            co_sign: if self.co_sign_enabled { Some(self.co_sign(find)?) } else { None },
            ttl: (ttl.expires_at.is_some() || ttl.max_reads.is_some()).then_some(ttl),
            rotate_after_reads: self.rotate_after_reads,
        })
    }

    /// The object that says what a document says. `approver` is the id of its co-signer, where it has one that is there.
    /// Whether a cap counts pods one by one cannot be said in it.
    pub fn of(name: String, document: &PolicyDocument, approver: Option<String>) -> Self {
        let window = document.time_window.as_ref();
        let days = |window: &TimeWindow| {
            DAYS.iter().filter(|(_, day)| window.days.contains(day)).map(|(text, _)| (*text).to_owned()).collect()
        };
        let cap = document.rate_cap.as_ref();
        let ttl = document.ttl.as_ref();
        Self {
            name,
            description: None,
            time_window_enabled: window.is_some(),
            time_window_start: window.map(|it| it.start.clone()),
            time_window_end: window.map(|it| it.end.clone()),
            time_window_timezone: document.time_zone.clone(),
            time_window_days: window.map(days),
            ip_allowlist_enabled: document.ip_allowlist.is_some(),
            ip_allowlist_cidrs: document.ip_allowlist.clone(),
            rate_cap_enabled: cap.is_some(),
            max_reads_per_day: cap.and_then(|it| it.per_day),
            max_reads_per_minute: cap.and_then(|it| it.per_minute),
            co_sign_enabled: document.co_sign.is_some(),
            co_sign_machine_id: approver.filter(|_| document.co_sign.is_some()),
            co_sign_window_seconds: document.co_sign.as_ref().map(|it| it.window_seconds),
            ttl_expires_at: ttl.and_then(|it| it.expires_at),
            ttl_max_reads: ttl.and_then(|it| it.max_reads),
            rotate_after_reads: document.rotate_after_reads,
        }
    }

    fn time_window(&self) -> Result<TimeWindow, FieldError> {
        let switch = "timeWindowEnabled";
        let start = given(self.time_window_start.as_ref(), "timeWindowStart", switch, "a time such as 08:00")?;
        let end = given(self.time_window_end.as_ref(), "timeWindowEnd", switch, "a time such as 18:00")?;
        given(
            self.time_window_timezone.as_ref(),
            "timeWindowTimezone",
            switch,
            "a time zone such as Europe/Oslo or UTC",
        )?;
        let days = given(
            self.time_window_days.as_ref(),
            "timeWindowDays",
            switch,
            "some of mon, tue, wed, thu, fri, sat, sun",
        )?;
        let named = |day: &String| DAYS.iter().any(|(text, _)| text == day);
        if let Some((place, text)) = days.iter().enumerate().find(|(_, day)| !named(day)) {
            let text = format!("is {text}, which is no day: write mon, tue, wed, thu, fri, sat or sun");
            return Err(FieldError::new(format!("timeWindowDays[{place}]"), text));
        }
        if days.is_empty() {
            return Err(FieldError::new("timeWindowDays", "is empty: name at least one of mon to sun"));
        }
        let days = DAYS.iter().filter(|(text, _)| days.iter().any(|day| day == text)).map(|(_, day)| *day).collect();
        Ok(TimeWindow { days, start, end })
    }

    fn ranges(&self) -> Result<Vec<String>, FieldError> {
        let example = "ranges such as 10.0.0.0/8 or 2001:db8::/32";
        let ranges = given(self.ip_allowlist_cidrs.as_ref(), "ipAllowlistCidrs", "ipAllowlistEnabled", example)?;
        if ranges.is_empty() {
            let text = "is empty: name at least one range such as 10.0.0.0/8, or switch ipAllowlistEnabled off";
            return Err(FieldError::new("ipAllowlistCidrs", text));
        }
        Ok(ranges)
    }

    fn co_sign(&self, find: impl FnOnce(&str) -> Result<Approver, FieldError>) -> Result<CoSign, FieldError> {
        let switch = "coSignEnabled";
        let id =
            given(self.co_sign_machine_id.as_ref(), "coSignMachineId", switch, "the id of the machine that approves")?;
        let window_seconds =
            given(self.co_sign_window_seconds.as_ref(), "coSignWindowSeconds", switch, "a number such as 3600")?;
        Ok(CoSign { approver: find(&id)?, window_seconds })
    }
}

fn given<T: Clone>(value: Option<&T>, field: &str, switch: &str, example: &str) -> Result<T, FieldError> {
    value.cloned().ok_or_else(|| FieldError::new(field, format!("is missing, and {switch} is on: give {example}")))
}

/// Answer of a list of policies.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolicyList {
    /// By name.
    pub policies: Vec<PolicyView>,
}

/// A policy as the server holds it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyView {
    /// Its id, a UUID.
    pub id: String,
    /// Its project.
    pub project_id: ProjectId,
    /// As it was written, or what its document says.
    #[serde(flatten)]
    pub policy: PolicyObject,
    /// Counts up with each change of what it says.
    pub revision: u64,
    /// Whether only a person may loosen it, take it off a secret, or remove it.
    pub protected: bool,
    /// Whether its object is gone while it was protected: it denies every read.
    pub withdrawn: bool,
    /// The object that stands for it, for a person: it is changed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// How many secrets it guards.
    pub secret_count: usize,
}

/// A policy, and what it guards.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolicyDetail {
    /// The policy.
    #[serde(flatten)]
    pub policy: PolicyView,
    /// The secrets, by name.
    pub secrets: Vec<BoundSecret>,
}

/// A secret that a policy guards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BoundSecret {
    /// Its id.
    pub id: SecretId,
    /// Its name.
    pub name: String,
}

/// A policy is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolicyDeleted {
    /// Which one.
    pub id: String,
    /// True.
    pub deleted: bool,
}

/// Which policy is to guard a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindPolicy {
    /// Its id; of the secret's project.
    pub policy_id: String,
}

/// Which policy guards a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The secret.
    pub secret_id: SecretId,
    /// The policy; none where none guards it, or where there is none of the name.
    pub policy_id: Option<String>,
    /// The name by which the secret names its policy.
    pub policy_name: Option<String>,
    /// Whether that policy is in force. One that is named and is not denies every read.
    pub in_force: bool,
}

#[cfg(test)]
mod tests;
