//! Rotation schedules on the management plane.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Charset;
use crate::id::{ProjectId, SecretId};
use crate::secret_text::SecretText;

/// The rotation schedules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScheduleList {
    /// By project and name.
    pub dynamic_secrets: Vec<ScheduleView>,
}

/// A secret that is renewed by a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// The secret's id.
    pub id: SecretId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name.
    pub name: String,
    /// What people say about it.
    pub note: Option<String>,
    /// Its newest version.
    pub version: u64,
    /// How often a new value is made, in seconds.
    pub interval_seconds: u64,
    /// How many characters it has.
    pub length: u32,
    /// Which.
    pub charset: Charset,
    /// Names of the fields of a structured value.
    pub field_names: Option<Vec<String>>,
    /// Of a structured value, the fields that get new texts.
    pub fields: Option<Vec<String>>,
    /// Whether it is on.
    pub enabled: bool,
    /// When the newest version was made, in Unix milliseconds.
    pub last_rotation_at: Option<i64>,
    /// When the next is due, in Unix milliseconds; none while it is off.
    pub next_rotation_at: Option<i64>,
}

/// A schedule that is to be made: with a new secret (`projectId` and `name`), or for one that there is (`secretId`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateSchedule {
    /// How often a new value is made, in seconds: from 300 to 2592000, which are 30 days.
    pub interval_seconds: u64,
    /// The secret that there is.
    #[serde(default)]
    pub secret_id: Option<String>,
    /// The project of the new secret.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The new secret's name.
    #[serde(default)]
    pub name: Option<String>,
    /// For people; at most 1000 characters.
    #[serde(default)]
    pub note: Option<String>,
    /// How many characters a new value has: from 1 to 1024; left out: 32.
    #[serde(default)]
    pub length: Option<u32>,
    /// Which; left out: symbols.
    #[serde(default)]
    pub charset: Option<Charset>,
    /// The fields of a new structured secret.
    #[serde(default)]
    pub field_names: Option<Vec<String>>,
    /// Of a structured secret, the fields that get new texts; left out: all of them.
    #[serde(default)]
    pub fields: Option<Vec<String>>,
    /// What stands in the other fields of a new structured secret.
    #[serde(default)]
    pub static_fields: Option<BTreeMap<String, SecretText>>,
}

/// What is to be changed about a schedule. What is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateSchedule {
    /// From 300 to 2592000 seconds.
    #[serde(default)]
    pub interval_seconds: Option<u64>,
    /// From 1 to 1024 characters.
    #[serde(default)]
    pub length: Option<u32>,
    /// Which.
    #[serde(default)]
    pub charset: Option<Charset>,
    /// The fields that get new texts; empty: all of them.
    #[serde(default)]
    pub fields: Option<Vec<String>>,
    /// Off: the value stays. On again: the next is due one interval later.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// A secret has no schedule any more. It keeps its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleDeleted {
    /// The secret's id.
    pub id: SecretId,
    /// True.
    pub deleted: bool,
}
