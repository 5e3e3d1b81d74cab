//! Who is granted what, for a page with two panels: of a machine the secrets of one project, and of a secret the machines
//! of its vault.
//!
//! What is saved is what was moved, and not how the panels looked: what somebody else has changed meanwhile stays, and is
//! told.

mod moved;
mod panels;

use std::collections::BTreeSet;

use sikkerkey_protocol::id::{MachineId, SecretId};
use sikkerkey_protocol::kubernetes::{Approval, ObjectKey};
use sikkerkey_protocol::management::Scope;

use self::panels::{Arranged, Candidate, Side};
use super::secret::looked;
use super::{Manager, not_found};
use crate::decision::{Context, Decided};
use crate::model::machine::{Grantee, Machine};
use crate::model::millis::Millis;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase};
use crate::refusal::Refusal;
use crate::usecase::machine::Found;
use crate::usecase::member::granted;
use crate::usecase::steps::Steps;

pub use self::moved::{Leaving, SaveAccess, Saved, join, leaving, save_machine, save_secret};
pub use self::panels::{CHANGES, Move, PanelsQuery, ROWS};

/// The most projects that a page offers to choose from; others are typed.
pub const CHOICES: usize = 100;

/// Something that has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

/// What is to be known of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A Kubernetes object speaks for it.
    Object(String),
    /// It is granted until then, in Unix milliseconds.
    Until(i64),
    /// A policy of this name guards it.
    Policy(String),
    /// Nobody has set a value yet.
    NoValue,
    /// A read of it springs a trap.
    Canary,
    /// The machine waits for approval.
    Waiting,
    /// The machine was denied.
    Denied,
    /// The machine is switched off.
    Disabled,
    /// The machine's time is over.
    Over,
    /// The machine is no member of the project.
    NoMember,
}

/// A row of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it was moved here and is not saved yet.
    pub moved: bool,
    /// Whether it is decided elsewhere, and only shown.
    pub fixed: bool,
    /// What is to be known of it.
    pub notes: Vec<Note>,
}

/// A page of a panel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panel {
    /// What was moved here first, then by name.
    pub rows: Vec<Row>,
    /// How many there are on all pages, without those that were moved here.
    pub total: usize,
    /// Which page it is.
    pub page: usize,
}

/// Both panels, and what would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panels {
    /// What could be granted.
    pub available: Panel,
    /// What is granted.
    pub granted: Panel,
    /// What is to be granted.
    pub added: Vec<Named>,
    /// What is to be taken away.
    pub taken: Vec<Named>,
    /// Machines that become members of the project with it.
    pub joins: Vec<Named>,
    /// How many of the changes somebody else has made meanwhile.
    pub done_by_others: usize,
    /// How many were about something that is not there any more.
    pub gone: usize,
    /// Whether something was not moved since one save takes no more.
    pub is_full: bool,
}

/// What a machine is granted, and could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineAccess {
    /// The machine or fleet.
    pub machine: Named,
    /// The Kubernetes object whose Grant objects decide, and its cluster.
    pub object: Option<(ObjectKey, String)>,
    /// The first of the projects that it is a member of, by name.
    pub projects: Vec<Named>,
    /// How many more of these there are.
    pub more_projects: usize,
    /// The first of those that it could become a member of, by name.
    pub joinable: Vec<Named>,
    /// Whether there are more of these.
    pub more_joinable: bool,
    /// The project that is looked at.
    pub project: Option<Named>,
    /// Whether every read in it is refused now.
    pub frozen: bool,
    /// The secrets of that project; of a fleet those of every project.
    pub panels: Panels,
}

/// Which machines are granted a secret, and could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretAccess {
    /// The secret.
    pub secret: Named,
    /// Its project.
    pub project: Named,
    /// Whether every read in it is refused now.
    pub frozen: bool,
    /// The machines of the vault.
    pub panels: Panels,
}

/// What a machine is granted, and could be.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its query over")]
pub fn of_machine(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    query: PanelsQuery,
) -> Decided<MachineAccess> {
    let found = manager.machine(context, id)?;
    let mut steps = Steps::default();
    let may_see_canaries = manager.require(Scope::PoliciesRead).is_ok();
    let answer = match found {
        Found::Machine(machine @ Machine { fleet: None, .. }) => {
            machine_access(context, manager, machine, &query, may_see_canaries)?
        }
        Found::Machine(_) | Found::Fleet(_) => fleet_access(context, found, &query, may_see_canaries)?,
    };
    steps.audit.push(manager.looked_at_vault(format!("what machine {} is granted", answer.machine.name)));
    Ok(steps.decide(move |_| answer))
}

fn machine_access(
    context: &Context<'_>,
    manager: &Manager<'_>,
    machine: &Machine,
    query: &PanelsQuery,
    may_see_canaries: bool,
) -> Result<MachineAccess, Refusal> {
    let state = context.state;
    let member_of: Vec<&Project> = {
        let projects = state.memberships_of(&machine.id).filter_map(|it| state.projects.get(&it.project));
        let mut projects: Vec<_> = projects.filter(|it| manager.sees(it)).collect();
        projects.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        projects
    };
    let chosen = match &query.project {
        None => member_of.first().copied(),
        Some(id) => {
            // Of very many its name is typed.
            let called = |of: fn(&Project) -> &str| member_of.iter().find(|it| of(it) == id);
            let chosen = called(|it| it.id.as_str()).or_else(|| called(|it| it.name.as_str()));
            Some(*chosen.ok_or_else(|| not_found("this machine is a member of no project of that id or name"))?)
        }
    };
    let others = state.projects.values().filter(|it| manager.sees(it));
    let mut joinable: Vec<Named> =
        others.filter(|it| state.membership(&machine.id, &it.id).is_none()).map(project_named).collect();
    joinable.sort_unstable();
    let more_joinable = joinable.len() > CHOICES;
    joinable.truncate(CHOICES);
    let panels = chosen.map_or_else(Panels::default, |project| {
        let held = granted(state, &project.id, machine, context.now);
        let secrets = state.secrets.values().filter(|it| it.project == project.id && it.phase == SecretPhase::Active);
        let candidates: Vec<_> = secrets.map(|it| secret_candidate(it, held.contains(&it.id), false)).collect();
        let arranged = panels::arrange(&candidates, query);
        told(&arranged, |it| secret_notes(context, &machine.grantee(), it, may_see_canaries))
    });
    Ok(MachineAccess {
        machine: Named { name: machine.name.clone(), id: machine.id.to_string() },
        object: None,
        more_projects: member_of.len().saturating_sub(CHOICES),
        projects: member_of.into_iter().take(CHOICES).map(project_named).collect(),
        joinable,
        more_joinable,
        project: chosen.map(project_named),
        frozen: chosen.is_some_and(|it| it.frozen),
        panels,
    })
}

/// Of a fleet, and of each pod in it: what its Grant objects say.
fn fleet_access(
    context: &Context<'_>,
    found: Found<'_>,
    query: &PanelsQuery,
    may_see_canaries: bool,
) -> Result<MachineAccess, Refusal> {
    let state = context.state;
    let (fleet, machine) = match found {
        Found::Fleet(it) => (Some(it), Named { name: it.managed.object.key.to_string(), id: it.id.to_string() }),
        Found::Machine(it) => (
            it.fleet.as_ref().and_then(|id| state.fleets.get(id)),
            Named { name: it.name.clone(), id: it.id.to_string() },
        ),
    };
    let fleet = fleet.ok_or_else(|| not_found("the Machine object of this machine is gone"))?;
    let grantee = Grantee::Fleet(fleet.id.clone());
    let secrets = state.secrets_granted_to(&grantee).filter(|it| it.phase == SecretPhase::Active);
    let held = secrets.filter(|it| context.state.is_granted(&grantee, &it.id, context.now));
    let candidates: Vec<_> = held.map(|it| secret_candidate(it, true, true)).collect();
    let arranged = panels::arrange(&candidates, query);
    Ok(MachineAccess {
        machine,
        object: Some((fleet.managed.object.key.clone(), fleet.managed.cluster.clone())),
        projects: Vec::new(),
        more_projects: 0,
        joinable: Vec::new(),
        more_joinable: false,
        project: None,
        frozen: false,
        panels: told(&arranged, |it| secret_notes(context, &grantee, it, may_see_canaries)),
    })
}

/// Which machines are granted a secret, and could be.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its query over")]
pub fn of_secret(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    query: PanelsQuery,
) -> Decided<SecretAccess> {
    let secret = manager.secret(context, id)?;
    let project = manager.project(context, secret.project.as_str())?;
    let state = context.state;
    let (mut granted, mut fleets) = (BTreeSet::new(), Vec::new());
    for grantee in state.grantees_of(&secret.id).filter(|it| context.state.is_granted(it, &secret.id, context.now)) {
        match grantee {
            Grantee::Machine(id) => drop(granted.insert(id)),
            Grantee::Fleet(id) => fleets.extend(state.fleets.get(id).map(|it| (it, it.managed.object.key.to_string()))),
        }
    }
    let sight = manager.sight();
    let machines = state.machines.values().map(|it| &**it);
    let machines = machines.filter(|it| it.fleet.is_none() && sight.sees_machine(state, Found::Machine(it)));
    let machines = machines.map(|it| Candidate {
        id: it.id.as_str(),
        name: &it.name,
        granted: granted.contains(&it.id),
        fixed: false,
    });
    let fleets = fleets.iter().map(|(it, name)| Candidate { id: it.id.as_str(), name, granted: true, fixed: true });
    let candidates: Vec<_> = machines.chain(fleets).collect();
    let arranged = panels::arrange(&candidates, &query);
    let mut panels = told(&arranged, |id| machine_notes(context, secret, id));
    let is_no_member =
        |it: &&Named| it.id.parse::<MachineId>().is_ok_and(|id| state.membership(&id, &project.id).is_none());
    panels.joins = panels.added.iter().filter(is_no_member).cloned().collect();
    let answer = SecretAccess {
        secret: Named { name: secret.name.clone(), id: secret.id.to_string() },
        project: project_named(project),
        frozen: project.frozen,
        panels,
    };
    let mut steps = Steps::default();
    steps.audit.push(looked(manager, secret, format!("who is granted {}", secret.name)));
    Ok(steps.decide(move |_| answer))
}

/// A project that may be looked at, by its id or its name.
pub(super) fn project_called<'s>(
    context: &Context<'s>,
    manager: &Manager<'_>,
    text: &str,
) -> Result<&'s Project, Refusal> {
    if let Ok(project) = manager.project(context, text) {
        return Ok(project);
    }
    let named = context.state.projects.values().find(|it| it.name == text && manager.sees(it));
    named.ok_or_else(|| not_found("this vault has no project of that name: the page Projects lists them"))
}

pub(super) fn project_named(it: &Project) -> Named {
    Named { name: it.name.clone(), id: it.id.to_string() }
}

/// Until when somebody is granted a secret; none: without end, or not at all.
pub(super) fn until(context: &Context<'_>, grantee: &Grantee, secret: &SecretId) -> Option<Millis> {
    let ends: Option<Vec<Millis>> = context
        .state
        .grants_for(grantee, secret)
        .filter(|it| it.is_live(context.now))
        .map(|it| it.expires_at)
        .collect();
    ends.and_then(|it| it.into_iter().max())
}

fn secret_candidate(secret: &Secret, granted: bool, fixed: bool) -> Candidate<'_> {
    Candidate { id: secret.id.as_str(), name: &secret.name, granted, fixed }
}

fn secret_notes(context: &Context<'_>, grantee: &Grantee, id: &str, may_see_canaries: bool) -> Vec<Note> {
    let secret = id.parse().ok().and_then(|id: SecretId| context.state.secrets.get(&id));
    let Some(secret) = secret else { return Vec::new() };
    let mut notes = Vec::new();
    if secret.version == 0 {
        notes.push(Note::NoValue);
    }
    if may_see_canaries && context.state.canaries.contains_key(&secret.id) {
        notes.push(Note::Canary);
    }
    notes.extend(secret.policy.clone().map(Note::Policy));
    notes.extend(until(context, grantee, &secret.id).map(|it| Note::Until(it.0)));
    notes
}

fn machine_notes(context: &Context<'_>, secret: &Secret, id: &str) -> Vec<Note> {
    let state = context.state;
    let machine = id.parse().ok().and_then(|id: MachineId| state.machines.get(&id));
    let Some(machine) = machine else {
        let fleet = id.parse().ok().and_then(|id| state.fleets.get(&id));
        let object = |it: &crate::model::fleet::Fleet| crate::usecase::machine::view::object(it);
        return fleet.map(|it| Note::Object(object(it))).into_iter().collect();
    };
    let mut notes = standing(machine, context.now);
    if state.membership(&machine.id, &secret.project).is_none() {
        notes.push(Note::NoMember);
    }
    notes.extend(until(context, &machine.grantee(), &secret.id).map(|it| Note::Until(it.0)));
    notes
}

/// Why a machine reads nothing, whatever it is granted.
pub(super) fn standing(machine: &Machine, now: Millis) -> Vec<Note> {
    let approval = match machine.approval {
        Approval::Approved => None,
        Approval::Pending => Some(Note::Waiting),
        Approval::Denied => Some(Note::Denied),
    };
    let switched_off = (!machine.enabled).then_some(Note::Disabled);
    let over = machine.expires_at.is_some_and(|end| end <= now).then_some(Note::Over);
    approval.into_iter().chain(switched_off).chain(over).collect()
}

/// The panels as they are told: each row with what is to be known of it.
fn told(arranged: &Arranged<'_>, notes: impl Fn(&str) -> Vec<Note>) -> Panels {
    let panel = |side: &Side<'_>| {
        let rows = side.moved.iter().map(|it| (it, true)).chain(side.rows.iter().map(|it| (it, false)));
        let rows = rows.map(|(it, moved)| Row {
            id: it.id.to_owned(),
            name: it.name.to_owned(),
            moved,
            fixed: it.fixed,
            notes: notes(it.id),
        });
        Panel { rows: rows.collect(), total: side.total, page: side.page }
    };
    let named =
        |side: &Side<'_>| side.moved.iter().map(|it| Named { name: it.name.into(), id: it.id.into() }).collect();
    Panels {
        available: panel(&arranged.available),
        granted: panel(&arranged.granted),
        added: named(&arranged.granted),
        taken: named(&arranged.available),
        joins: Vec::new(),
        done_by_others: arranged.draft.done_by_others,
        gone: arranged.draft.gone,
        is_full: arranged.draft.is_full,
    }
}

#[cfg(test)]
mod tests;
