//! Machines and fleets.

use std::fmt::Write as _;

use sikkerkey_protocol::id::{FleetId, MachineId, VaultId};
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::secret_text::SecretText;

use super::{TOKEN_SECONDS, by_person, check_name, conflict, find_vault, invalid, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::cluster::GonePod;
use crate::model::fleet::Fleet;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::token::{Token, TokenPurpose};
use crate::usecase::fresh_id::fresh_token;
use crate::usecase::steps::{Steps, describe};

/// Switches a machine off, or on again: it keeps its key, its memberships and its grants.
pub fn set_enabled(context: &Context<'_>, id: &MachineId, enabled: bool) -> Decided<()> {
    let machine = context.state.machines.get(id);
    let machine = machine.ok_or_else(|| not_found(format!("there is no machine {id}: machine list shows them")))?;
    if let Some(fleet) = machine.fleet.as_ref().and_then(|it| context.state.fleets.get(it)) {
        return Err(conflict(format!(
            "it belongs to Machine {}: set spec.suspend there, or take one pod its identity with machine revoke",
            fleet.managed.object.key
        )));
    }
    if enabled && machine.expires_at.is_some_and(|end| end <= context.now) {
        return Err(conflict(format!("the time of machine {} is over: let it enrol again", machine.name)));
    }
    let mut steps = Steps::default();
    if machine.enabled != enabled {
        let detail = format!("{} {}", describe(machine), if enabled { "enabled" } else { "disabled" });
        let mut entry = by_person(Action::MachineUpdate, Some(&machine.vault), detail);
        entry.machine = Some(machine.id.clone());
        steps.audit.push(entry);
        steps.put(Entity::Machine(Machine { enabled, ..Machine::clone(machine) }));
    }
    Ok(steps.decide(|_| ()))
}

/// How long a temporary machine may be let in for, in seconds: from an hour to 12 months.
const TEMPORARY: std::ops::RangeInclusive<u64> = 3600..=366 * 24 * 3600;

/// Makes a one-time token with which a host registers. A person approves its key afterwards.
pub fn bootstrap(context: &Context<'_>, vault: &VaultId, name: Option<String>) -> Decided<(SecretText, Millis)> {
    host_token(context, vault, name, None)
}

/// The same for a machine that is let in for a time only, which begins when it is approved.
pub fn bootstrap_temporary(
    context: &Context<'_>,
    vault: &VaultId,
    name: Option<String>,
    lifetime_seconds: u64,
) -> Decided<(SecretText, Millis)> {
    if !TEMPORARY.contains(&lifetime_seconds) {
        return Err(invalid("a temporary machine lasts from 1 hour to 12 months (366d)".to_owned()));
    }
    host_token(context, vault, name, Some(lifetime_seconds))
}

fn host_token(
    context: &Context<'_>,
    vault: &VaultId,
    name: Option<String>,
    lifetime_seconds: Option<u64>,
) -> Decided<(SecretText, Millis)> {
    find_vault(context, vault)?;
    if let Some(name) = &name {
        check_name("the name", name)?;
    }
    let (text, hash) = fresh_token("", context);
    let expires_at = context.now.plus_seconds(TOKEN_SECONDS);
    let mut steps = Steps::default();
    let mut detail = format!("for machine {}", name.as_deref().unwrap_or("(its host name)"));
    if let Some(seconds) = lifetime_seconds {
        // Writing to a String does not fail.
        let _ = write!(detail, ", temporary, for {seconds} s");
    }
    steps.audit.push(by_person(Action::BootstrapTokenCreate, Some(vault), detail));
    let purpose = TokenPurpose::Host { name, fleet: None, lifetime_seconds };
    steps.put(Entity::Token(Token { hash, vault: vault.clone(), expires_at, purpose, used: None, in_order: true }));
    Ok(steps.decide(move |_| (text, expires_at)))
}

/// Approves a machine or a whole fleet: whichever has the id.
pub fn approve(context: &Context<'_>, id: &str) -> Decided<()> {
    let mut steps = Steps::default();
    match find(context, id)? {
        Found::Fleet(fleet) if fleet.approval != Approval::Approved => {
            let detail = format!("fleet of Machine {} approved", fleet.managed.object.key);
            let mut entry = by_person(Action::MachineApprove, Some(&fleet.vault), detail);
            entry.project = Some(fleet.project.clone());
            steps.audit.push(entry);
            steps.put(Entity::Fleet(Fleet { approval: Approval::Approved, ..fleet.clone() }));
        }
        // A host that its object approved is approved once more, by a person's word.
        Found::Machine(machine)
            if machine.approval != Approval::Approved
                || (!machine.approved_by_person && machine.pod.is_none() && machine.enrolled_by.is_none()) =>
        {
            let detail = format!("{} approved, key {}", describe(machine), machine.public_key.fingerprint());
            let mut entry = by_person(Action::MachineApprove, Some(&machine.vault), detail);
            entry.machine = Some(machine.id.clone());
            steps.audit.push(entry);
            steps.put(Entity::Machine(Machine {
                approval: Approval::Approved,
                approved_by_person: true,
                ..machine.clone()
            }));
        }
        _ => {}
    }
    Ok(steps.decide(|_| ()))
}

/// Takes a machine its identity and its grants; or denies a whole fleet, whose object stands in a cluster.
pub fn revoke(context: &Context<'_>, id: &str) -> Decided<()> {
    let mut steps = Steps::default();
    let state = context.state;
    match find(context, id)? {
        Found::Fleet(fleet) => {
            if fleet.approval == Approval::Denied {
                return Err(conflict(format!("the fleet of Machine {} is denied already", fleet.managed.object.key)));
            }
            for machine in state.machines_in(&fleet.id) {
                let entry = by_person(Action::MachineRevoke, None, String::new());
                steps.revoke(machine, entry, "an administrator denied its fleet");
            }
            let detail = format!("fleet of Machine {} denied", fleet.managed.object.key);
            let mut entry = by_person(Action::MachineRevoke, Some(&fleet.vault), detail);
            entry.project = Some(fleet.project.clone());
            steps.audit.push(entry);
            steps.put(Entity::Fleet(Fleet { approval: Approval::Denied, ..fleet.clone() }));
        }
        Found::Machine(machine) => {
            steps.revoke(machine, by_person(Action::MachineRevoke, None, String::new()), "an administrator revoked it");
            if let Some(pod) = &machine.pod {
                // Else its sidecar would enrol anew within a second.
                let (cluster, uid) = (pod.cluster.clone(), pod.pod.uid.clone());
                steps.put(Entity::GonePod(GonePod { cluster, uid, since: context.now, revoked: true }));
            }
            steps.forget_access(state, machine, &by_person(Action::GrantDelete, None, String::new()));
        }
    }
    Ok(steps.decide(|_| ()))
}

enum Found<'a> {
    Machine(&'a Machine),
    Fleet(&'a Fleet),
}

fn find<'a>(context: &Context<'a>, id: &str) -> Result<Found<'a>, crate::refusal::Refusal> {
    let machine = id.parse::<MachineId>().ok().and_then(|id| context.state.machines.get(&id));
    let fleet = id.parse::<FleetId>().ok().and_then(|id| context.state.fleets.get(&id));
    let found = machine.map(|it| Found::Machine(it)).or(fleet.map(Found::Fleet));
    found.ok_or_else(|| not_found(format!("there is no machine and no fleet {id}: machine list shows them")))
}
