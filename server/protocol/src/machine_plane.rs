//! Bodies of the routes that the official SDKs and the CLI call.
//!
//! Some SDKs refuse a key they do not know, so these hold exactly the documented ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, SecretId};
use crate::secret_text::{self, SecretText};

/// `GET /v1/secret/{id}`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretBody {
    /// The value; of a structured secret, a JSON object whose values are all strings.
    #[serde(serialize_with = "secret_text::serialize")]
    pub value: SecretText,
}

/// `GET /v1/secrets` and `POST /v1/secrets/list`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretList {
    /// What the machine may read.
    pub secrets: Vec<SecretListItem>,
}

/// One secret of a [`SecretList`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretListItem {
    /// The id.
    pub id: SecretId,
    /// The name.
    pub name: String,
    /// A JSON array as text, such as `["host","password"]`; null for a plain secret.
    pub field_names: Option<String>,
    /// The project.
    pub project_id: Option<ProjectId>,
}

/// Body of `POST /v1/secrets/list` and `POST /v1/secrets/export`; no body at all means everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// Only this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Only the projects of this application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<String>,
}

/// `POST /v1/secrets/export`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Export {
    /// What the machine may read, with values.
    pub secrets: Vec<ExportItem>,
}

/// One secret of an [`Export`].
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExportItem {
    /// The id.
    pub id: SecretId,
    /// The name.
    pub name: String,
    /// The value.
    #[serde(serialize_with = "secret_text::serialize")]
    pub value: SecretText,
    /// See [`SecretListItem::field_names`].
    pub field_names: Option<String>,
}

/// Body of `POST /v1/secrets/poll`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Poll {
    /// Ids to look at, as the client wrote them.
    pub watch: Vec<String>,
}

/// Answer of `POST /v1/secrets/poll`. Unchanged secrets are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Changes {
    /// By the id as the client wrote it.
    pub changes: BTreeMap<String, Change>,
}

/// One entry of [`Changes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// What happened.
    pub status: ChangeStatus,
}

/// What happened to a watched secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeStatus {
    /// A newer version than the one last delivered to this machine.
    Changed,
    /// It is gone.
    Deleted,
    /// The machine may not read it any more.
    AccessDenied,
}

/// Body of `POST /v1/verify-access`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VerifyAccess {
    /// The project, as the client wrote it.
    pub project_id: String,
}

/// Answer of `POST /v1/verify-access`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AccessVerified {
    /// Whether the machine belongs to the project, and the project is not frozen.
    pub valid: bool,
    /// The project's name; null where the machine does not belong to it.
    pub project_name: Option<String>,
    /// Why not.
    pub error: Option<String>,
}

/// The text of `fieldNames` for a list of names; `None` for a plain secret.
pub fn field_names_text(names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let quoted: Vec<String> =
        names.iter().map(|name| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    Some(format!("[{}]", quoted.join(",")))
}
