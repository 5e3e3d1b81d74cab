//! One key, one owner.

use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::id::{AgentId, FleetId, MachineId};
use sikkerkey_protocol::key::PublicKey;

use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;

/// Who has a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyOwner {
    Machine(MachineId),
    Agent(AgentId),
    /// A host's `Machine` object names it, and the host has not enrolled.
    Fleet(FleetId),
}

/// Who has a key. A key that two had would let one sign as the other, and a leak of one be a leak of both.
pub(crate) fn key_owner(state: &State, key: &PublicKey) -> Option<KeyOwner> {
    if let Some(machine) = state.machines_with_key(key).next() {
        return Some(KeyOwner::Machine(machine.id.clone()));
    }
    if let Some(agent) = state.agents.values().find(|it| it.public_key == *key) {
        return Some(KeyOwner::Agent(agent.id.clone()));
    }
    state.fleets.values().find(|it| it.names(key)).map(|it| KeyOwner::Fleet(it.id.clone()))
}

/// The key must be nobody's.
pub(crate) fn require_unused(state: &State, key: &PublicKey) -> Result<(), Refusal> {
    match key_owner(state, key) {
        None => Ok(()),
        Some(_) => Err(in_use("the key is in use already: make a new one, and keep it for one machine alone")),
    }
}

pub(crate) fn in_use(text: &str) -> Refusal {
    Refusal::new(RefusalKind::Conflict, text).code(ErrorCode::KeyInUse)
}
