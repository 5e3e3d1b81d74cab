//! Applications.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, VaultId};

/// Projects that belong together, such as production and staging of one service. Only the command line client knows
/// them: they give nothing and take nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// `app_` and letters and digits.
    pub id: String,
    /// Its vault.
    pub vault: VaultId,
    /// What people call it. Unique in its vault.
    pub name: String,
    /// Its projects. A project is in one application at most.
    pub projects: BTreeSet<ProjectId>,
}
