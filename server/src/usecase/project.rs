//! Projects, as people and agents of people manage them.
//!
//! A project that stands for a namespace has the namespace's name, and what objects stand for in it is theirs.

use std::collections::HashMap;

use sikkerkey_protocol::id::{ProjectId, VaultId};
use sikkerkey_protocol::management::ProjectView;

use super::admin::check_name;
use super::author::Author;
use super::fence;
use super::fresh_id::fresh_id;
use super::steps::Steps;
use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::model::application::Application;
use crate::model::grant::Grant;
use crate::model::managed::Managed;
use crate::model::membership::Membership;
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, RefusalKind, conflict};
use crate::state::State;

const MAX_NAME: usize = 100;
const MAX_DESCRIPTION: usize = 1024;

/// Makes a project with a key of its own.
pub(crate) fn create(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    name: &str,
    description: &str,
) -> Result<(Project, Steps), Refusal> {
    check(context.state, vault, None, name, description)?;
    let id: ProjectId = fresh_id("proj_", context)?;
    let wrapped_key = context.keyring.new_project_key(vault, &id, context.entropy).map_err(|_| {
        Refusal::new(RefusalKind::Unavailable, "the server cannot make a key for the project: see its log")
    })?;
    let project = Project {
        id,
        vault: vault.clone(),
        name: name.to_owned(),
        namespace: None,
        frozen: false,
        description: description.to_owned(),
        created_at: Some(context.now),
        wrapped_key,
    };
    let mut steps = Steps::default();
    steps.audit.push(about(author, Action::ProjectCreate, &project, format!("project {name}")));
    steps.put(Entity::Project(project.clone()));
    Ok((project, steps))
}

/// Changes what a project is called, and what it is for.
pub(crate) fn update(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    name: Option<&str>,
    description: Option<&str>,
) -> Result<(Project, Steps), Refusal> {
    let name = name.unwrap_or(&project.name);
    let description = description.unwrap_or(&project.description);
    if let Some(namespace) = project.namespace.as_ref().filter(|_| name != project.name) {
        return Err(conflict(format!(
            "project {} is namespace {} of cluster {}, and called like it",
            project.name, namespace.name, namespace.cluster
        )));
    }
    if name == project.name {
        check_description(description)?;
    } else {
        check(context.state, &project.vault, Some(&project.id), name, description)?;
    }
    let changed = Project { name: name.to_owned(), description: description.to_owned(), ..project.clone() };
    let mut steps = Steps::default();
    if changed != *project {
        let what = if name == project.name { "another description".to_owned() } else { format!("is called {name}") };
        steps.audit.push(about(author, Action::ProjectUpdate, project, format!("project {}: {what}", project.name)));
        steps.put(Entity::Project(changed.clone()));
    }
    Ok((changed, steps))
}

/// What is in a project, and falls with it.
pub(crate) struct Contents<'a> {
    pub(crate) secrets: Vec<&'a Secret>,
    pub(crate) grants: Vec<&'a Grant>,
    pub(crate) policies: Vec<&'a Policy>,
    pub(crate) canaries: usize,
    pub(crate) memberships: usize,
}

/// What is in a project, each kind in the order of its ids.
pub(crate) fn contents<'a>(state: &'a State, project: &ProjectId) -> Contents<'a> {
    let mut secrets: Vec<&Secret> = state.secrets.values().filter(|it| it.project == *project).collect();
    let mut grants: Vec<&Grant> = state.grants.values().filter(|it| it.project == *project).collect();
    let mut policies: Vec<&Policy> = state.policies.values().filter(|it| it.project == *project).collect();
    secrets.sort_by(|a, b| a.id.cmp(&b.id));
    grants.sort_by(|a, b| a.id.cmp(&b.id));
    policies.sort_by(|a, b| a.id.cmp(&b.id));
    let canaries = secrets.iter().filter(|it| state.canaries.contains_key(&it.id)).count();
    Contents { canaries, memberships: state.members_of(project).count(), secrets, grants, policies }
}

/// Deletes a project with everything in it; `confirmed` is its name once more. What an object stands for is not deleted
/// here, and what a person protects not by an agent.
pub(crate) fn delete(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    confirmed: &str,
) -> Result<Steps, Refusal> {
    let state = context.state;
    if confirmed != project.name {
        let text = format!(
            "the name to confirm with is not that of project {}: everything in it would be gone for good",
            project.id
        );
        return Err(conflict(text));
    }
    let contents = contents(state, &project.id);
    refuse_objects(state, project, &contents)?;
    for policy in &contents.policies {
        fence::may_remove(author, policy, "remove")?;
    }
    let mut steps = Steps::default();
    for secret in &contents.secrets {
        let detail = format!("{} with its project {}", secret.name, project.name);
        let entry = about(author, Action::SecretDelete, project, detail);
        steps.audit.push(Entry { secret: Some(secret.id.clone()), ..entry });
        if state.canaries.contains_key(&secret.id) {
            steps.remove(EntityKind::Canary, &secret.id);
        }
        steps.remove(EntityKind::Secret, &secret.id);
    }
    for grant in &contents.grants {
        let detail = format!("{} secrets to {}, with its project {}", grant.secrets.len(), grant.grantee, project.name);
        steps.audit.push(about(author, Action::GrantDelete, project, detail));
        steps.remove(EntityKind::Grant, &grant.id);
    }
    for policy in &contents.policies {
        let detail = format!("policy {} with its project {}", policy.name, project.name);
        steps.audit.push(about(author, Action::PolicyDelete, project, detail));
        steps.remove(EntityKind::Policy, &policy.id);
    }
    for machine in state.members_of(&project.id) {
        steps.remove(EntityKind::Membership, &Membership::id(&project.id, machine));
    }
    if let Some(application) = state.application_of(&project.id) {
        let mut projects = application.projects.clone();
        projects.remove(&project.id);
        steps.put(Entity::Application(Application { projects, ..application.clone() }));
    }
    forget_co_signs(state, project, &mut steps);
    let detail = format!(
        "project {}: {} secrets, {} grants, {} policies, {} memberships",
        project.name,
        contents.secrets.len(),
        contents.grants.len(),
        contents.policies.len(),
        contents.memberships
    );
    steps.audit.push(about(author, Action::ProjectDelete, project, detail));
    steps.remove(EntityKind::Project, &project.id);
    Ok(steps)
}

/// Approvals that were asked for secrets of a project that goes.
fn forget_co_signs(state: &State, project: &Project, steps: &mut Steps) {
    for (key, _) in state.co_signs.iter().filter(|(_, it)| it.project == project.id) {
        steps.remove(EntityKind::CoSign, key);
    }
}

fn refuse_objects(state: &State, project: &Project, contents: &Contents<'_>) -> Result<(), Refusal> {
    let fleet = state.fleets.values().find(|it| it.project == project.id).map(|it| ("Machine", &it.managed));
    // One that is in the trash was deleted there.
    let mut kept = contents.secrets.iter().filter(|it| !matches!(it.phase, SecretPhase::Trashed(_)));
    let secret = kept.find_map(|it| Some(("Secret", it.managed.as_ref()?)));
    let grant = contents.grants.iter().find_map(|it| Some(("Grant", it.managed.as_ref()?)));
    let mut policies = contents.policies.iter().filter(|it| !it.withdrawn);
    let policy = policies.find_map(|it| Some(("AccessPolicy", it.managed.as_ref()?)));
    let Some((kind, Managed { cluster, object })) = fleet.or(secret).or(grant).or(policy) else { return Ok(()) };
    Err(conflict(format!(
        "project {} holds {kind} {} of cluster {cluster}, and what an object stands for is deleted there: delete it first",
        project.name, object.key
    )))
}

/// Members and grants of a namespace's project come from objects, except by a person's word.
pub(crate) fn refuse_namespace(author: Author<'_>, project: &Project) -> Result<(), Refusal> {
    match project.namespace.as_ref().filter(|_| !author.is_person()) {
        Some(namespace) => Err(conflict(format!(
            "project {} is namespace {} of cluster {}: apply a Grant object there",
            project.name, namespace.name, namespace.cluster
        ))),
        None => Ok(()),
    }
}

fn check(
    state: &State,
    vault: &VaultId,
    own: Option<&ProjectId>,
    name: &str,
    description: &str,
) -> Result<(), Refusal> {
    // One of before stays, whatever its name.
    if own.and_then(|it| state.projects.get(it)).is_none_or(|it| it.name != name) {
        check_name("the name", name)?;
        if name.chars().count() > MAX_NAME {
            let text = format!("the name of a project has at most {MAX_NAME} characters");
            return Err(Refusal::new(RefusalKind::Invalid, text));
        }
    }
    check_description(description)?;
    let held = state.projects.values().find(|it| it.vault == *vault && it.name == name && Some(&it.id) != own);
    match held {
        Some(held) => Err(conflict(format!("vault {vault} has a project {name} already: {}", held.id))),
        None => Ok(()),
    }
}

fn check_description(text: &str) -> Result<(), Refusal> {
    if text.len() > MAX_DESCRIPTION || text.chars().any(char::is_control) {
        let text = format!("the description must be at most {MAX_DESCRIPTION} printable characters");
        return Err(Refusal::new(RefusalKind::Invalid, text));
    }
    Ok(())
}

/// A row about a project.
pub(crate) fn about(author: Author<'_>, action: Action, project: &Project, detail: String) -> Entry {
    Entry { project: Some(project.id.clone()), ..author.entry(action, &project.vault, detail) }
}

/// A project, for people.
pub(crate) fn view(state: &State, project: &Project) -> ProjectView {
    let secrets = state.secrets.values().filter(|it| it.project == project.id);
    let secrets = secrets.filter(|it| !matches!(it.phase, SecretPhase::Trashed(_))).count();
    row(state, project, (secrets, state.policies.values().filter(|it| it.project == project.id).count()))
}

/// Projects, for people, by name: what is in them is counted once for all.
pub(crate) fn views<'a>(state: &State, projects: impl Iterator<Item = &'a Project>) -> Vec<ProjectView> {
    let mut counts: HashMap<&ProjectId, (usize, usize)> = HashMap::new();
    for secret in state.secrets.values().filter(|it| !matches!(it.phase, SecretPhase::Trashed(_))) {
        counts.entry(&secret.project).or_default().0 += 1;
    }
    for policy in state.policies.values() {
        counts.entry(&policy.project).or_default().1 += 1;
    }
    let count = |it: &Project| counts.get(&it.id).copied().unwrap_or_default();
    let mut views: Vec<_> = projects.map(|it| row(state, it, count(it))).collect();
    views.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    views
}

fn row(state: &State, project: &Project, (secret_count, policy_count): (usize, usize)) -> ProjectView {
    ProjectView {
        id: project.id.clone(),
        name: project.name.clone(),
        description: project.description.clone(),
        frozen: project.frozen,
        created_at: project.created_at.map(|it| it.0),
        machine_count: state.members_of(&project.id).count(),
        secret_count,
        policy_count,
        namespace: project.namespace.as_ref().map(|it| format!("{}/{}", it.cluster, it.name)),
    }
}
