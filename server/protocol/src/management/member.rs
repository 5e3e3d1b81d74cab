//! Which machines are members of projects, and what they are granted.

use serde::{Deserialize, Serialize};

use super::MachineKind;
use crate::id::{MachineId, ProjectId, SecretId};
use crate::kubernetes::Approval;

/// Which members to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueryMembers {
    /// Only those whose name, host name or id has this in it, in capital or small letters.
    #[serde(default)]
    pub search: Option<String>,
    /// By what they are sorted; by name if nothing is given.
    #[serde(default)]
    pub sort_by: Option<MemberOrder>,
    /// In which direction; upwards if nothing is given.
    #[serde(default)]
    pub sort_dir: Option<SortDirection>,
    /// Which page, from 1 on; the first if nothing is given.
    #[serde(default)]
    pub page: Option<usize>,
    /// How many stand on a page, from 1 to 200; 50 if nothing is given.
    #[serde(default)]
    pub page_size: Option<usize>,
}

/// By what members are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MemberOrder {
    /// By their names.
    #[default]
    Name,
    /// By when they became members.
    Added,
    /// By how many secrets of the project they are granted.
    SecretCount,
}

/// In which direction something is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SortDirection {
    /// The least first.
    #[default]
    Asc,
    /// The greatest first.
    Desc,
}

/// A page of members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberPage {
    /// The members on it.
    pub machines: Vec<MemberRow>,
    /// How many there are on all pages.
    pub total: usize,
    /// Which page it is.
    pub page: usize,
    /// How many stand on a page.
    pub page_size: usize,
}

/// A member of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberRow {
    /// The machine.
    pub machine_id: MachineId,
    /// Its name.
    pub name: String,
    /// What sort of machine it is.
    pub kind: MachineKind,
    /// How approval stands.
    pub approval: Approval,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Since when it is a member; Unix milliseconds.
    pub added_at: i64,
    /// How many secrets of the project it is granted.
    pub secret_count: usize,
    /// When it last signed a request; Unix milliseconds.
    pub last_seen: Option<i64>,
}

/// Makes a machine a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttachMachine {
    /// The machine.
    pub machine_id: MachineId,
}

/// A machine and a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberChanged {
    /// The project.
    pub project_id: ProjectId,
    /// The machine.
    pub machine_id: MachineId,
    /// Whether it is a member now.
    pub member: bool,
    /// How many grants fell.
    pub revoked_grants: usize,
}

/// Says which secrets of a project a machine is granted: those and no others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetGrants {
    /// The ids of the secrets; ids of none of this project are left out. `null` is none.
    #[serde(default)]
    pub secret_ids: Option<Vec<String>>,
}

/// Which secrets of a project a machine is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedSecrets {
    /// The project.
    pub project_id: ProjectId,
    /// The machine.
    pub machine_id: MachineId,
    /// The ids of the secrets, in their order.
    pub secret_ids: Vec<SecretId>,
}
