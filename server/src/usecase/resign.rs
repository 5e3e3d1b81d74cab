//! A machine that gives its identity up.

use sikkerkey_protocol::enrolment::{Resign, Resigned};

use super::source::Source;
use super::steps::Steps;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::model::machine::Machine;

/// Revokes the machine that signed, whatever its standing: giving up is always allowed.
pub fn resign(context: &Context<'_>, machine: &Machine, source: Source, _: Resign) -> Decided<Resigned> {
    let mut entry = Entry::new(Action::MachineRevoke, Actor::Machine(machine.id.clone()));
    entry.source_ip = Some(source.address);
    let mut steps = Steps::default();
    steps.revoke(machine, entry.clone(), "it gave its identity up");
    steps.forget_access(context.state, machine, &entry);
    Ok(steps.decide(|_| Resigned {}))
}
