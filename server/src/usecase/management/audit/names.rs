//! What those are called that rows are about, as far as it is still known.

use std::collections::BTreeMap;

use sikkerkey_protocol::id::{AgentId, MachineId, ProjectId, SecretId, VaultId};
use sikkerkey_protocol::management::AuditEntry;

use crate::model::secret::SecretPhase;
use crate::state::State;

/// What those are called that rows are about. Who is gone has no name here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Machines.
    pub machines: BTreeMap<MachineId, String>,
    /// Secrets, and whether each can be read: not one that is in the trash.
    pub secrets: BTreeMap<SecretId, (String, bool)>,
    /// Projects.
    pub projects: BTreeMap<ProjectId, String>,
    /// Agents.
    pub agents: BTreeMap<AgentId, String>,
    /// People, by account: their e-mail addresses.
    pub people: BTreeMap<String, String>,
}

impl Names {
    /// Of what these rows of a vault are about.
    pub fn of(state: &State, vault: &VaultId, entries: &[AuditEntry]) -> Self {
        let mut names = Self::default();
        for entry in entries {
            let machine = entry.machine_id.as_ref().and_then(|id| state.machines.get(id));
            if let Some(it) = machine.filter(|it| it.vault == *vault) {
                names.machines.insert(it.id.clone(), it.name.clone());
            }
            let secret = entry.secret_id.as_ref().and_then(|id| state.secrets.get(id));
            if let Some(it) = secret.filter(|it| it.vault == *vault) {
                names.secrets.insert(it.id.clone(), (it.name.clone(), it.phase == SecretPhase::Active));
            }
            let project = entry.project_id.as_ref().and_then(|id| state.projects.get(id));
            if let Some(it) = project.filter(|it| it.vault == *vault) {
                names.projects.insert(it.id.clone(), it.name.clone());
            }
            let agent = entry.ai_agent_id.as_ref().and_then(|id| state.agents.get(id));
            if let Some(it) = agent.filter(|it| it.vault == *vault) {
                names.agents.insert(it.id.clone(), it.name.clone());
            }
            if let Some(it) = entry.user_id.as_ref().and_then(|id| state.accounts.get(id)) {
                names.people.insert(it.id.clone(), it.email.clone());
            }
        }
        names
    }
}
