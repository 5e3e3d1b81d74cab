//! A namespace's project.

use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::id::ProjectId;
use sikkerkey_protocol::kubernetes::ObjectMeta;

use super::scope::Scope;
use crate::audit::entry::Action;
use crate::model::Entity;
use crate::model::project::{Project, ProjectNamespace};
use crate::model::secret::SecretPhase;
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::usecase::fresh_id::fresh_id;
use crate::usecase::steps::Steps;

/// The project of an object's namespace: made when the first object of a namespace is applied.
///
/// A namespace that was made anew under an old name is another tenant until a person says otherwise. Where its project
/// holds nothing, there is nothing to protect, and it is taken over.
pub(super) fn ensure(scope: &Scope<'_>, object: &ObjectMeta, steps: &mut Steps) -> Result<Project, Refusal> {
    let state = scope.context.state;
    let namespace = ProjectNamespace {
        cluster: scope.cluster.name.clone(),
        name: object.key.namespace.clone(),
        uid: object.namespace_uid.clone(),
    };
    let Some(project) = state.project_of(&namespace.cluster, &namespace.name) else {
        return create(scope, namespace, steps);
    };
    match &project.namespace {
        Some(held) if held.uid == namespace.uid => Ok(project.clone()),
        // A person said that the next namespace of this name is the same one.
        Some(held) if held.uid.is_empty() => {
            let project = Project { namespace: Some(namespace), ..project.clone() };
            let detail = format!("namespace {} adopted with uid {}", object.key.namespace, object.namespace_uid);
            steps.audit.push(scope.entry(Action::NamespaceAdopt, Some(&project.id), detail));
            steps.put(Entity::Project(project.clone()));
            Ok(project)
        }
        _ if holds_nothing(state, &project.id) => {
            // What is in the trash stays with the earlier tenant's project and its key.
            steps.put(Entity::Project(Project { namespace: None, ..project.clone() }));
            create(scope, namespace, steps)
        }
        _ => Err(Refusal::new(
            RefusalKind::Conflict,
            format!(
                "the server holds objects of an earlier namespace {ns}. If it is yours: sikkerkey-server admin adopt --cluster {cluster} --namespace {ns} --uid {uid}",
                ns = namespace.name,
                cluster = namespace.cluster,
                uid = namespace.uid
            ),
        )
        .code(ErrorCode::AdoptionRequired)),
    }
}

fn create(scope: &Scope<'_>, namespace: ProjectNamespace, steps: &mut Steps) -> Result<Project, Refusal> {
    let context = &scope.context;
    let id: ProjectId = fresh_id("proj_", context)?;
    let wrapped_key = context.keyring.new_project_key(&scope.agent.vault, &id, context.entropy).map_err(|_| {
        Refusal::new(RefusalKind::Unavailable, "the server cannot make a key for the project: see its log")
    })?;
    let project = Project {
        id,
        vault: scope.agent.vault.clone(),
        name: namespace.name.clone(),
        namespace: Some(namespace),
        frozen: false,
        description: String::new(),
        created_at: Some(context.now),
        wrapped_key,
    };
    let detail = format!("project {} for namespace {} of cluster {}", project.id, project.name, scope.cluster.name);
    steps.audit.push(scope.entry(Action::ProjectCreate, Some(&project.id), detail));
    steps.put(Entity::Project(project.clone()));
    Ok(project)
}

fn holds_nothing(state: &State, project: &ProjectId) -> bool {
    let trashed = |phase: SecretPhase| matches!(phase, SecretPhase::Trashed(_));
    !state.secrets.values().any(|it| it.project == *project && !trashed(it.phase))
        && !state.fleets.values().any(|it| it.project == *project)
        && !state.grants.values().any(|it| it.project == *project)
        && !state.policies.values().any(|it| it.project == *project)
}
