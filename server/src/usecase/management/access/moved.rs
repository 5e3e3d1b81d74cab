//! What was moved on a page with two panels, saved.

use std::collections::BTreeSet;
use std::str::FromStr;

use sikkerkey_protocol::id::{MachineId, SecretId};
use sikkerkey_protocol::management::MemberChanged;

use super::super::Manager;
use super::super::member::machine;
use super::{CHANGES, Named, project_called, project_named};
use crate::decision::{Context, Decided};
use crate::model::secret::SecretPhase;
use crate::refusal::{Refusal, RefusalKind, conflict, invalid, not_found};
use crate::usecase::member::{self, GrantChange, granted};
use crate::usecase::steps::Steps;

const UNKNOWN: &str = "the form names what has no such id: open the page again and move it there";

/// What is to be saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaveAccess {
    /// Of a machine: in which project.
    pub project: String,
    /// Ids of what is granted besides.
    pub add: Vec<String>,
    /// Ids of what is taken away.
    pub take: Vec<String>,
    /// Ids of machines that were shown as becoming members of the project.
    pub joins: Vec<String>,
}

/// What was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The project.
    pub project: String,
    /// How many of the changes somebody else had made already.
    pub done_by_others: usize,
}

/// What falls when a machine leaves a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The machine.
    pub machine: Named,
    /// The project.
    pub project: Named,
    /// The secrets that it reads there no longer, by name.
    pub secrets: Vec<Named>,
}

/// Saves what was moved on the page of a machine.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its form over")]
pub fn save_machine(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    wanted: SaveAccess,
) -> Decided<Saved> {
    check_size(&wanted)?;
    let project = manager.project(context, &wanted.project)?;
    let machine = machine(context, manager, id)?;
    let (add, take) = (ids::<SecretId>(&wanted.add)?, ids(&wanted.take)?);
    for id in &add {
        let secret = context.state.secrets.get(id).filter(|it| it.project == project.id);
        if secret.is_none_or(|it| it.phase != SecretPhase::Active) {
            let name = secret.map_or(id.as_str(), |it| it.name.as_str());
            return Err(conflict(format!(
                "secret {name} is not in project {} any more, so nothing was saved: open the page again and look at what is left",
                project.name
            )));
        }
    }
    let held = granted(context.state, &project.id, machine, context.now);
    let done_by_others =
        add.iter().filter(|it| held.contains(it)).count() + take.iter().filter(|it| !held.contains(it)).count();
    let change = GrantChange { add, take, joins: false };
    let steps = member::change_grants(context, manager.author(), project, machine, &change)?;
    let steps = manager.settle(steps, &project.id, || format!("grants of machine {}: nothing to change", machine.name));
    let project = project.id.to_string();
    Ok(steps.decide(move |_| Saved { project, done_by_others }))
}

/// Saves what was moved on the page of a secret.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its form over")]
pub fn save_secret(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    wanted: SaveAccess,
) -> Decided<Saved> {
    check_size(&wanted)?;
    let secret = manager.secret(context, id)?;
    let project = manager.project(context, secret.project.as_str())?;
    let (add, take) = (ids::<MachineId>(&wanted.add)?, ids(&wanted.take)?);
    let joins = ids::<MachineId>(&wanted.joins)?;
    let mut steps = Steps::default();
    let mut done_by_others = 0;
    for id in add.iter().chain(&take) {
        let is_added = add.contains(id);
        let machine = match machine(context, manager, id.as_str()) {
            Ok(machine) => machine,
            // Whoever is gone is granted nothing.
            Err(refusal) if !is_added && refusal.kind == RefusalKind::NotFound => {
                done_by_others += 1;
                continue;
            }
            Err(refusal) => return Err(refusal),
        };
        let is_granted = context.state.is_granted(&machine.grantee(), &secret.id, context.now);
        done_by_others += usize::from(is_granted == is_added);
        let one = BTreeSet::from([secret.id.clone()]);
        let (add, take) = if is_added { (one, BTreeSet::new()) } else { (BTreeSet::new(), one) };
        let is_member = context.state.membership(id, &project.id).is_some();
        if !is_added && !is_member {
            // With its membership its grants there have gone.
            continue;
        }
        let change = GrantChange { add, take, joins: joins.contains(id) };
        let more = member::change_grants(context, manager.author(), project, machine, &change)?;
        steps.changes.extend(more.changes);
        steps.audit.extend(more.audit);
    }
    let steps = manager.settle(steps, &project.id, || format!("who is granted {}: nothing to change", secret.name));
    let project = project.id.to_string();
    Ok(steps.decide(move |_| Saved { project, done_by_others }))
}

/// Makes a machine a member of a project, which is given by id or by name.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its form over")]
pub fn join(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1], project: String) -> Decided<MemberChanged> {
    let project = project_called(context, manager, &project)?;
    let machine = machine(context, manager, id)?;
    let steps = member::attach(context, manager.author(), project, machine)?;
    let detail = || format!("machine {} in project {}", machine.name, project.name);
    let steps = manager.settle(steps, &project.id, detail);
    let (project_id, machine_id) = (project.id.clone(), machine.id.clone());
    Ok(steps.decide(|_| MemberChanged { project_id, machine_id, member: true, revoked_grants: 0 }))
}

/// What would fall when a machine left a project.
pub fn leaving(context: &Context<'_>, manager: &Manager<'_>, [id, project]: [&str; 2]) -> Decided<Leaving> {
    let project = manager.project(context, project)?;
    let machine = machine(context, manager, id)?;
    if context.state.membership(&machine.id, &project.id).is_none() {
        return Err(not_found("this machine is a member of no project of that id"));
    }
    let held = granted(context.state, &project.id, machine, context.now);
    let secrets = held.iter().filter_map(|id| context.state.secrets.get(id));
    let mut secrets: Vec<_> = secrets.map(|it| Named { name: it.name.clone(), id: it.id.to_string() }).collect();
    secrets.sort_unstable();
    let answer = Leaving {
        machine: Named { name: machine.name.clone(), id: machine.id.to_string() },
        project: project_named(project),
        secrets,
    };
    let mut steps = Steps::default();
    let detail = format!("what would fall with machine {} in project {}", machine.name, project.name);
    steps.audit.push(manager.looked(&project.id, detail));
    Ok(steps.decide(move |_| answer))
}

fn check_size(wanted: &SaveAccess) -> Result<(), Refusal> {
    match wanted.add.len() + wanted.take.len() {
        0 => Err(invalid("nothing is changed: move something to the other panel first, then save")),
        it if it > CHANGES => {
            Err(invalid(format!("{it} changes are more than one save takes: save {CHANGES} of them first")))
        }
        _ if wanted.add.iter().any(|it| wanted.take.contains(it)) => {
            Err(invalid("the form grants and takes away the same one: open the page again and move it there"))
        }
        _ => Ok(()),
    }
}

fn ids<T: FromStr + Ord>(given: &[String]) -> Result<BTreeSet<T>, Refusal> {
    given.iter().map(|it| it.parse().map_err(|_| invalid(UNKNOWN))).collect()
}
