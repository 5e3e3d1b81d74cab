//! Machines: what there is, and whose key is good.

pub mod command;
pub mod falling;
pub mod portrait;
pub mod table;

use sikkerkey_protocol::id::ProjectId;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::{
    ApproveMachine, ExtendMachine, Guardrails, MachineApproval, MachineChanged, MachineDetail, MachineList,
    MachineRevocation, NameHistory, Preview, Rename,
};

use super::Manager;
use crate::decision::{Context, Decided};
use crate::model::fleet::Fleet;
use crate::model::machine::Machine;
use crate::refusal::{Refusal, invalid};
use crate::usecase::machine::view::{Viewer, history, object, revocation};
use crate::usecase::machine::{self, Found, guardrails, refuse_fleet, replaced, temporary};
use crate::usecase::steps::Steps;

const NO_SWITCH: &str = "set spec.suspend there";
const NO_GUARDRAILS: &str = "guard its secrets by an AccessPolicy";
const NO_IDENTITY: &str = "each of its machines has an identity of its own";

/// The machines of the vault and its fleets, by name.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<MachineList> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the machines".to_owned()));
    let sight = manager.sight();
    Ok(steps.decide(move |context| {
        let state = context.state;
        let viewer = Viewer { state, ledger: context.ledger, sees: |id: &ProjectId| sight.sees(id) };
        let machines = state.machines.values().filter(|it| sight.sees_machine(state, Found::Machine(it)));
        let mut machines: Vec<_> = machines.map(|it| viewer.row(it)).collect();
        let fleets = state.fleets.values().filter(|it| sight.sees_machine(state, Found::Fleet(it)));
        machines.extend(fleets.map(|it| viewer.fleet_row(it)));
        machines.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        MachineList { machines }
    }))
}

/// One machine or fleet.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<MachineDetail> {
    let (found, name) = named(manager.machine(context, id)?);
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(name));
    let sight = manager.sight();
    let viewer = Viewer { state: context.state, ledger: context.ledger, sees: |id: &ProjectId| sight.sees(id) };
    let detail = match found {
        Found::Machine(it) => viewer.detail(it),
        Found::Fleet(it) => viewer.fleet_detail(it),
    };
    Ok(steps.decide(move |_| detail))
}

/// Approves a machine's key. The machine whose place it takes is revoked with that.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn approve(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    wanted: ApproveMachine,
) -> Decided<MachineApproval> {
    let machine = match manager.own_machine(context, id)? {
        Found::Machine(it) => it,
        Found::Fleet(fleet) => return approve_fleet(manager, fleet, wanted.preview),
    };
    let old = replaced(context.state, machine);
    old.map_or(Ok(()), |it| manager.reach(context.state, it))?;
    let steps = machine::approve(context, manager.author(), machine, wanted.fingerprint.as_deref())?;
    let steps = if wanted.preview { Steps::default() } else { steps };
    let steps = manager.settle_around(steps, || format!("approval of machine {}", machine.name));
    let answer = MachineApproval {
        id: machine.id.to_string(),
        name: machine.name.clone(),
        approved: !wanted.preview || machine.approval == Approval::Approved,
        preview: wanted.preview,
        fingerprint: Some(machine.public_key.fingerprint()),
        replaces: old.map(|it| revocation(context.state, it, wanted.preview)),
    };
    Ok(steps.decide(move |_| answer))
}

/// Approves what a page showed: a machine by the fingerprint that stood there, and not without one.
pub fn approve_seen(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    fingerprint: Option<String>,
) -> Decided<MachineApproval> {
    if let (Found::Machine(it), None) = (manager.own_machine(context, id)?, &fingerprint) {
        let text = format!(
            "the form does not say which key of machine {} was looked at: open the page again and compare it",
            it.name
        );
        return Err(invalid(text));
    }
    approve(context, manager, [id], ApproveMachine { fingerprint, preview: false })
}

fn approve_fleet(manager: &Manager<'_>, fleet: &Fleet, preview: bool) -> Decided<MachineApproval> {
    let steps = machine::approve_fleet(manager.author(), fleet)?;
    let steps = if preview { Steps::default() } else { steps };
    let steps = manager.settle_around(steps, || format!("approval of {}", object(fleet)));
    let answer = MachineApproval {
        id: fleet.id.to_string(),
        name: fleet.managed.object.key.to_string(),
        approved: !preview || fleet.approval == Approval::Approved,
        preview,
        fingerprint: None,
        replaces: None,
    };
    Ok(steps.decide(move |_| answer))
}

/// Removes a machine that waits for approval.
pub fn deny(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<MachineChanged> {
    let found = manager.own_machine(context, id)?;
    let steps = match found {
        Found::Machine(it) => machine::deny(context.state, manager.author(), it)?,
        Found::Fleet(it) => machine::deny_fleet(context.state, manager.author(), it)?,
    };
    Ok(done(manager, found, steps))
}

/// Switches a machine off.
pub fn disable(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<MachineChanged> {
    on_machine(context, manager, id, NO_SWITCH, |it| machine::set_enabled(context, manager.author(), it, false))
}

/// Switches a machine on again.
pub fn enable(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<MachineChanged> {
    on_machine(context, manager, id, NO_SWITCH, |it| machine::set_enabled(context, manager.author(), it, true))
}

/// Takes a machine its identity, or tells what would fall.
pub fn revoke(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    wanted: Preview,
) -> Decided<MachineRevocation> {
    let (steps, answer) = match manager.own_machine(context, id)? {
        Found::Machine(it) => {
            (machine::revoke(context, manager.author(), it)?, revocation(context.state, it, wanted.preview))
        }
        Found::Fleet(it) => {
            let name = it.managed.object.key.to_string();
            let steps = machine::deny_fleet(context.state, manager.author(), it)?;
            let (memberships, grants, secrets) = (0, 0, 0);
            let preview = wanted.preview;
            (steps, MachineRevocation { id: it.id.to_string(), name, preview, memberships, grants, secrets })
        }
    };
    let steps = if wanted.preview { Steps::default() } else { steps };
    let steps = manager.settle_around(steps, || format!("what would fall with {}", answer.name));
    Ok(steps.decide(move |_| answer))
}

/// Gives a machine another name.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn rename(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1], to: Rename) -> Decided<MachineChanged> {
    let what = "its name is the object's";
    on_machine(context, manager, id, what, |it| machine::rename(context, manager.author(), it, &to.name))
}

/// What a machine was called.
pub fn name_history(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<NameHistory> {
    let (found, name) = named(manager.machine(context, id)?);
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(format!("earlier names of {name}")));
    let answer = match found {
        Found::Machine(it) => {
            let names = it.host.as_ref().map(|it| it.earlier_names.as_slice()).unwrap_or_default();
            history(it.id.to_string(), it.name.clone(), names)
        }
        Found::Fleet(it) => history(it.id.to_string(), it.managed.object.key.to_string(), &[]),
    };
    Ok(steps.decide(move |_| answer))
}

/// Gives a temporary machine more time.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn extend(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    by: ExtendMachine,
) -> Decided<MachineChanged> {
    on_machine(context, manager, id, NO_IDENTITY, |it| {
        temporary::extend(context, manager.author(), it, by.seconds, &by.reason)
    })
}

/// Takes the last extension of a temporary machine back.
pub fn revert_extension(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<MachineChanged> {
    on_machine(context, manager, id, NO_IDENTITY, |it| temporary::revert(context, manager.author(), it))
}

/// Says what each request of a machine has to keep to.
pub fn set_guardrails(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    rails: Guardrails,
) -> Decided<MachineChanged> {
    on_machine(context, manager, id, NO_GUARDRAILS, |it| guardrails::set(context, manager.author(), it, rails))
}

/// The same in place of those that a page showed: `seen` is their mark.
pub fn replace_guardrails(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    (rails, seen): (Guardrails, String),
) -> Decided<MachineChanged> {
    on_machine(context, manager, id, NO_GUARDRAILS, |it| {
        guardrails::refuse_unseen(it, &seen)?;
        guardrails::set(context, manager.author(), it, rails)
    })
}

fn on_machine(
    context: &Context<'_>,
    manager: &Manager<'_>,
    id: &str,
    of_fleet: &str,
    step: impl FnOnce(&Machine) -> Result<Steps, Refusal>,
) -> Decided<MachineChanged> {
    let found = manager.own_machine(context, id)?;
    let steps = match found {
        Found::Machine(it) => step(it)?,
        Found::Fleet(it) => return Err(refuse_fleet(it, of_fleet)),
    };
    Ok(done(manager, found, steps))
}

/// Answers with the machine as it is afterwards.
fn done(manager: &Manager<'_>, found: Found<'_>, steps: Steps) -> crate::decision::Decision<MachineChanged> {
    let (found, name) = named(found);
    let steps = manager.settle_around(steps, || format!("{name}: nothing to change"));
    let (id, name) = match found {
        Found::Machine(it) => (it.id.to_string(), it.name.clone()),
        Found::Fleet(it) => (it.id.to_string(), it.managed.object.key.to_string()),
    };
    steps.decide(move |context| changed(context, id, name))
}

/// A machine or fleet as it is now; one that is gone was denied.
pub(crate) fn changed(context: &Context<'_>, id: String, name: String) -> MachineChanged {
    match machine::find(context.state, &id) {
        Some(Found::Machine(it)) => MachineChanged {
            id,
            name: it.name.clone(),
            approval: it.approval,
            enabled: it.enabled,
            expires_at: it.expires_at.map(|it| it.0),
        },
        Some(Found::Fleet(it)) => {
            MachineChanged { id, name, approval: it.approval, enabled: !it.suspended, expires_at: None }
        }
        None => MachineChanged { id, name, approval: Approval::Denied, enabled: false, expires_at: None },
    }
}

fn named(found: Found<'_>) -> (Found<'_>, String) {
    let name = match found {
        Found::Machine(it) => format!("machine {}", it.name),
        Found::Fleet(it) => object(it),
    };
    (found, name)
}

#[cfg(test)]
mod tests;
