//! Projects on the management plane.

use serde::{Deserialize, Serialize};

use crate::id::ProjectId;

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProjectView {
    /// Its id.
    pub id: ProjectId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether every read is refused, since a canary was read or a person said so.
    pub frozen: bool,
    /// When it was made; none of one that is older than this note. Unix milliseconds.
    pub created_at: Option<i64>,
    /// How many machines are members; those of `Machine` objects need not be.
    pub machine_count: usize,
    /// How many secrets it has, those in the trash not counted.
    pub secret_count: usize,
    /// How many access policies it has.
    pub policy_count: usize,
    /// The namespace it stands for, as `cluster/namespace`.
    pub namespace: Option<String>,
}

/// The projects that are seen, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProjectList {
    /// The projects.
    pub projects: Vec<ProjectView>,
}

/// Makes a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateProject {
    /// What people call it: from 1 to 100 printable characters, unique in the vault.
    pub name: String,
    /// What it is for, at most 1024 printable characters.
    #[serde(default)]
    pub description: Option<String>,
}

/// Changes a project. What is not given stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateProject {
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
}

/// Deletes a project, or tells what would fall: one of the two fields is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeleteProject {
    /// Only tells what would fall.
    #[serde(default)]
    pub preview: bool,
    /// The project's exact name, for the deletion.
    #[serde(default)]
    pub confirm_name: Option<String>,
}

/// What falls with a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProjectDeletion {
    /// The project.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// Whether this only told.
    pub preview: bool,
    /// How many secrets fall with all their versions, those in the trash included.
    pub secrets: usize,
    /// How many grants fall.
    pub grants: usize,
    /// How many access policies fall.
    pub policies: usize,
    /// How many of the secrets are canaries.
    pub canaries: usize,
    /// How many machines are members no more.
    pub memberships: usize,
}
