//! Projects: each with an encryption key of its own.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, VaultId};

use super::millis::Millis;

/// A project. In a cluster: a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its vault.
    pub vault: VaultId,
    /// What people call it.
    pub name: String,
    /// The namespace it stands for.
    pub namespace: Option<ProjectNamespace>,
    /// Whether a canary was read: every read is refused with 423 until a person unfreezes it.
    pub frozen: bool,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it was made; none of one that is older than this note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
    /// The project's key, wrapped by the root key (see [`crate::crypto::envelope`]).
    pub wrapped_key: Vec<u8>,
}

/// The namespace behind a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectNamespace {
    /// The cluster's name.
    pub cluster: String,
    /// The namespace's name.
    pub name: String,
    /// The namespace's uid: another one of the same name inherits nothing without a person's word.
    pub uid: String,
}
