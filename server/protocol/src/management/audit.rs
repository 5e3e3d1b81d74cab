//! The audit on the management plane.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::denial::DenialReason;
use crate::id::{AgentId, MachineId, ProjectId, SecretId};

/// How much a row of the audit matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    User,
    /// A machine: `machineId` is it.
    Machine,
    /// A program that manages: `aiAgentId` is it.
    AiAgent,
    /// The server itself.
    System,
    /// Somebody who is not known.
    External,
}

impl ActorKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Machine => "machine",
            Self::AiAgent => "ai_agent",
            Self::System => "system",
            Self::External => "external",
        }
    }
}

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SortBy {
    #[default]
    Timestamp,
    Action,
    Severity,
    SourceIp,
}

/// In which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SortDir {
    /// The least first: of rows, the oldest.
    Asc,
    /// The greatest first: of rows, the newest.
    #[default]
    Desc,
}

/// How rows are written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// RFC 4180, with a line of headings. What a spreadsheet would take for a formula has a `'` before it.
    #[default]
    Csv,
    /// One JSON object on each line.
    Jsonl,
}

/// Which rows are looked for. What is left out, `null` or an empty list restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditQuery {
    /// Only these actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// Only actions of these severities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severities: Option<Vec<Severity>>,
    /// Only from this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// Only rows that have this in their detail, in one of their ids or in their reason. Case does not matter in ASCII.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 200)))]
    pub search: Option<String>,
    /// From this instant on, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Up to this instant, not included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    /// By what they are sorted. By anything but the time, only what one answer looks through is sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_by: Option<SortBy>,
    /// In which direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_dir: Option<SortDir>,
    /// Which page; the first is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub page: Option<u32>,
    /// Rows on a page; 50 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 200)))]
    pub page_size: Option<u32>,
    /// Only rows whose `id` is below this one: to go on where an answer says that it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Only rows whose `id` is above this one: to go on where an answer that begins with the oldest says that it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Which rows are written out: at most 10,000 of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditExport {
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ExportFormat>,
    /// Which; `page` and `pageSize` have no meaning here.
    #[serde(flatten)]
    pub query: AuditQuery,
}

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number.
    pub id: u64,
    /// What was done or tried.
    pub action: String,
    /// How much it matters.
    pub severity: Severity,
    /// Who did it.
    pub actor_kind: ActorKind,
    /// The person who did it, where it is known.
    pub user_id: Option<String>,
    /// The machine that did it, or to which it was done.
    pub machine_id: Option<MachineId>,
    /// The agent that did it.
    pub ai_agent_id: Option<AgentId>,
    /// In which project.
    pub project_id: Option<ProjectId>,
    /// The secret that it is about.
    pub secret_id: Option<SecretId>,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// Of a denied read: why, for a program.
    pub reason: Option<DenialReason>,
    /// Of a denied read: why, for a person.
    pub reason_text: Option<String>,
    /// For a person.
    pub detail: String,
    /// When, in milliseconds since the epoch.
    pub timestamp: i64,
}

/// Rows of the audit, and how far it was looked for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// The rows.
    pub entries: Vec<AuditEntry>,
    /// Which page.
    pub page: u32,
    /// Rows on a full page.
    pub page_size: u32,
    /// Whether there are more behind this page in what was looked through.
    pub has_more: bool,
    /// How many there are altogether; `null` where not all of the audit was looked through.
    pub total: Option<u64>,
    /// The newest row that there was. With `before` one above it, later pages do not shift while rows are added.
    pub as_of: u64,
    /// How many rows were looked through.
    pub looked_at: u64,
    /// When the last row was written that was looked at: back to here, or up to here, nothing was left out. `null`: all
    /// that was asked about was looked through.
    pub looked_back_to: Option<i64>,
    /// How to go on from there; `null`: there is nothing more.
    pub next: Option<Next>,
}

/// Where to go on: the same question, with this in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Next {
    /// Rows below this one.
    Before(u64),
    /// Rows above this one.
    After(u64),
}

/// Every action that a row can have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditActions {
    /// By name.
    pub actions: Vec<AuditAction>,
}

/// An action, and how much it matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditAction {
    /// Its name.
    pub action: String,
    /// How much it matters.
    pub severity: Severity,
}

/// The last rows of the audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecentActivity {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
}
