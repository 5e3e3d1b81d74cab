//! What would fall with a machine, for whoever is about to revoke it.

use sikkerkey_protocol::management::{MachineRevocation, Preview};

use super::super::Manager;
use crate::decision::{Context, Decided};
use crate::usecase::machine::Found;

/// What would fall.
#[derive(Debug)]
pub struct Falling {
    /// What an agent is told.
    pub revocation: MachineRevocation,
    /// Of a fleet: how many machines lose their identities.
    pub of_fleet: Option<usize>,
}

/// What would fall with a machine or a fleet. Changes nothing.
pub fn preview(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<Falling> {
    let decision = super::revoke(context, manager, [id], Preview { preview: true })?;
    let of_fleet = match manager.own_machine(context, id)? {
        Found::Machine(_) => None,
        Found::Fleet(it) => Some(context.state.machines_in(&it.id).count()),
    };
    Ok(decision.then(move |revocation| Falling { revocation, of_fleet }))
}
