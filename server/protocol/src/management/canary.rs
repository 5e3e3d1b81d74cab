//! Canaries on the management plane.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{MachineId, ProjectId, SecretId};

/// The canaries of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CanaryList {
    /// By name.
    pub canaries: Vec<CanaryView>,
}

/// A canary: a secret that nobody has a reason to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the public protocol")]
pub struct CanaryView {
    /// Its id, which is its secret's.
    pub id: SecretId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name.
    pub name: String,
    /// Whether a read springs it.
    pub enabled: bool,
    /// Whether a read freezes its project.
    pub trigger_freeze_project: bool,
    /// Whether a read freezes the projects that share machines with its own.
    pub trigger_freeze_related_projects: bool,
    /// How often it was sprung.
    pub fire_count: u64,
    /// The last time.
    pub last_trip: Option<CanaryTrip>,
    /// Whether its project is frozen now, by whatever.
    pub project_frozen: bool,
}

/// A read that sprang a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CanaryTrip {
    /// When, in Unix milliseconds.
    pub at: i64,
    /// Which machine read.
    pub machine_id: MachineId,
    /// From where.
    pub source_ip: IpAddr,
}

/// A canary that is to be made. Its value is 64 random symbols.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateCanary {
    /// Its project.
    pub project_id: String,
    /// From 1 to 255 printable characters, unique in the project: what somebody who steals would look for.
    pub name: String,
    /// Whether a read springs it; left out: yes.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether a read freezes its project; left out: yes.
    #[serde(default = "yes")]
    pub trigger_freeze_project: bool,
    /// Whether a read freezes the projects that share machines with its own; left out: no.
    #[serde(default)]
    pub trigger_freeze_related_projects: bool,
}

fn yes() -> bool {
    true
}

/// What is to be changed about a canary. What is left out stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigureCanary {
    /// Whether a read freezes its project.
    #[serde(default)]
    pub trigger_freeze_project: Option<bool>,
    /// Whether a read freezes the projects that share machines with its own.
    #[serde(default)]
    pub trigger_freeze_related_projects: Option<bool>,
}

/// A project answers its machines, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProjectFrozen {
    /// The project.
    pub id: ProjectId,
    /// Whether every read in it is refused.
    pub frozen: bool,
}
