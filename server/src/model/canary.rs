//! Canaries: secrets that nobody has a reason to read.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId, VaultId};

use super::millis::Millis;

/// A canary: reading its secret is answered like any other read and springs the trap, while it is armed. It stands beside
/// the secret, not in it, so that nothing a machine is told can differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// The secret.
    pub secret: SecretId,
    /// Its vault.
    pub vault: VaultId,
    /// Its project.
    pub project: ProjectId,
    /// Whether a read springs it.
    #[serde(default = "armed")]
    pub armed: bool,
    /// Whether reading it freezes its project.
    pub freeze_project: bool,
    /// Whether reading it freezes the projects that share machines with its own.
    pub freeze_related: bool,
    /// How often it was sprung.
    #[serde(default)]
    pub trips: u64,
    /// When and by whom, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_trip: Option<Trip>,
}

/// A read that sprang a canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// When.
    pub at: Millis,
    /// Who read.
    pub machine: MachineId,
    /// From where.
    pub address: IpAddr,
}

/// There were no others before.
fn armed() -> bool {
    true
}
