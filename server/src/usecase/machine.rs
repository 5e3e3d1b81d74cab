//! Machines, as people and agents of people manage them.
//!
//! What is approved is a key, by whoever compared its fingerprint. A machine of a `Machine` object is approved, switched
//! off and renamed there; what is taken away from a single pod is taken away here.

pub(crate) mod command;
pub(crate) mod guardrails;
pub mod status;
pub(crate) mod temporary;
pub(crate) mod view;

use sikkerkey_protocol::id::{MachineId, VaultId};
use sikkerkey_protocol::kubernetes::Approval;

use super::admin::check_name;
use super::author::Author;
use super::steps::{Steps, describe};
use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::model::cluster::GonePod;
use crate::model::fleet::Fleet;
use crate::model::machine::{EarlierName, Grantee, HostOf, Machine};
use crate::model::millis::Millis;
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, conflict};
use crate::state::State;

/// How many earlier names are kept.
const NAMES: usize = 50;

/// What a machine has that falls with it. A pod has nothing of its own: what its fleet has stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Falls {
    pub(crate) memberships: usize,
    pub(crate) grants: usize,
    pub(crate) secrets: usize,
}

/// What would fall with a machine.
pub(crate) fn falls(state: &State, machine: &Machine) -> Falls {
    let own = Grantee::Machine(machine.id.clone());
    Falls {
        memberships: state.memberships_of(&machine.id).count(),
        grants: state.grants_to(&own).len(),
        secrets: state.secrets_granted_to(&own).count(),
    }
}

/// The machine that is revoked when this one is approved.
pub(crate) fn replaced<'a>(state: &'a State, machine: &Machine) -> Option<&'a Machine> {
    let id = machine.host.as_ref()?.replaces.as_ref()?;
    state.machines.get(id).map(|it| &**it).filter(|it| it.vault == machine.vault && it.id != machine.id)
}

/// The key must be the one that somebody looked at.
pub(crate) fn compare(what: &str, fingerprint: &str, expected: Option<&str>) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected.trim() != fingerprint => Err(conflict(format!(
            "the key of {what} has the fingerprint {fingerprint} and not {}: it is not the one that was looked at; deny \
             it unless you know better",
            expected.trim().chars().take(64).collect::<String>()
        ))),
        _ => Ok(()),
    }
}

/// Approves a machine's key. A host that its object approved is approved once more, by a person's word.
pub(crate) fn approve(
    context: &Context<'_>,
    author: Author<'_>,
    machine: &Machine,
    fingerprint: Option<&str>,
) -> Result<Steps, Refusal> {
    compare(&describe(machine), &machine.public_key.fingerprint(), fingerprint)?;
    let is_host = machine.pod.is_none() && machine.enrolled_by.is_none();
    if !author.is_person() {
        refuse_of_object(
            context.state,
            machine,
            "approval is said there (spec.approval), and by sikkerkey-server admin",
        )?;
    }
    let by_person = machine.approved_by_person || (author.is_person() && is_host);
    let mut steps = Steps::default();
    if machine.approval == Approval::Approved && machine.approved_by_person == by_person {
        return Ok(steps);
    }
    let old = replaced(context.state, machine).filter(|_| machine.approval != Approval::Approved);
    if is_host && machine.approval != Approval::Approved {
        let held = namesake(context.state, machine, &machine.name, Approval::Approved);
        if let Some(held) = held.filter(|it| old.is_none_or(|old| old.id != it.id)) {
            let text = format!(
                "the vault has an approved machine {} already: rename one of the two, or revoke {}",
                held.name, held.id
            );
            return Err(conflict(text));
        }
    }
    let key = machine.public_key.fingerprint();
    let detail = format!("{} approved, key {key}", describe(machine));
    steps.audit.push(about(author, Action::MachineApprove, machine, detail));
    if let Some(old) = old {
        let why = format!("machine {} with the key {key} takes its place", machine.id);
        steps.revoke(old, author.entry(Action::MachineRevoke, &old.vault, String::new()), &why);
        steps.forget_access(context.state, old, &author.entry(Action::GrantDelete, &old.vault, String::new()));
    }
    let mut approved = Machine { approval: Approval::Approved, approved_by_person: by_person, ..machine.clone() };
    if let Some(host) = &mut approved.host {
        host.replaces = None;
        // Its time runs from its first approval on, whatever comes between.
        if let Some(temporary) = host.temporary.as_ref().filter(|_| machine.expires_at.is_none()) {
            approved.expires_at = Some(context.now.plus_seconds(temporary.lifetime_seconds));
        }
    }
    steps.put(Entity::Machine(approved));
    Ok(steps)
}

/// Removes a machine that waits for approval, with its memberships and grants.
pub(crate) fn deny(state: &State, author: Author<'_>, machine: &Machine) -> Result<Steps, Refusal> {
    if machine.approval == Approval::Approved {
        let text = format!("machine {} is approved: revoke it, or switch it off", machine.name);
        return Err(conflict(text));
    }
    let mut steps = if let Some(fleet) = named_by(state, machine) {
        deny_named(state, author, fleet)?
    } else {
        let mut steps = Steps::default();
        let detail = format!("{} denied, key {}", describe(machine), machine.public_key.fingerprint());
        steps.audit.push(about(author, Action::MachineDeny, machine, detail));
        steps.remove(EntityKind::Machine, &machine.id);
        steps
    };
    // Somebody may have given it projects and secrets while it waited.
    steps.forget_access(state, machine, &author.entry(Action::GrantDelete, &machine.vault, String::new()));
    Ok(steps)
}

/// Switches a machine off, or on again: it keeps its key, its memberships and its grants.
pub(crate) fn set_enabled(
    context: &Context<'_>,
    author: Author<'_>,
    machine: &Machine,
    enabled: bool,
) -> Result<Steps, Refusal> {
    refuse_of_object(
        context.state,
        machine,
        "set spec.suspend there, or take one pod its identity with machine revoke",
    )?;
    if enabled && machine.expires_at.is_some_and(|end| end <= context.now) {
        return Err(conflict(format!("the time of machine {} is over: let it enrol again", machine.name)));
    }
    let mut steps = Steps::default();
    if machine.enabled != enabled {
        let detail = format!("{} {}", describe(machine), if enabled { "enabled" } else { "disabled" });
        steps.audit.push(about(author, Action::MachineUpdate, machine, detail));
        steps.put(Entity::Machine(Machine { enabled, ..machine.clone() }));
    }
    Ok(steps)
}

/// Takes a machine its identity, with its memberships and grants.
pub(crate) fn revoke(context: &Context<'_>, author: Author<'_>, machine: &Machine) -> Result<Steps, Refusal> {
    let mut steps = if let Some(fleet) = named_by(context.state, machine) {
        deny_named(context.state, author, fleet)?
    } else {
        let mut steps = Steps::default();
        let why = if author.is_person() { "an administrator revoked it" } else { "an agent revoked it" };
        steps.revoke(machine, author.entry(Action::MachineRevoke, &machine.vault, String::new()), why);
        steps
    };
    if let Some(pod) = &machine.pod {
        // Else its sidecar would enrol anew within a second.
        let (cluster, uid) = (pod.cluster.to_string(), pod.pod.uid.to_string());
        steps.put(Entity::GonePod(GonePod { cluster, uid, since: context.now, revoked: true }));
    }
    steps.forget_access(context.state, machine, &author.entry(Action::GrantDelete, &machine.vault, String::new()));
    Ok(steps)
}

/// The object that names a machine's key. It would let the machine in again within seconds, whatever is taken from that alone.
fn named_by<'a>(state: &'a State, machine: &Machine) -> Option<&'a Fleet> {
    let fleet = machine.fleet.as_ref().and_then(|id| state.fleets.get(id))?;
    (fleet.names(&machine.public_key) && fleet.approval != Approval::Denied).then_some(fleet)
}

/// Denies the object that names a machine's key, and with it the machine: a person's to say.
fn deny_named(state: &State, author: Author<'_>, fleet: &Fleet) -> Result<Steps, Refusal> {
    if author.is_person() {
        return deny_fleet(state, author, fleet);
    }
    let object = &fleet.managed.object.key;
    Err(conflict(format!("Machine {object} names its key and lets it in again: take spec.host.publicKey away there")))
}

/// Gives a machine another name. Grants and memberships are by id, and stay.
pub(crate) fn rename(
    context: &Context<'_>,
    author: Author<'_>,
    machine: &Machine,
    name: &str,
) -> Result<Steps, Refusal> {
    check_name("the name", name)?;
    refuse_of_object(context.state, machine, "its name is the object's")?;
    if let Some(held) = namesake(context.state, machine, name, machine.approval).filter(|_| is_named_once(machine)) {
        return Err(conflict(format!("the vault has a machine {name} already: {}", held.id)));
    }
    let mut steps = Steps::default();
    if machine.name != name {
        let detail = format!("{} is called {name:?}", describe(machine));
        steps.audit.push(about(author, Action::MachineRename, machine, detail));
        let mut host = machine.host.clone().unwrap_or_else(|| Box::new(HostOf::default()));
        remember(&mut host.earlier_names, &machine.name, context.now);
        steps.put(Entity::Machine(Machine { name: name.to_owned(), host: Some(host), ..machine.clone() }));
    }
    Ok(steps)
}

/// Notes a name that is given up.
pub(crate) fn remember(names: &mut Vec<EarlierName>, name: &str, now: Millis) {
    names.push(EarlierName { name: name.to_owned(), until: now });
    let too_many = names.len().saturating_sub(NAMES);
    names.drain(..too_many);
}

/// Approves the pods of a `Machine` object that waits for a person. No agent does: the object asks for one.
pub(crate) fn approve_fleet(author: Author<'_>, fleet: &Fleet) -> Result<Steps, Refusal> {
    refuse_agent(author, fleet, "approves it")?;
    let mut steps = Steps::default();
    if fleet.approval != Approval::Approved {
        let detail = format!("fleet of Machine {} approved", fleet.managed.object.key);
        steps.audit.push(about_fleet(author, Action::MachineApprove, fleet, detail));
        steps.put(Entity::Fleet(Fleet { approval: Approval::Approved, ..fleet.clone() }));
    }
    Ok(steps)
}

/// Denies a whole fleet, whose object stands in a cluster, and takes its machines their identities.
pub(crate) fn deny_fleet(state: &State, author: Author<'_>, fleet: &Fleet) -> Result<Steps, Refusal> {
    refuse_agent(author, fleet, "denies it")?;
    if fleet.approval == Approval::Denied {
        return Err(conflict(format!("the fleet of Machine {} is denied already", fleet.managed.object.key)));
    }
    let mut steps = Steps::default();
    for machine in state.machines_in(&fleet.id) {
        let entry = author.entry(Action::MachineRevoke, &fleet.vault, String::new());
        steps.revoke(machine, entry, "an administrator denied its fleet");
    }
    let detail = format!("fleet of Machine {} denied", fleet.managed.object.key);
    steps.audit.push(about_fleet(author, Action::MachineRevoke, fleet, detail));
    steps.put(Entity::Fleet(Fleet { approval: Approval::Denied, ..fleet.clone() }));
    Ok(steps)
}

/// A fleet has no name and no switch of its own.
pub(crate) fn refuse_fleet(fleet: &Fleet, what: &str) -> Refusal {
    conflict(format!("Machine {} of cluster {} says so: {what}", fleet.managed.object.key, fleet.managed.cluster))
}

/// A machine that a person may give something: one of a fleet is the fleet's.
pub(crate) fn refuse_of_object(state: &State, machine: &Machine, what: &str) -> Result<(), Refusal> {
    let Some(fleet) = &machine.fleet else { return Ok(()) };
    let object =
        state.fleets.get(fleet).map_or_else(|| "that is gone".to_owned(), |it| it.managed.object.key.to_string());
    Err(conflict(format!("it belongs to Machine {object}: {what}")))
}

fn refuse_agent(author: Author<'_>, fleet: &Fleet, what: &str) -> Result<(), Refusal> {
    if author.is_person() {
        return Ok(());
    }
    Err(conflict(format!(
        "Machine {} asks for a person's word (spec.approval): a person {what} with sikkerkey-server admin machine, by its \
         id {}",
        fleet.managed.object.key, fleet.id
    )))
}

/// Whether nobody else of its vault may have its name. Ephemeral machines come and go under whatever name they have.
fn is_named_once(machine: &Machine) -> bool {
    machine.pod.is_none() && machine.enrolled_by.is_none()
}

/// Another host of a name, or the one that waits for the place of the other.
fn namesake<'a>(state: &'a State, machine: &Machine, name: &str, approval: Approval) -> Option<&'a Machine> {
    let is_other = |it: &&std::sync::Arc<Machine>| {
        it.vault == machine.vault
            && it.id != machine.id
            && is_named_once(it)
            && it.name == name
            && it.approval == approval
    };
    state.machines.values().find(is_other).map(|it| &**it)
}

fn about(author: Author<'_>, action: Action, machine: &Machine, detail: String) -> Entry {
    Entry { machine: Some(machine.id.clone()), ..author.entry(action, &machine.vault, detail) }
}

fn about_fleet(author: Author<'_>, action: Action, fleet: &Fleet, detail: String) -> Entry {
    Entry { project: Some(fleet.project.clone()), ..author.entry(action, &fleet.vault, detail) }
}

/// A machine or a fleet: whichever has the id.
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    Machine(&'a Machine),
    Fleet(&'a Fleet),
}

impl Found<'_> {
    /// Its vault.
    pub(crate) fn vault(&self) -> &VaultId {
        match self {
            Self::Machine(it) => &it.vault,
            Self::Fleet(it) => &it.vault,
        }
    }
}

/// What has an id.
pub(crate) fn find<'a>(state: &'a State, id: &str) -> Option<Found<'a>> {
    let machine = id.parse::<MachineId>().ok().and_then(|id| state.machines.get(&id));
    machine.map(|it| Found::Machine(it)).or_else(|| Some(Found::Fleet(state.fleets.get(&id.parse().ok()?)?)))
}
