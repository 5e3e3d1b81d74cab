//! Applications.

use std::collections::BTreeSet;

use sikkerkey_protocol::id::VaultId;

use super::{by_person, check_name, conflict, find_vault, not_found, project};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::Entity;
use crate::model::application::Application;
use crate::usecase::steps::Steps;

/// Makes an application without projects.
pub fn create(context: &Context<'_>, vault: &VaultId, name: &str) -> Decided<String> {
    find_vault(context, vault)?;
    check_name("the name", name)?;
    if let Some(held) = context.state.applications.values().find(|it| it.vault == *vault && it.name == name) {
        return Err(conflict(format!("vault {vault} has an application {name} already: {}", held.id)));
    }
    let id = format!("app_{}", *entropy::text(context.entropy, entropy::ID_ALPHABET, 16));
    let application =
        Application { id: id.clone(), vault: vault.clone(), name: name.to_owned(), projects: BTreeSet::new() };
    let mut steps = Steps::default();
    steps.audit.push(by_person(Action::ApplicationUpdate, Some(vault), format!("application {name} created")));
    steps.put(Entity::Application(application));
    Ok(steps.decide(move |_| id))
}

/// Puts a project into an application, out of any other; without an application, the project stands alone.
pub fn assign(context: &Context<'_>, project: &str, application: Option<&str>) -> Decided<()> {
    let state = context.state;
    let project = project::find(context, project)?;
    let target = match application {
        None => None,
        Some(id) => {
            let found = state.applications.get(id).or_else(|| state.applications.values().find(|it| it.name == id));
            let found =
                found.ok_or_else(|| not_found(format!("there is no application {id}: application list shows them")))?;
            if found.vault != project.vault {
                return Err(conflict(format!(
                    "application {} and project {} are of two vaults",
                    found.name, project.name
                )));
            }
            Some(found)
        }
    };
    let old = state.application_of(&project.id);
    let mut steps = Steps::default();
    if old.map(|it| &it.id) == target.map(|it| &it.id) {
        return Ok(steps.decide(|_| ()));
    }
    if let Some(old) = old {
        let mut left = old.clone();
        left.projects.remove(&project.id);
        steps.put(Entity::Application(left));
    }
    if let Some(target) = target {
        let mut joined = target.clone();
        joined.projects.insert(project.id.clone());
        steps.put(Entity::Application(joined));
    }
    let detail = match target {
        Some(it) => format!("project {} is in application {}", project.name, it.name),
        None => format!("project {} is in no application", project.name),
    };
    let entry = by_person(Action::ApplicationUpdate, Some(&project.vault), detail);
    steps.audit.push(Entry { project: Some(project.id.clone()), ..entry });
    Ok(steps.decide(|_| ()))
}
