//! The trash on the management plane.

use serde::{Deserialize, Serialize};

use super::SecretType;
use crate::id::{ProjectId, SecretId};

/// What is in the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrashList {
    /// What was deleted last comes first.
    pub secrets: Vec<TrashedSecret>,
}

/// A secret in the trash. Nobody reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TrashedSecret {
    /// Its id.
    pub id: SecretId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its project's name.
    pub project_name: String,
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: SecretType,
    /// Its newest version.
    pub version: u64,
    /// When it was deleted, in Unix milliseconds.
    pub deleted_at: i64,
    /// When it goes for good, in Unix milliseconds.
    pub purged_at: i64,
    /// The Kubernetes object that stood for it, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
}

/// A secret came out of the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretRestored {
    /// Its id.
    pub id: SecretId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project_id: ProjectId,
    /// Whether it can be read; one that a Kubernetes object stood for waits for an object of its name.
    pub readable: bool,
    /// The name of the policy that guards it.
    pub policy: Option<String>,
    /// Whether there is that policy: if not, nobody reads it until another guards it, or none.
    pub policy_in_force: bool,
}

/// A secret is gone for good, with its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretPurged {
    /// Its id.
    pub id: SecretId,
    /// True.
    pub purged: bool,
}

/// A secret is in the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretDeleted {
    /// Its id.
    pub id: SecretId,
    /// True.
    pub deleted: bool,
    /// When it goes for good, in Unix milliseconds.
    pub purged_at: i64,
}
