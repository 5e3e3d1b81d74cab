//! A host registers, and waits for a person who compares its key.
//!
//! A host that is bootstrapped again has a new key and is a new machine, which waits under the name of the earlier one. The
//! earlier one goes on until the new one is approved: a token is worth no more than a machine that waits, and whoever has one
//! switches nobody off.

use std::sync::Arc;

use sikkerkey_protocol::enrolment::{Register, Registered};
use sikkerkey_protocol::id::FleetId;
use sikkerkey_protocol::kubernetes::Approval;

use super::{finish, unauthenticated};
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::model::fleet::{Fleet, FleetSubject};
use crate::model::machine::{FirstContact, HostOf, Machine, Temporary};
use crate::model::token::Token;
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::usecase::admin::name_flaw;
use crate::usecase::fresh_id::fresh_uuid;
use crate::usecase::key_owner::require_unused;
use crate::usecase::source::Source;
use crate::usecase::steps::{Steps, describe};

/// What the token says of the machine.
pub(super) struct Wanted<'a> {
    pub(super) name: Option<&'a String>,
    pub(super) fleet: Option<&'a FleetId>,
    /// Of a temporary machine: for how long, in seconds.
    pub(super) lifetime: Option<u64>,
}

pub(super) fn registers(
    context: &Context<'_>,
    source: Source,
    token: &Token,
    wanted: &Wanted<'_>,
    request: &Register,
) -> Decided<Registered> {
    let hostname = request.hostname.as_ref().filter(|it| name_flaw(it).is_none()).cloned();
    let fleet = wanted.fleet.map(|id| fleet_of(context.state, id)).transpose()?;
    if let Some(pinned) = fleet.and_then(|it| pinned(context.state, it, request).transpose()) {
        return Ok(pinned_registers(context, source, token, pinned?));
    }
    let object = fleet.map(|it| it.managed.object.key.to_string());
    let Some(name) = object.or(wanted.name.cloned()).or(hostname.clone()) else {
        let flaw = name_flaw(request.hostname.as_deref().unwrap_or_default()).unwrap_or_default();
        let text = format!("hostname {flaw}: the token names no machine");
        return Err(Refusal::new(RefusalKind::Invalid, text));
    };
    let replaces = replaced(context.state, token, wanted.fleet, &name)?;
    require_unused(context.state, &request.public_key)?;
    let first_contact = FirstContact {
        at: context.now,
        address: source.address,
        os: request.os.as_ref().filter(|it| name_flaw(it).is_none()).cloned(),
    };
    let lifetime = fleet.and_then(|it| match it.subject {
        FleetSubject::Host { lifetime_seconds, .. } => lifetime_seconds,
        FleetSubject::Workload { .. } => None,
    });
    let machine = Machine {
        id: fresh_uuid(context)?,
        vault: token.vault.clone(),
        name,
        public_key: request.public_key,
        approval: Approval::Pending,
        enabled: true,
        expires_at: lifetime.map(|it| context.now.plus_seconds(it)),
        created_at: context.now,
        fleet: wanted.fleet.cloned(),
        pod: None,
        hostname,
        enrolled_by: None,
        approved_by_person: false,
        voucher: None,
        host: Some(Box::new(HostOf {
            first_contact: Some(first_contact),
            replaces: replaces.map(|it| it.id.clone()),
            temporary: wanted.lifetime.map(|lifetime_seconds| Temporary { lifetime_seconds }),
            ..HostOf::default()
        })),
    };
    let place = replaces.map(|it| format!(", in the place of machine {}", it.id)).unwrap_or_default();
    let detail = format!("{}, waits for approval{place}, key {}", describe(&machine), machine.public_key.fingerprint());
    let mut steps = Steps::default();
    steps.audit.push(row(&machine, source, fleet, detail));
    Ok(finish(context, token, machine, steps))
}

/// The object that the token is for.
fn fleet_of<'a>(state: &'a State, id: &FleetId) -> Result<&'a Fleet, Refusal> {
    let Some(fleet) = state.fleets.get(id) else {
        return Err(unauthenticated(
            "the Machine that the token is for is gone: apply it again, and ask for a new one",
        ));
    };
    if fleet.approval == Approval::Denied {
        let text = format!("an administrator denied Machine {} at the server", fleet.managed.object.key);
        return Err(Refusal::new(RefusalKind::Forbidden, text));
    }
    Ok(fleet)
}

/// The machine of an object that names its key: nobody else registers for it. None: the object names no key.
fn pinned<'a>(state: &'a State, fleet: &Fleet, request: &Register) -> Result<Option<&'a Arc<Machine>>, Refusal> {
    let FleetSubject::Host { public_key: Some(key), .. } = &fleet.subject else { return Ok(None) };
    let object = &fleet.managed.object.key;
    if *key != request.public_key {
        let text = format!(
            "Machine {object} names another key in spec.host.publicKey: run the command with SIKKERKEY_KEY=FILE and that key, \
             or take spec.host.publicKey away and ask for a new command"
        );
        return Err(Refusal::new(RefusalKind::Forbidden, text));
    }
    match state.machines_with_key(key).find(|it| it.fleet.as_ref() == Some(&fleet.id)) {
        Some(machine) => Ok(Some(machine)),
        None => {
            Err(Refusal::new(RefusalKind::Forbidden, format!("an administrator revoked the key of Machine {object}")))
        }
    }
}

/// The machine is there already, with this very key: the host learns what it is called.
fn pinned_registers(
    context: &Context<'_>,
    source: Source,
    token: &Token,
    machine: &Arc<Machine>,
) -> crate::decision::Decision<Registered> {
    let mut machine = Machine::clone(machine);
    let detail = format!("{}, whose key its object names, has its identity", describe(&machine));
    let fleet = machine.fleet.as_ref().and_then(|it| context.state.fleets.get(it));
    let mut steps = Steps::default();
    steps.audit.push(row(&machine, source, fleet, detail));
    let first_contact = FirstContact { at: context.now, address: source.address, os: None };
    machine.host.get_or_insert_default().first_contact.get_or_insert(first_contact);
    finish(context, token, machine, steps)
}

fn row(machine: &Machine, source: Source, fleet: Option<&Fleet>, detail: String) -> Entry {
    Entry {
        vault: Some(machine.vault.clone()),
        project: fleet.map(|it| it.project.clone()),
        machine: Some(machine.id.clone()),
        source_ip: Some(source.address),
        detail,
        ..Entry::new(Action::MachineRegister, Actor::Machine(machine.id.clone()))
    }
}

/// The machine whose place a new one of this name takes when it is approved: the approved one, else the newest that waits.
/// A name that belongs to something else is taken.
fn replaced<'a>(
    state: &'a State,
    token: &Token,
    fleet: Option<&FleetId>,
    name: &str,
) -> Result<Option<&'a Arc<Machine>>, Refusal> {
    // Ephemeral machines come and go under whatever name they have: nobody approves one.
    let same =
        |it: &&Arc<Machine>| it.vault == token.vault && it.pod.is_none() && it.enrolled_by.is_none() && it.name == name;
    let held = state.machines.values().filter(same);
    let held = held.max_by_key(|it| (it.approval == Approval::Approved, it.created_at, it.id.clone()));
    match held {
        Some(held) if held.fleet.as_ref() != fleet => {
            let text = format!(
                "the vault has a machine {name} already, which this one cannot replace: ask for a command with another name \
                 (machine {})",
                held.id
            );
            Err(Refusal::new(RefusalKind::Conflict, text))
        }
        held => Ok(held),
    }
}
