//! Projects, and the machines that are members of them.

use sikkerkey_protocol::id::{MachineId, ProjectId, VaultId};
use sikkerkey_protocol::management::{MemberPage, ProjectDeletion, ProjectView, QueryMembers};

use super::{conflict, find_vault, not_found};
use crate::decision::{Context, Decided};
use crate::model::machine::Machine;
use crate::model::project::Project;
use crate::refusal::Refusal;
use crate::usecase::author::Author;
use crate::usecase::management::member::page;
use crate::usecase::management::project::deletion;
use crate::usecase::steps::Steps;
use crate::usecase::{freeze, member, project};

/// A project by its id, or by its name where that is clear.
pub fn find<'a>(context: &Context<'a>, text: &str) -> Result<&'a Project, Refusal> {
    let state = context.state;
    if let Some(found) = text.parse::<ProjectId>().ok().and_then(|id| state.projects.get(&id)) {
        return Ok(found);
    }
    let mut named = state.projects.values().filter(|it| it.name == text);
    match (named.next(), named.next()) {
        (Some(found), None) => Ok(found),
        (Some(_), Some(_)) => Err(conflict(format!("there are several projects {text}: name it by its id"))),
        (None, _) => Err(not_found(format!("there is no project {text}: project list shows them"))),
    }
}

/// Makes a project with a key of its own.
pub fn create(context: &Context<'_>, vault: &VaultId, name: &str) -> Decided<ProjectId> {
    create_described(context, vault, name, "")
}

/// Makes a project with a key of its own, and notes what it is for.
pub fn create_described(context: &Context<'_>, vault: &VaultId, name: &str, description: &str) -> Decided<ProjectId> {
    find_vault(context, vault)?;
    let (project, steps) = project::create(context, Author::Person, vault, name, description)?;
    Ok(steps.decide(move |_| project.id))
}

/// Changes what a project is called, and what it is for.
pub fn update(
    context: &Context<'_>,
    project: &str,
    name: Option<&str>,
    description: Option<&str>,
) -> Decided<ProjectView> {
    let (changed, steps) = project::update(context, Author::Person, find(context, project)?, name, description)?;
    Ok(steps.decide(move |context| project::view(context.state, &changed)))
}

/// Deletes a project with everything in it, when its name is given once more; or tells what would fall.
pub fn delete(context: &Context<'_>, project: &str, confirmed: Option<&str>) -> Decided<ProjectDeletion> {
    let project = find(context, project)?;
    let steps = match confirmed {
        Some(name) => project::delete(context, Author::Person, project, name)?,
        None => Steps::default(),
    };
    let answer = deletion(context, project, confirmed.is_none());
    Ok(steps.decide(move |_| answer))
}

/// A page of the members of a project.
pub fn members(context: &Context<'_>, project: &str, query: &QueryMembers) -> Result<MemberPage, Refusal> {
    page(context, find(context, project)?, query)
}

/// Freezes a project, or lets it answer again. A canary in it stays armed.
pub fn set_frozen(context: &Context<'_>, project: &str, frozen: bool) -> Decided<ProjectId> {
    let project = find(context, project)?;
    let author = Author::Person;
    let steps = if frozen { freeze::freeze(author, project) } else { freeze::unfreeze(author, project) };
    let id = project.id.clone();
    Ok(steps.decide(move |_| id))
}

/// Makes a machine a member. That gives nothing yet: reading takes a grant as well.
pub fn add_machine(context: &Context<'_>, project: &str, machine: &MachineId) -> Decided<ProjectId> {
    let (project, machine) = (find(context, project)?, find_machine(context, machine)?);
    let steps = member::attach(context, Author::Person, project, machine)?;
    let id = project.id.clone();
    Ok(steps.decide(move |_| id))
}

/// Takes a machine out of a project, with its grants there.
pub fn remove_machine(context: &Context<'_>, project: &str, machine: &MachineId) -> Decided<ProjectId> {
    let (project, machine) = (find(context, project)?, find_machine(context, machine)?);
    let (_, steps) = member::detach(context, Author::Person, project, machine)?;
    let id = project.id.clone();
    Ok(steps.decide(move |_| id))
}

pub(super) fn find_machine<'a>(context: &Context<'a>, id: &MachineId) -> Result<&'a Machine, Refusal> {
    let machine = context.state.machines.get(id);
    Ok(machine.ok_or_else(|| not_found(format!("there is no machine {id}: machine list shows them")))?)
}
