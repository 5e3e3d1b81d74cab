//! Which machines are members of projects, and what they are granted.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::management::{
    AttachMachine, GrantedSecrets, MemberChanged, MemberOrder, MemberPage, MemberRow, QueryMembers, SetGrants,
    SortDirection,
};

use super::{Manager, not_found};
use crate::decision::{Context, Decided};
use crate::model::machine::Machine;
use crate::model::project::Project;
use crate::model::secret::SecretPhase;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::machine::view::kind;
use crate::usecase::machine::{Found, refuse_fleet};
use crate::usecase::member::{self, granted};
use crate::usecase::steps::Steps;

const PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: usize = 200;
const BY_OBJECT: &str = "grant to it by a Grant object";

/// A page of the members of a project.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn query(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project]: [&str; 1],
    query: QueryMembers,
) -> Decided<MemberPage> {
    let project = manager.project(context, project)?;
    let page = page(context, project, &query)?;
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&project.id, format!("the machines of project {}", project.name)));
    Ok(steps.decide(move |_| page))
}

/// A page of the members of a project, in the order that is asked for and by id where that leaves it open.
pub(crate) fn page(context: &Context<'_>, project: &Project, query: &QueryMembers) -> Result<MemberPage, Refusal> {
    let (page, page_size) = (query.page.unwrap_or(1), query.page_size.unwrap_or(PAGE_SIZE));
    if page == 0 || !(1..=MAX_PAGE_SIZE).contains(&page_size) {
        let text = format!("page is from 1 on, and pageSize from 1 to {MAX_PAGE_SIZE}");
        return Err(Refusal::new(RefusalKind::Invalid, text));
    }
    let state = context.state;
    let search = query.search.as_deref().unwrap_or_default().to_lowercase();
    let finds = |it: &Machine| {
        let hostname = it.hostname.as_deref().unwrap_or_default();
        [it.name.as_str(), hostname, it.id.as_str()].iter().any(|text| text.to_lowercase().contains(&search))
    };
    let members = state.members_of(&project.id).filter_map(|id| state.machines.get(id)).filter(|it| finds(it));
    let mut rows: Vec<MemberRow> = members.filter_map(|it| row(context, &project.id, it)).collect();
    let by: fn(&MemberRow, &MemberRow) -> Ordering = match query.sort_by.unwrap_or_default() {
        MemberOrder::Name => |a, b| a.name.cmp(&b.name),
        MemberOrder::Added => |a, b| a.added_at.cmp(&b.added_at),
        MemberOrder::SecretCount => |a, b| a.secret_count.cmp(&b.secret_count),
    };
    let is_down = query.sort_dir.unwrap_or_default() == SortDirection::Desc;
    rows.sort_by(|a, b| if is_down { by(b, a) } else { by(a, b) }.then_with(|| a.machine_id.cmp(&b.machine_id)));
    let total = rows.len();
    let machines = rows.into_iter().skip((page - 1).saturating_mul(page_size)).take(page_size).collect();
    Ok(MemberPage { machines, total, page, page_size })
}

/// Makes a machine a member.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn attach(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project]: [&str; 1],
    wanted: AttachMachine,
) -> Decided<MemberChanged> {
    let project = manager.project(context, project)?;
    let machine = machine(context, manager, wanted.machine_id.as_str())?;
    let steps = member::attach(context, manager.author(), project, machine)?;
    Ok(changed(manager, project, machine, true, (0, steps)))
}

/// Takes a machine out of a project, with its grants there.
pub fn detach(context: &Context<'_>, manager: &Manager<'_>, [project, id]: [&str; 2]) -> Decided<MemberChanged> {
    let project = manager.project(context, project)?;
    let machine = machine(context, manager, id)?;
    let done = member::detach(context, manager.author(), project, machine)?;
    Ok(changed(manager, project, machine, false, done))
}

/// Which secrets of a project a machine is granted.
pub fn secrets(context: &Context<'_>, manager: &Manager<'_>, [project, id]: [&str; 2]) -> Decided<GrantedSecrets> {
    let (project, machine) = member(context, manager, project, id)?;
    let mut steps = Steps::default();
    let detail = format!("what machine {} is granted in project {}", machine.name, project.name);
    steps.audit.push(manager.looked(&project.id, detail));
    let answer = granted_secrets(context, project, machine);
    Ok(steps.decide(move |_| answer))
}

/// Grants a machine these secrets of a project and no others.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn set_grants(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project, id]: [&str; 2],
    wanted: SetGrants,
) -> Decided<GrantedSecrets> {
    let project = manager.project(context, project)?;
    let machine = machine(context, manager, id)?;
    let ours = of_project(context, project, wanted.secret_ids.iter().flatten().map(String::as_str));
    let steps = member::set_grants(context, manager.author(), project, machine, &ours)?;
    let steps = manager.settle(steps, &project.id, || format!("grants of machine {}: nothing to change", machine.name));
    let (project, id) = (project.clone(), machine.id.clone());
    Ok(steps.decide(move |context| match context.state.machines.get(&id) {
        Some(machine) => granted_secrets(context, &project, machine),
        None => GrantedSecrets { project_id: project.id, machine_id: id, secret_ids: Vec::new() },
    }))
}

/// The secrets among these ids that are of the project and can be read: what else is typed is of none.
pub(crate) fn of_project<'i>(
    context: &Context<'_>,
    project: &Project,
    ids: impl Iterator<Item = &'i str>,
) -> BTreeSet<SecretId> {
    let secrets = ids.filter_map(|id| context.state.secrets.get(&id.parse().ok()?));
    let ours = secrets.filter(|it| it.project == project.id && it.phase == SecretPhase::Active);
    ours.map(|it| it.id.clone()).collect()
}

pub(crate) fn granted_secrets(context: &Context<'_>, project: &Project, machine: &Machine) -> GrantedSecrets {
    GrantedSecrets {
        project_id: project.id.clone(),
        machine_id: machine.id.clone(),
        secret_ids: granted(context.state, &project.id, machine, context.now).into_iter().collect(),
    }
}

fn row(context: &Context<'_>, project: &ProjectId, machine: &Machine) -> Option<MemberRow> {
    let membership = context.state.membership(&machine.id, project)?;
    Some(MemberRow {
        machine_id: machine.id.clone(),
        name: machine.name.clone(),
        kind: kind(machine),
        approval: machine.approval,
        enabled: machine.enabled,
        added_at: membership.since.0,
        secret_count: granted(context.state, project, machine, context.now).len(),
        last_seen: context.ledger.last_seen(&machine.id).map(|it| it.0),
    })
}

/// A machine that is seen, whatever else it is a member of: what is done to it is felt in this project alone.
pub(super) fn machine<'s>(context: &Context<'s>, manager: &Manager<'_>, id: &str) -> Result<&'s Machine, Refusal> {
    match manager.machine(context, id)? {
        Found::Machine(it) => Ok(it),
        Found::Fleet(it) => Err(refuse_fleet(it, BY_OBJECT)),
    }
}

fn member<'s>(
    context: &Context<'s>,
    manager: &Manager<'_>,
    project: &str,
    id: &str,
) -> Result<(&'s Project, &'s Machine), Refusal> {
    let project = manager.project(context, project)?;
    let machine = machine(context, manager, id)?;
    if machine.fleet.is_none() && context.state.membership(&machine.id, &project.id).is_none() {
        return Err(not_found("this project has no machine of that id"));
    }
    Ok((project, machine))
}

fn changed(
    manager: &Manager<'_>,
    project: &Project,
    machine: &Machine,
    member: bool,
    (revoked_grants, steps): (usize, Steps),
) -> crate::decision::Decision<MemberChanged> {
    let steps = manager.settle(steps, &project.id, || format!("machine {} in project {}", machine.name, project.name));
    let (project_id, machine_id) = (project.id.clone(), machine.id.clone());
    steps.decide(move |_| MemberChanged { project_id, machine_id, member, revoked_grants })
}

#[cfg(test)]
mod tests;
