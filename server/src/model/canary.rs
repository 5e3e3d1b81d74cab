//! Canaries: secrets that nobody has a reason to read.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};

/// An armed canary: reading its secret is answered like any other read and springs the trap. It stands beside the
/// secret, not in it, so that nothing a machine is told can differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// The secret.
    pub secret: SecretId,
    /// Its vault.
    pub vault: VaultId,
    /// Its project.
    pub project: ProjectId,
    /// Whether reading it freezes its project.
    pub freeze_project: bool,
    /// Whether reading it freezes the projects that share machines with its own.
    pub freeze_related: bool,
}
