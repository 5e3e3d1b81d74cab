//! Access policies, as they are stored. How they decide: [`crate::policy`].

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, VaultId};
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
    /// What it says.
    pub document: PolicyDocument,
    /// The object behind it.
    pub managed: Option<Managed>,
}
