//! `AccessPolicy`: when, from where and how often a Secret may be read. A Secret names its policy.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    clock_time::ClockTime,
    condition::Condition,
    defaults,
    duration::Duration,
    reference::MachineRef,
    shape::{self, check, check_at},
};

/// When, from where and how often a Secret may be read. Every axis that is given must allow a read; one that is absent
/// is off. A Secret takes the policy on by its `policyRef`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sikkerkey.com",
    version = "v1alpha1",
    kind = "AccessPolicy",
    plural = "accesspolicies",
    shortname = "skp",
    category = "sikkerkey",
    namespaced,
    schema = "manual",
    doc = "An AccessPolicy: when, from where and how often the Secrets that name it may be read.",
    derive = "PartialEq",
    derive = "Default",
    status = "AccessPolicyStatus",
    printcolumn = r#"{"name": "Axes", "type": "string", "jsonPath": ".status.axes"}"#,
    printcolumn = r#"{"name": "Secrets", "type": "integer", "jsonPath": ".status.secrets"}"#,
    printcolumn = r#"{"name": "Open", "type": "string", "jsonPath": ".status.window.state"}"#,
    printcolumn = r#"{"name": "Denied", "type": "integer", "jsonPath": ".status.usage.denied"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Changes", "type": "string", "jsonPath": ".status.window.changeTime", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = check(
        "has(self.timeWindow) || has(self.ipAllowlist) || has(self.rateCap) || has(self.coSign) || has(self.ttl) || has(self.rotateAfterReads)",
        "a policy without an axis restricts nothing: give at least one of timeWindow, ipAllowlist, rateCap, coSign, ttl and rotateAfterReads"
    ),
    transform = check_at(
        ".timeZone",
        "has(self.timeZone) || (!has(self.timeWindow) && !(has(self.rateCap) && has(self.rateCap.perDay)))",
        "timeWindow and rateCap.perDay need a timeZone, for example Europe/Oslo or UTC"
    )
)]
pub struct AccessPolicySpec {
    /// Time zone of `timeWindow` and of the day in `rateCap.perDay`, as in the IANA database, for example `Europe/Oslo`
    /// or `UTC`. Absent: only without either of them; a zone is never assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$"))]
    pub time_zone: Option<String>,
    /// Reads are allowed between these times of day, as the clock of `timeZone` shows them: where it is put forward over
    /// `start`, the window opens at that moment. Absent: at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_window: Option<TimeWindow>,
    /// Reads are allowed from these addresses, as the server sees them. Absent: from anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_allowlist: Option<IpAllowlist>,
    /// Reads are allowed this often. Absent: without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_cap: Option<RateCap>,
    /// Reads are allowed after another Machine has approved. Absent: without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub co_sign: Option<CoSign>,
    /// Reads are allowed until a date, or a number of reads. Absent: without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// A new value is made after this many reads of a Secret. An identity's first read of a value does not count, and
    /// five minutes at least lie between two values. A value that the server cannot make becomes due. Absent: reads do
    /// not rotate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::positive)]
    pub rotate_after_reads: Option<i32>,
}

/// A part of the day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = check(
    "self.start != self.end",
    "start and end are the same: a whole day is 00:00 to 24:00"
))]
pub struct TimeWindow {
    /// Days on which the window begins: `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat`, `Sun`. Absent: every day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 7), transform = shape::set_list)]
    pub days: Option<Vec<Day>>,
    /// When it opens, in quotes: `"06:00"`.
    #[schemars(with = "String", length(max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: ClockTime,
    /// When it closes, in quotes: `"20:00"`, at the latest `"24:00"`. Before `start`: on the next day, and what lies after
    /// midnight belongs to the day on which the window began.
    #[schemars(with = "String", length(max = 5), regex(pattern = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub end: ClockTime,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpAllowlist {
    /// CIDRs in their shortest form, for example `10.0.0.0/8`, `fd00::/8` or `10.1.2.3/32`.
    #[schemars(length(min = 1, max = 128), transform = shape::set_list, transform = shape::each(cidr))]
    pub cidrs: Vec<String>,
}

fn cidr(schema: &mut schemars::Schema) {
    schema.insert("maxLength".to_owned(), 49.into());
    let mut rule = check(
        "isCIDR(self) && cidr(self).masked() == cidr(self)",
        "not a CIDR in its shortest form, such as 10.0.0.0/8 or 2001:db8::/32 (a single address is 10.1.2.3/32)",
    );
    rule(schema);
}

/// How often.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = check(
    "has(self.perMinute) || has(self.perDay)",
    "give perMinute, perDay or both"
))]
pub struct RateCap {
    /// Reads of one Secret in one minute of the clock. A read is one delivery of a value to an identity: polls, renewals and refused requests do
    /// not count. Absent: without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::positive)]
    pub per_minute: Option<i32>,
    /// Reads of one Secret in one day of `timeZone`. Absent: without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::positive)]
    pub per_day: Option<i32>,
    /// Who shares the cap: `Machine` (all pods of the fleet) or `Pod` (each for itself; a new pod starts afresh).
    /// Absent: `Machine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_by: Option<CountedBy>,
}

/// Who shares a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CountedBy {
    /// All pods of a Machine together.
    Machine,
    /// Each pod for itself.
    Pod,
}

/// Approval by a second Machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoSign {
    /// The Machine that approves, never its own reads. One of another namespace must list this namespace, with kind
    /// `AccessPolicy`, in its `spec.allowFrom`.
    pub machine_ref: MachineRef,
    /// How long an approval is good for, for example `10m`; from 30s to 168h. It is good for the reads of one Secret by
    /// one Machine, whichever of its pods asks, and void when the policy changes.
    #[schemars(transform = check(
        "duration(self) >= duration('30s') && duration(self) <= duration('168h')",
        "window is from 30s to 168h"
    ))]
    pub window: Duration,
}

/// An end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = check(
    "has(self.expiresAt) || has(self.maxReads)",
    "give expiresAt, maxReads or both"
))]
pub struct Ttl {
    /// No read after this instant, for example `"2027-03-31T00:00:00Z"`. Absent: no date ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// No read after this many reads of each Secret, by everybody together. Absent: no number ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::positive)]
    pub max_reads: Option<i32>,
}

impl TimeWindow {
    /// Days on which the window begins.
    pub fn days(&self) -> &[Day] {
        self.days.as_deref().unwrap_or(&defaults::DAYS)
    }
}

impl Day {
    /// The day as it stands in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "Mon",
            Self::Tue => "Tue",
            Self::Wed => "Wed",
            Self::Thu => "Thu",
            Self::Fri => "Fri",
            Self::Sat => "Sat",
            Self::Sun => "Sun",
        }
    }
}

impl RateCap {
    /// Who shares the cap.
    pub fn counted_by(&self) -> CountedBy {
        self.counted_by.unwrap_or(defaults::COUNTED_BY)
    }
}

/// What the operator last saw of the `AccessPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicyStatus {
    /// The `metadata.generation` that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub observed_generation: Option<i64>,
    /// Accepted, `ResolvedRefs`, Programmed and their summary Ready; Stalled while only an edit can help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = shape::map_list(["type"]))]
    pub conditions: Vec<Condition>,
    /// The axes that are given, for example `TimeWindow,RateCap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub axes: Option<String>,
    /// How many Secrets name this policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub secrets: Option<i32>,
    /// Whether the policy lets anybody read now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<PolicyWindow>,
    /// Reads under this policy. Coarse: `asOf` says how old the figures are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<PolicyUsage>,
}

/// Whether a policy lets anybody read now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyWindow {
    /// `Always` (no time axis), `Open`, `Closed` or `Ended` (for good).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<WindowState>,
    /// When that changes next. Absent: no date is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_time: Option<Time>,
}

/// Whether a policy lets anybody read now, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowState {
    /// No axis looks at the time.
    Always,
    /// The window is open.
    Open,
    /// The window is closed.
    Closed,
    /// The `ttl` axis has ended.
    Ended,
}

/// Reads under a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyUsage {
    /// Deliveries of a value to an identity. Polls, renewals and refused requests are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub reads: Option<i64>,
    /// Reads that the policy refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub denied: Option<i64>,
    /// The same by the axis that refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = shape::map_list(["axis"]))]
    pub denied_by: Vec<DeniedBy>,
    /// Reads that wait for the co-signer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub pending_co_signs: Option<i32>,
    /// Reads that are left under `ttl.maxReads`, of the bound Secret that has the fewest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub remaining_reads: Option<i64>,
    /// How old these figures are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Time>,
}

/// Refusals of one axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedBy {
    /// The axis.
    pub axis: Axis,
    /// How many reads it refused.
    #[schemars(transform = shape::count)]
    pub count: i64,
}

/// An axis that can refuse a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Axis {
    /// `timeWindow`.
    TimeWindow,
    /// `ipAllowlist`.
    #[serde(rename = "IPAllowlist")]
    IpAllowlist,
    /// `rateCap`.
    RateCap,
    /// `coSign`.
    CoSign,
    /// `ttl`.
    #[serde(rename = "TTL")]
    Ttl,
}

impl Axis {
    /// The axis as it stands in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TimeWindow => "TimeWindow",
            Self::IpAllowlist => "IPAllowlist",
            Self::RateCap => "RateCap",
            Self::CoSign => "CoSign",
            Self::Ttl => "TTL",
        }
    }
}
