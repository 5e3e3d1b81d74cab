//! Secrets, without their values.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};
use sikkerkey_protocol::kubernetes::{Recipe, Rotation, TakenFrom};

use super::managed::Managed;
use super::millis::Millis;
use super::project::Project;

/// A secret. Its values are [`Version`](super::version::Version)s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// Its vault.
    pub vault: VaultId,
    /// Its project.
    pub project: ProjectId,
    /// What people call it; of a managed one, the object's name. Unique in its project among those not in the trash.
    pub name: String,
    /// Names of its fields; empty for a plain value.
    pub field_names: Vec<String>,
    /// The newest version; 0 while nobody has set a value.
    pub version: u64,
    /// When that was made.
    pub version_time: Option<Millis>,
    /// Where that came from; none of one that is older than this note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ValueOrigin>,
    /// Name of the policy of the same project that guards it: denied while there is none of that name.
    pub policy: Option<String>,
    /// Counts up whenever another policy guards it, or none, and when its object is deleted: what was approved before is
    /// not approved any more.
    #[serde(default)]
    pub bindings: u64,
    /// How the server makes a new value.
    pub recipe: Option<Recipe>,
    /// When a new value is due.
    pub rotation: Option<Rotation>,
    /// Since when a new value is due because the newest was read as often as its policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_by_reads: Option<Millis>,
    /// What is remembered of its sealed values; none: it never had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing: Option<Sealing>,
    /// Whether it can be read.
    pub phase: SecretPhase,
    /// Whether nobody reads it until a person says so: it was restored, and how often it was read since the backup is not
    /// known.
    #[serde(default)]
    pub held: bool,
    /// The object behind it; of a retained one, the last.
    pub managed: Option<Managed>,
}

impl Secret {
    /// A secret of a project that nobody has set a value of.
    pub fn without_value(id: SecretId, project: &Project, name: String) -> Self {
        Self {
            id,
            vault: project.vault.clone(),
            project: project.id.clone(),
            name,
            field_names: Vec::new(),
            version: 0,
            version_time: None,
            origin: None,
            policy: None,
            bindings: 0,
            recipe: None,
            rotation: None,
            due_by_reads: None,
            sealing: None,
            phase: SecretPhase::Active,
            held: false,
            managed: None,
        }
    }
}

/// What is remembered of the sealed values of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealing {
    /// When the newest accepted one was sealed: an older one never replaces it, whatever came between.
    pub at: Millis,
    /// Whether its object has a sealed value now, so that nobody sets another at the server.
    pub is_source: bool,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ValueOrigin {
    /// The server made it.
    Generated,
    /// A person or a program set it.
    Set,
    /// It stood sealed in its object.
    Sealed,
    /// It was taken over from a Kubernetes Secret.
    Taken(TakenFrom),
}

/// Whether a secret can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretPhase {
    /// It can.
    Active,
    /// Its object is gone, its value is kept for an object of the same name. Nobody reads it.
    Retained,
    /// It is in the trash since then. Nobody reads it.
    Trashed(Millis),
}
