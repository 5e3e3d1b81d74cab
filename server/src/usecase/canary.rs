//! Canaries: how they are set up, and what happens when one is read.

use std::collections::BTreeSet;

use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::kubernetes::{Charset, Generator};

use super::author::Author;
use super::secret::{self, Content, Wanted, about};
use super::source::Source;
use super::steps::{Steps, describe};
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::Context;
use crate::model::canary::{Canary, Trip};
use crate::model::machine::{Grantee, Machine};
use crate::model::millis::Millis;
use crate::model::project::Project;
use crate::model::secret::Secret;
use crate::model::{Change, Entity, EntityKind};
use crate::refusal::Refusal;
use crate::state::State;

/// How long the value of a canary is: nobody types it, and it looks like what one steals.
const BAIT_LENGTH: u32 = 64;

/// What a canary is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trap {
    pub(crate) armed: bool,
    /// See [`Canary::freeze_project`].
    pub(crate) freeze_project: bool,
    /// See [`Canary::freeze_related`].
    pub(crate) freeze_related: bool,
}

impl Trap {
    pub(crate) fn of(it: &Canary) -> Self {
        Self { armed: it.armed, freeze_project: it.freeze_project, freeze_related: it.freeze_related }
    }
}

/// Makes a secret whose value means nothing, and a canary of it.
pub(crate) fn plant(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    name: String,
    trap: Trap,
) -> Result<(Secret, Canary, Steps), Refusal> {
    let first = Content::Made(Generator { length: BAIT_LENGTH, charset: Charset::Symbols });
    let (secret, mut steps) = secret::create(context, author, project, Wanted { name, note: None, first })?;
    let (canary, more) = set(author, &secret, None, trap);
    steps.changes.extend(more.changes);
    steps.audit.extend(more.audit);
    Ok((secret, canary, steps))
}

/// Makes a secret a canary, or changes what one does. How often it was sprung stays.
pub(crate) fn set(author: Author<'_>, secret: &Secret, old: Option<&Canary>, trap: Trap) -> (Canary, Steps) {
    let Trap { armed, freeze_project, freeze_related } = trap;
    let canary = Canary {
        secret: secret.id.clone(),
        vault: secret.vault.clone(),
        project: secret.project.clone(),
        armed,
        freeze_project,
        freeze_related,
        trips: old.map_or(0, |it| it.trips),
        last_trip: old.and_then(|it| it.last_trip.clone()),
    };
    let mut steps = Steps::default();
    if old != Some(&canary) {
        let does = match (freeze_project, freeze_related) {
            (true, true) => "freezes its project and those that share machines with it",
            (true, false) => "freezes its project",
            (false, true) => "freezes the projects that share machines with its own",
            (false, false) => "is only told",
        };
        let detail = if armed {
            format!("{} is an armed canary: a read of it {does}", secret.name)
        } else {
            format!("{} is a canary that is not armed: a read of it does nothing", secret.name)
        };
        steps.audit.push(about(author, Action::CanaryUpdate, secret, detail));
        steps.put(Entity::Canary(canary.clone()));
    }
    (canary, steps)
}

/// Makes a canary an ordinary secret again. What it froze stays frozen.
pub(crate) fn remove(author: Author<'_>, secret: &Secret) -> Steps {
    let mut steps = Steps::default();
    let detail = format!("{} is no canary any more", secret.name);
    steps.audit.push(about(author, Action::CanaryUpdate, secret, detail));
    steps.remove(EntityKind::Canary, &secret.id);
    steps
}

/// What springs with a read of `secret`, if it is an armed canary: the projects that freeze, and the row that says so.
/// It goes into the transaction of the read, so that whoever holds the value finds the project frozen already.
pub(crate) fn spring(
    state: &State,
    machine: &Machine,
    source: Source,
    secret: &SecretId,
    now: Millis,
) -> Option<(Vec<Change>, Entry)> {
    let canary = state.canaries.get(secret).filter(|it| it.armed)?;
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
    let last_trip = Some(Trip { at: now, machine: machine.id.clone(), address: source.address });
    let sprung = Canary { trips: canary.trips + 1, last_trip, ..canary.clone() };
    let changes = caught.iter().map(|it| Change::put(Entity::Project(Project { frozen: true, ..(*it).clone() })));
    Some((changes.chain([Change::put(Entity::Canary(sprung))]).collect(), entry))
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
