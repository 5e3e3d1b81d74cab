//! Projects.

use sikkerkey_protocol::management::{
    CreateProject, DeleteProject, ProjectDeletion, ProjectList, ProjectView, Scope, UpdateProject,
};

use super::Manager;
use crate::decision::{Context, Decided};
use crate::model::project::Project;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::agent;
use crate::usecase::project::{self, contents, view};
use crate::usecase::steps::Steps;

/// The projects that are seen, by name.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<ProjectList> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the projects".to_owned()));
    let (vault, sight) = (manager.vault.clone(), manager.sight());
    Ok(steps.decide(move |context| {
        let projects = context.state.projects.values().filter(|it| it.vault == vault && sight.sees(&it.id));
        ProjectList { projects: project::views(context.state, projects) }
    }))
}

/// One project.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<ProjectView> {
    let project = manager.project(context, id)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&project.id, format!("project {}", project.name)));
    Ok(steps.decide(move |context| view(context.state, &project)))
}

/// Makes a project. Whoever has a list of projects has it on the list from then on.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn create(
    context: &Context<'_>,
    manager: &Manager<'_>,
    []: [&str; 0],
    wanted: CreateProject,
) -> Decided<ProjectView> {
    let description = wanted.description.as_deref().unwrap_or_default();
    let (project, mut steps) = project::create(context, manager.author(), manager.vault, &wanted.name, description)?;
    agent::add_project(manager.author(), &project.id, &mut steps);
    Ok(steps.decide(move |context| view(context.state, &project)))
}

/// Changes what a project is called, and what it is for.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn update(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    to: UpdateProject,
) -> Decided<ProjectView> {
    let project = manager.project(context, id)?;
    let (name, description) = (to.name.as_deref(), to.description.as_deref());
    let (changed, steps) = project::update(context, manager.author(), project, name, description)?;
    let steps = manager.settle(steps, &project.id, || format!("project {}: nothing to change", project.name));
    Ok(steps.decide(move |context| view(context.state, &changed)))
}

/// Deletes a project with everything in it, or tells what would fall. Whoever takes a canary away, or a frozen project that
/// one may have frozen, must be one who may set canaries up and unfreeze; for the preview too.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn delete(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    wanted: DeleteProject,
) -> Decided<ProjectDeletion> {
    let project = manager.project(context, id)?;
    // A preview that went through would promise what is refused.
    if project.frozen || contents(context.state, &project.id).canaries > 0 {
        manager.require(Scope::PoliciesWrite)?;
    }
    let steps = match (&wanted.confirm_name, wanted.preview) {
        (_, true) => {
            let mut steps = Steps::default();
            steps.audit.push(manager.looked(&project.id, format!("what would fall with project {}", project.name)));
            steps
        }
        (Some(name), false) => project::delete(context, manager.author(), project, name)?,
        (None, false) => {
            let text = "give confirmName, the project's exact name, or preview: true, which only tells what would fall";
            return Err(Refusal::new(RefusalKind::Invalid, text));
        }
    };
    let answer = deletion(context, project, wanted.preview);
    Ok(steps.decide(move |_| answer))
}

/// What falls with a project.
pub(crate) fn deletion(context: &Context<'_>, project: &Project, preview: bool) -> ProjectDeletion {
    let contents = contents(context.state, &project.id);
    ProjectDeletion {
        id: project.id.clone(),
        name: project.name.clone(),
        preview,
        secrets: contents.secrets.len(),
        grants: contents.grants.len(),
        policies: contents.policies.len(),
        canaries: contents.canaries,
        memberships: contents.memberships,
    }
}

#[cfg(test)]
mod tests;
