//! Counts of a vault on the management plane.

use serde::{Deserialize, Serialize};

/// What a vault has, and what was read lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Machines.
    pub machines: MachineCounts,
    /// Agents.
    pub agents: u64,
    /// Projects.
    pub projects: u64,
    /// Secrets that can be read.
    pub secrets: u64,
    /// Secrets in the trash.
    pub trashed_secrets: u64,
    /// Policies.
    pub policies: u64,
    /// Grants that have not ended.
    pub grants: u64,
    /// Values that were delivered in the 24 whole hours before this one, and in this one. Left out for an agent with a list of
    /// projects: they are counted of the whole vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads_24h: Option<u64>,
    /// Reads that were denied in the same time; left out as those are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_24h: Option<u64>,
}

/// Machines by how they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineCounts {
    /// All of them.
    pub total: u64,
    /// Those that wait for approval.
    pub pending: u64,
    /// Those that are switched off.
    pub disabled: u64,
}

/// How wide a column of a chart is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// An hour.
    #[default]
    Hour,
    /// A day in UTC.
    Day,
    /// A week in UTC that begins on a Monday.
    Week,
}

/// Between which instants reads are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadsOverTimeQuery {
    /// From this instant on, in milliseconds since the epoch; left out: seven days before `to`. Rounded down to the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Up to this instant, not included; left out: now. Rounded up to the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    /// How they are put together; left out: by the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
}

/// Reads over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReadsOverTime {
    /// How wide each is.
    pub bucket: Bucket,
    /// One after the other, those without reads too.
    pub buckets: Vec<ReadsInBucket>,
    /// Reads before this instant were not counted, in milliseconds since the epoch; `null`: all were, as long as counts are
    /// kept.
    pub counted_since: Option<i64>,
}

/// The reads of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadsInBucket {
    /// Where it begins, in milliseconds since the epoch.
    pub start: i64,
    /// Values that were delivered.
    pub reads: u64,
    /// Reads that were denied.
    pub denied: u64,
}

/// What a vault uses of what it may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VaultUsage {
    /// Machines, pods among them.
    pub machines: Used,
    /// Agents.
    pub agents: Used,
    /// Projects.
    pub projects: Used,
    /// Secrets, those in the trash too.
    pub secrets: Used,
    /// Enrolment tokens that are still good.
    pub enrollment_tokens: Used,
    /// Webhooks.
    pub webhooks: Used,
}

/// How many there are, and how many there may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Used {
    /// How many there are.
    pub used: u64,
    /// How many there may be; `null`: as many as you like.
    pub limit: Option<u64>,
}
