//! Access policies, as they are stored. How they decide: [`crate::policy`].

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, VaultId};
use sikkerkey_protocol::management::PolicyObject;
use sikkerkey_protocol::policy::PolicyDocument;

use super::managed::Managed;

/// An access policy of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// A UUID.
    pub id: String,
    /// The vault.
    pub vault: VaultId,
    /// The project.
    pub project: ProjectId,
    /// Its name, unique in the project: secrets name it.
    pub name: String,
    /// Counts up with each change.
    pub revision: u64,
    /// What it says: the axes that are on.
    pub document: PolicyDocument,
    /// Whether only a person may loosen it, take it off a secret, or remove it. Agents may tighten it.
    #[serde(default)]
    pub protected: bool,
    /// Of a protected one: its object is gone. It denies every read until an object of its name says otherwise, and
    /// stays what a newcomer is measured by.
    #[serde(default)]
    pub withdrawn: bool,
    /// As its author wrote it on the management plane, with what stands under switches that are off; none where its document
    /// is all that was written.
    #[serde(default)]
    pub written: Option<PolicyObject>,
    /// The object behind it.
    pub managed: Option<Managed>,
}
