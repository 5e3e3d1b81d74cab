//! Projects, and the machines that are members of them.

use sikkerkey_protocol::id::{MachineId, ProjectId, VaultId};

use super::{by_person, check_name, conflict, find_vault, not_found};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::model::machine::{Grantee, Machine};
use crate::model::membership::Membership;
use crate::model::project::Project;
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::author::Author;
use crate::usecase::freeze;
use crate::usecase::fresh_id::fresh_id;
use crate::usecase::steps::{Steps, describe};

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
    find_vault(context, vault)?;
    check_name("the name", name)?;
    if let Some(held) = context.state.projects.values().find(|it| it.vault == *vault && it.name == name) {
        return Err(conflict(format!("vault {vault} has a project {name} already: {}", held.id)));
    }
    let id: ProjectId = fresh_id("proj_", context)?;
    let wrapped_key = context.keyring.new_project_key(vault, &id, context.entropy).map_err(|_| {
        Refusal::new(RefusalKind::Unavailable, "the server cannot make a key for the project: see its log")
    })?;
    let project = Project {
        id: id.clone(),
        vault: vault.clone(),
        name: name.to_owned(),
        namespace: None,
        frozen: false,
        wrapped_key,
    };
    let mut steps = Steps::default();
    steps.audit.push(about(Action::ProjectCreate, &project, format!("project {name}")));
    steps.put(Entity::Project(project));
    Ok(steps.decide(move |_| id))
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
    if machine.vault != project.vault {
        return Err(conflict(format!("machine {} and project {} are of two vaults", machine.name, project.name)));
    }
    let mut steps = Steps::default();
    if context.state.membership(&machine.id, &project.id).is_none() {
        let mut entry = about(Action::ProjectMachineAdd, project, format!("{} to {}", describe(machine), project.name));
        entry.machine = Some(machine.id.clone());
        steps.audit.push(entry);
        steps.put(Entity::Membership(Membership {
            vault: project.vault.clone(),
            project: project.id.clone(),
            machine: machine.id.clone(),
            since: context.now,
        }));
    }
    let id = project.id.clone();
    Ok(steps.decide(move |_| id))
}

/// Takes a machine out of a project, with its grants there.
pub fn remove_machine(context: &Context<'_>, project: &str, machine: &MachineId) -> Decided<ProjectId> {
    let (project, machine) = (find(context, project)?, find_machine(context, machine)?);
    let mut steps = Steps::default();
    if context.state.membership(&machine.id, &project.id).is_some() {
        let grants = context.state.grants_to(&Grantee::Machine(machine.id.clone())).into_values();
        for grant in grants.filter(|it| it.project == project.id) {
            steps.audit.push(about(Action::GrantDelete, project, format!("of machine {}", machine.name)));
            steps.remove(EntityKind::Grant, &grant.id);
        }
        let detail = format!("{} from {}", describe(machine), project.name);
        let mut entry = about(Action::ProjectMachineRemove, project, detail);
        entry.machine = Some(machine.id.clone());
        steps.audit.push(entry);
        steps.remove(EntityKind::Membership, &Membership::id(&project.id, &machine.id));
    }
    let id = project.id.clone();
    Ok(steps.decide(move |_| id))
}

/// A machine that a person may give something: one of a fleet is the fleet's.
pub(super) fn find_machine<'a>(context: &Context<'a>, id: &MachineId) -> Result<&'a Machine, Refusal> {
    let state = context.state;
    let machine = state.machines.get(id);
    let machine = machine.ok_or_else(|| not_found(format!("there is no machine {id}: machine list shows them")))?;
    let Some(fleet) = &machine.fleet else { return Ok(machine) };
    let object =
        state.fleets.get(fleet).map_or_else(|| "that is gone".to_owned(), |it| it.managed.object.key.to_string());
    Err(conflict(format!("it belongs to Machine {object}: grant to that by a Grant object")))
}

fn about(action: Action, project: &Project, detail: String) -> Entry {
    Entry { project: Some(project.id.clone()), ..by_person(action, Some(&project.vault), detail) }
}
