//! What happens when a canary is read.

use std::collections::BTreeSet;

use sikkerkey_protocol::id::{ProjectId, SecretId};

use super::source::Source;
use super::steps::describe;
use crate::audit::entry::{Action, Actor, Entry};
use crate::model::canary::Canary;
use crate::model::machine::{Grantee, Machine};
use crate::model::project::Project;
use crate::model::{Change, Entity};
use crate::state::State;

/// What springs with a read of `secret`, if it is an armed canary: the projects that freeze, and the row that says so.
/// It goes into the transaction of the read, so that whoever holds the value finds the project frozen already.
pub(crate) fn spring(
    state: &State,
    machine: &Machine,
    source: Source,
    secret: &SecretId,
) -> Option<(Vec<Change>, Entry)> {
    let canary = state.canaries.get(secret)?;
    let caught: Vec<&Project> = caught(state, canary)
        .iter()
        .filter_map(|id| state.projects.get(id))
        .filter(|it| it.vault == canary.vault && !it.frozen)
        .collect();
    let name = state.secrets.get(secret).map_or_else(|| secret.to_string(), |it| it.name.clone());
    let froze = match caught.as_slice() {
        [] => "nothing was frozen".to_owned(),
        some => format!("frozen: {}", some.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")),
    };
    let entry = Entry {
        vault: Some(canary.vault.clone()),
        project: Some(canary.project.clone()),
        machine: Some(machine.id.clone()),
        secret: Some(secret.clone()),
        source_ip: Some(source.address),
        detail: format!("canary {name} was read by {}: {froze}", describe(machine)),
        ..Entry::new(Action::CanaryTriggered, Actor::Machine(machine.id.clone()))
    };
    let changes = caught.iter().map(|it| Change::put(Entity::Project(Project { frozen: true, ..(*it).clone() })));
    Some((changes.collect(), entry))
}

/// The projects that a canary freezes, whether or not they are frozen already.
fn caught(state: &State, canary: &Canary) -> BTreeSet<ProjectId> {
    let mut projects = BTreeSet::new();
    if canary.freeze_project {
        projects.insert(canary.project.clone());
    }
    if canary.freeze_related {
        for grantee in grantees_in(state, &canary.project) {
            projects.extend(projects_of(state, &grantee));
        }
        if !canary.freeze_project {
            projects.remove(&canary.project);
        }
    }
    projects
}

/// Everybody who has to do with a project: its members, its fleets, and whoever is granted one of its secrets.
fn grantees_in(state: &State, project: &ProjectId) -> BTreeSet<Grantee> {
    let members = state.members_of(project).cloned().map(Grantee::Machine);
    let fleets = state.fleets.values().filter(|it| it.project == *project).map(|it| Grantee::Fleet(it.id.clone()));
    let granted = state.grants.values().filter(|it| it.project == *project).map(|it| it.grantee.clone());
    members.chain(fleets).chain(granted).collect()
}

/// The projects somebody has to do with.
fn projects_of(state: &State, grantee: &Grantee) -> BTreeSet<ProjectId> {
    let mut projects: BTreeSet<_> = state.secrets_granted_to(grantee).map(|it| it.project.clone()).collect();
    match grantee {
        Grantee::Machine(id) => projects.extend(state.memberships_of(id).map(|it| it.project.clone())),
        Grantee::Fleet(id) => projects.extend(state.fleets.get(id).map(|it| it.project.clone())),
    }
    projects
}

#[cfg(test)]
mod tests;
