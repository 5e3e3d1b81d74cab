//! Members of projects, and what they are granted.

use std::collections::{BTreeMap, BTreeSet};

use sikkerkey_protocol::id::{ProjectId, SecretId};

use super::author::Author;
use super::machine::refuse_of_object;
use super::project::{about, refuse_namespace};
use super::steps::{Steps, describe};
use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::entropy;
use crate::model::grant::Grant;
use crate::model::machine::{Grantee, Machine};
use crate::model::membership::Membership;
use crate::model::millis::Millis;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, conflict, invalid};
use crate::state::State;

const BY_OBJECT: &str = "grant to that by a Grant object";

/// Makes a machine a member. That gives nothing yet: reading takes a grant as well.
pub(crate) fn attach(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    machine: &Machine,
) -> Result<Steps, Refusal> {
    refuse_of_object(context.state, machine, BY_OBJECT)?;
    refuse_namespace(author, project)?;
    if machine.vault != project.vault {
        return Err(conflict(format!("machine {} and project {} are of two vaults", machine.name, project.name)));
    }
    let mut steps = Steps::default();
    if context.state.membership(&machine.id, &project.id).is_none() {
        let detail = format!("{} to {}", describe(machine), project.name);
        let entry = about(author, Action::ProjectMachineAdd, project, detail);
        steps.audit.push(Entry { machine: Some(machine.id.clone()), ..entry });
        steps.put(Entity::Membership(Membership {
            vault: project.vault.clone(),
            project: project.id.clone(),
            machine: machine.id.clone(),
            since: context.now,
        }));
    }
    Ok(steps)
}

/// Takes a machine out of a project, with its grants there. Answers how many these were.
pub(crate) fn detach(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    machine: &Machine,
) -> Result<(usize, Steps), Refusal> {
    refuse_of_object(context.state, machine, BY_OBJECT)?;
    let mut steps = Steps::default();
    if context.state.membership(&machine.id, &project.id).is_none() {
        return Ok((0, steps));
    }
    let grants = grants_in(context.state, project, machine);
    for grant in &grants {
        let entry = about(author, Action::GrantDelete, project, format!("of machine {}", machine.name));
        steps.audit.push(Entry { machine: Some(machine.id.clone()), ..entry });
        steps.remove(EntityKind::Grant, &grant.id);
    }
    let detail = format!("{} from {}", describe(machine), project.name);
    let entry = about(author, Action::ProjectMachineRemove, project, detail);
    steps.audit.push(Entry { machine: Some(machine.id.clone()), ..entry });
    steps.remove(EntityKind::Membership, &Membership::id(&project.id, &machine.id));
    Ok((grants.len(), steps))
}

/// The grants of a project to a machine that belongs to no fleet, by id.
fn grants_in<'a>(state: &'a State, project: &Project, machine: &Machine) -> Vec<&'a Grant> {
    let grants = state.grants_to(&Grantee::Machine(machine.id.clone())).into_values();
    grants.filter(|it| it.project == project.id).collect()
}

/// The secrets of a project that a machine is granted now, in the order of their ids.
pub(crate) fn granted(state: &State, project: &ProjectId, machine: &Machine, now: Millis) -> BTreeSet<SecretId> {
    let grantee = machine.grantee();
    let in_force = |secret: &&Secret| state.is_granted(&grantee, &secret.id, now);
    let secrets = state.secrets_granted_to(&grantee);
    let secrets = secrets.filter(|it| it.project == *project && it.phase == SecretPhase::Active).filter(in_force);
    secrets.map(|it| it.id.clone()).collect()
}

/// Grants a machine these secrets of a project and no others. A secret that it is granted until a time stays granted until
/// then: saying a set does not prolong anything.
pub(crate) fn set_grants(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    machine: &Machine,
    wanted: &BTreeSet<SecretId>,
) -> Result<Steps, Refusal> {
    require_member(context.state, project, machine, author)?;
    let mut steps = Steps::default();
    let keeps = |grant: &Grant, secret: &SecretId| grant.is_live(context.now) && wanted.contains(secret);
    regrant(context, author, (project, machine), keeps, wanted, &mut steps);
    Ok(steps)
}

/// What is to change about the secrets that a machine is granted in a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GrantChange {
    /// What it is granted besides.
    pub(crate) add: BTreeSet<SecretId>,
    /// What it is granted no longer.
    pub(crate) take: BTreeSet<SecretId>,
    /// Whether it becomes a member of the project, unless it is one.
    pub(crate) joins: bool,
}

/// Grants a machine some secrets of a project besides, and takes others away. What else it is granted stays, whoever
/// decided that, and whenever.
pub(crate) fn change_grants(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    machine: &Machine,
    change: &GrantChange,
) -> Result<Steps, Refusal> {
    let mut steps = if change.joins {
        attach(context, author, project, machine)?
    } else {
        require_member(context.state, project, machine, author)?;
        Steps::default()
    };
    let keeps = |_: &Grant, secret: &SecretId| !change.take.contains(secret);
    regrant(context, author, (project, machine), keeps, &change.add, &mut steps);
    Ok(steps)
}

/// Leaves of each grant what is kept, and grants what is missing then.
fn regrant(
    context: &Context<'_>,
    author: Author<'_>,
    (project, machine): (&Project, &Machine),
    keeps: impl Fn(&Grant, &SecretId) -> bool,
    wanted: &BTreeSet<SecretId>,
    steps: &mut Steps,
) {
    let mut missing = wanted.clone();
    for grant in grants_in(context.state, project, machine) {
        let kept: Vec<SecretId> = grant.secrets.iter().filter(|it| keeps(grant, it)).cloned().collect();
        if grant.is_live(context.now) {
            for secret in &kept {
                missing.remove(secret);
            }
        }
        if kept == grant.secrets {
            continue;
        }
        let taken = grant.secrets.iter().filter(|it| !kept.contains(it));
        let detail = format!("{} from {}", names(context.state, taken), describe(machine));
        let entry = about(author, Action::GrantDelete, project, detail);
        steps.audit.push(Entry { machine: Some(machine.id.clone()), ..entry });
        if kept.is_empty() {
            steps.remove(EntityKind::Grant, &grant.id);
        } else {
            steps.put(Entity::Grant(Grant { secrets: kept, ..grant.clone() }));
        }
    }
    if !missing.is_empty() {
        grant(context, author, project, machine, missing, None, steps);
    }
}

/// Grants secrets to a machine until a time, besides what it is granted already: one grant for each project they are in.
/// Answers the grants' ids.
pub(crate) fn add_grants(
    context: &Context<'_>,
    author: Author<'_>,
    machine: &Machine,
    secrets: &[&Secret],
    expires_at: Option<Millis>,
) -> Result<(Vec<String>, Steps), Refusal> {
    refuse_of_object(context.state, machine, BY_OBJECT)?;
    if expires_at.is_some_and(|end| end <= context.now) {
        return Err(invalid("the grant would have ended already: give a later --expires-at"));
    }
    let mut by_project: BTreeMap<&ProjectId, BTreeSet<SecretId>> = BTreeMap::new();
    for secret in secrets {
        by_project.entry(&secret.project).or_default().insert(secret.id.clone());
    }
    if by_project.is_empty() {
        return Err(invalid("name at least one secret with --secret"));
    }
    let (mut ids, mut steps) = (Vec::new(), Steps::default());
    for (project, secrets) in by_project {
        let Some(project) = context.state.projects.get(project) else { continue };
        require_member(context.state, project, machine, author)?;
        ids.push(grant(context, author, project, machine, secrets, expires_at, &mut steps));
    }
    Ok((ids, steps))
}

/// Takes a grant back.
pub(crate) fn take_back(author: Author<'_>, grant: &Grant) -> Result<Steps, Refusal> {
    if let Some(managed) = &grant.managed {
        return Err(conflict(format!(
            "Grant {} of cluster {} says so: delete it there",
            managed.object.key, managed.cluster
        )));
    }
    let mut steps = Steps::default();
    let detail = format!("{} secrets to {}", grant.secrets.len(), grant.grantee);
    let entry = author.entry(Action::GrantDelete, &grant.vault, detail);
    steps.audit.push(Entry { project: Some(grant.project.clone()), ..entry });
    steps.remove(EntityKind::Grant, &grant.id);
    Ok(steps)
}

fn grant(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    machine: &Machine,
    secrets: BTreeSet<SecretId>,
    expires_at: Option<Millis>,
    steps: &mut Steps,
) -> String {
    let detail = format!("{} to {}", names(context.state, secrets.iter()), describe(machine));
    let entry = about(author, Action::GrantApply, project, detail);
    steps.audit.push(Entry { machine: Some(machine.id.clone()), ..entry });
    let id = entropy::uuid(context.entropy);
    steps.put(Entity::Grant(Grant {
        id: id.clone(),
        vault: machine.vault.clone(),
        project: project.id.clone(),
        grantee: Grantee::Machine(machine.id.clone()),
        secrets: secrets.into_iter().collect(),
        expires_at,
        managed: None,
    }));
    id
}

fn require_member(state: &State, project: &Project, machine: &Machine, author: Author<'_>) -> Result<(), Refusal> {
    refuse_of_object(state, machine, BY_OBJECT)?;
    refuse_namespace(author, project)?;
    if state.membership(&machine.id, &project.id).is_some() {
        return Ok(());
    }
    let how = match author {
        Author::Person => format!("add it with project add-machine {} --machine {}", project.id, machine.id),
        Author::Agent(..) => format!("add it with POST /v1/ai/projects/{}/machines", project.id),
        Author::SignedIn(_) => "add it on the page of its access".to_owned(),
    };
    Err(conflict(format!("machine {} is no member of project {}: {how}", machine.name, project.name)))
}

fn names<'a>(state: &State, secrets: impl Iterator<Item = &'a SecretId>) -> String {
    let names = secrets.map(|id| state.secrets.get(id).map_or(id.as_str(), |it| it.name.as_str()));
    names.collect::<Vec<_>>().join(" ")
}
