//! Secrets, without their values.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};
use sikkerkey_protocol::kubernetes::{Generator, Recipe, Rotation, TakenFrom};

use super::managed::Managed;
use super::millis::Millis;
use super::project::Project;
use crate::audit::entry::Actor;

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
    /// How a person or an agent has it renewed, where no object says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<RotationSchedule>,
    /// Since when a new value is due because the newest was read as often as its policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_by_reads: Option<Millis>,
    /// What is remembered of its sealed values; none: it never had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing: Option<Sealing>,
    /// What people say about it. Never a value, and shown to nobody who only reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When and by whom it was made and changed.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub history: History,
    /// Whether its object takes its values over from a Kubernetes Secret, so that no agent sets another at the server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_over: bool,
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
    pub fn without_value(id: SecretId, project: &Project, name: String, now: Millis) -> Self {
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
            schedule: None,
            due_by_reads: None,
            sealing: None,
            note: None,
            taken_over: false,
            history: History { created_at: Some(now), ..History::default() },
            phase: SecretPhase::Active,
            held: false,
            managed: None,
        }
    }

    /// The schedule by which it is renewed now.
    pub fn active_schedule(&self) -> Option<&RotationSchedule> {
        self.schedule.as_ref().filter(|it| it.enabled)
    }

    /// Whether the server makes its next value by itself.
    pub fn is_made_here(&self) -> bool {
        self.recipe.is_some() || self.active_schedule().is_some()
    }

    /// Remembers who changes it now.
    pub fn touch(&mut self, now: Millis, by: Actor) {
        self.history.updated_at = Some(now);
        self.history.updated_by = Some(by);
    }
}

/// How a secret is renewed that no object stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationSchedule {
    /// So long after the last version, and after [`RotationSchedule::since`], in seconds.
    pub every_seconds: u64,
    /// How the new texts are made.
    pub generator: Generator,
    /// The fields that get new texts, while the others keep theirs; empty: all of a structured value, or the plain one.
    pub fields: Vec<String>,
    /// Whether it is on.
    pub enabled: bool,
    /// When it was switched on: a value that is older by then is not renewed at once.
    pub since: Millis,
}

/// When and by whom a secret was made and changed. What happened before the server took notes is not in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
    /// When its value, its name, its note or its schedule was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Millis>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<Actor>,
    /// Where its versions came from, oldest first. As many as are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<Made>,
}

impl History {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Where a version came from.
    pub fn made(&self, version: u64) -> Option<&Made> {
        self.versions.iter().find(|it| it.version == version)
    }
}

/// Where one version came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Which.
    pub version: u64,
    /// How.
    pub origin: ValueOrigin,
    /// By whom.
    pub by: Actor,
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
    /// It is the value of this earlier version again.
    RolledBack(u64),
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
