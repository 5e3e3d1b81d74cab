//! Which machines belong to which projects.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{MachineId, ProjectId, VaultId};

use super::millis::Millis;

/// A machine that belongs to no fleet, as a member of a project. It gives nothing by itself: reading takes a grant as
/// well. A fleet needs none: its namespace, and the owners of the secrets who grant to it, speak for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// The vault of both.
    pub vault: VaultId,
    /// The project.
    pub project: ProjectId,
    /// The machine.
    pub machine: MachineId,
    /// Since when.
    pub since: Millis,
}

impl Membership {
    /// The entity's id.
    pub fn id(project: &ProjectId, machine: &MachineId) -> String {
        format!("{project}/{machine}")
    }
}
