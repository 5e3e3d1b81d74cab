//! Secrets by hand.

pub mod compose;
pub mod dossier;
pub mod overview;

use std::collections::HashMap;

use sikkerkey_protocol::management::{
    CreateSecret, NoteSecret, RenameSecret, RollBackSecret, RotateSecret, Scope, SecretDeleted, SecretNamed,
    SecretNoted, SecretType, SecretVersion, SecretVersioned, SecretVersions, SecretView, SecretViews, UpdateSecret,
    VersionOrigin,
};

use super::{Manager, not_found};
use crate::audit::entry::{Actor, Entry};
use crate::decision::{Context, Decided, Decision};
use crate::model::managed::Managed;
use crate::model::secret::{Secret, SecretPhase, ValueOrigin};
use crate::model::version::{Kept, Version};
use crate::refusal::{Refusal, invalid};
use crate::state::State;
use crate::usecase::rotation::Schedule;
use crate::usecase::secret::{self, Content, Rotate, Wanted};
use crate::usecase::steps::Steps;
use crate::usecase::trash::TRASH_SECONDS;

/// The secrets of a project, by name.
pub fn list(context: &Context<'_>, manager: &Manager<'_>, [project]: [&str; 1]) -> Decided<SecretViews> {
    let project = manager.project(context, project)?.id.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&project, "the secrets".to_owned()));
    Ok(steps.decide(move |context| {
        let ours = context.state.secrets.values().filter(|it| it.project == project && it.phase == SecretPhase::Active);
        let mut secrets: Vec<_> = ours.map(|it| view(context.state, it)).collect();
        secrets.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        SecretViews { secrets }
    }))
}

/// One secret.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [project, secret]: [&str; 2]) -> Decided<SecretView> {
    let secret = find(context, manager, project, secret)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(looked(manager, &secret, format!("secret {}", secret.name)));
    Ok(steps.decide(move |context| view(context.state, &secret)))
}

/// Makes a secret.
pub fn create(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project]: [&str; 1],
    request: CreateSecret,
) -> Decided<SecretNamed> {
    let CreateSecret { name, value, project_id, note, field_names } = request;
    if project_id.is_some_and(|it| it != project) {
        return Err(invalid("projectId is another one than in the path: give the same one, or leave it out"));
    }
    let project = manager.project(context, project)?;
    let wanted = Wanted { name, note, first: Content::Given(value, field_names.unwrap_or_default()) };
    let (secret, steps) = secret::create(context, manager.author(), project, wanted)?;
    Ok(steps.decide(move |_| SecretNamed { id: secret.id, name: secret.name }))
}

/// Sets another value.
pub fn update(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project, secret]: [&str; 2],
    request: UpdateSecret,
) -> Decided<SecretVersioned> {
    let secret = find(context, manager, project, secret)?;
    Ok(versioned(secret::set(context, manager.author(), secret, request.value, None)?))
}

/// Replaces the value, or some of its fields, by a random one.
pub fn rotate(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project, secret]: [&str; 2],
    request: RotateSecret,
) -> Decided<SecretVersioned> {
    let secret = find(context, manager, project, secret)?;
    let RotateSecret { length, charset, fields } = request;
    let how = Rotate { length, charset: charset.map(Into::into), fields: fields.unwrap_or_default() };
    Ok(versioned(secret::rotate(context, manager.author(), secret, how)?))
}

/// Makes the value of an earlier version the next one. `stored` is that version, as it stands in the database.
pub fn roll_back(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project, secret]: [&str; 2],
    (request, stored): (RollBackSecret, Option<Version>),
) -> Decided<SecretVersioned> {
    let secret = find(context, manager, project, secret)?;
    Ok(versioned(secret::roll_back(context, manager.author(), secret, request.version, stored.as_ref())?))
}

/// The versions that are kept. `kept` is what stands in the database.
pub fn versions(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project, secret]: [&str; 2],
    kept: Vec<Kept>,
) -> Decided<SecretVersions> {
    let secret = find(context, manager, project, secret)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(looked(manager, &secret, format!("the versions of {}", secret.name)));
    Ok(steps.decide(move |context| list_versions(context.state, &secret, &kept)))
}

/// Gives a secret another name. Whoever names a canary anew must be one who may set canaries up.
pub fn rename(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project, secret]: [&str; 2],
    request: RenameSecret,
) -> Decided<SecretNamed> {
    let secret = find(context, manager, project, secret)?;
    require_for_canary(context, manager, secret)?;
    let (secret, steps) = secret::rename(context, manager.author(), secret, request.name)?;
    let steps = settle(manager, steps, &secret);
    Ok(steps.decide(move |_| SecretNamed { id: secret.id, name: secret.name }))
}

/// Says something about a secret.
pub fn annotate(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [project, secret]: [&str; 2],
    request: NoteSecret,
) -> Decided<SecretNoted> {
    let secret = find(context, manager, project, secret)?;
    let (secret, steps) = secret::annotate(context, manager.author(), secret, request.note)?;
    let steps = settle(manager, steps, &secret);
    Ok(steps.decide(move |_| SecretNoted { id: secret.id, note: secret.note }))
}

/// Puts a secret into the trash. Whoever takes a canary away must be one who may set canaries up.
pub fn delete(context: &Context<'_>, manager: &Manager<'_>, [project, secret]: [&str; 2]) -> Decided<SecretDeleted> {
    let secret = find(context, manager, project, secret)?;
    require_for_canary(context, manager, secret)?;
    let steps = secret::delete(context, manager.author(), secret)?;
    let (id, purged_at) = (secret.id.clone(), context.now.plus_seconds(TRASH_SECONDS).0);
    Ok(steps.decide(move |_| SecretDeleted { id, deleted: true, purged_at }))
}

/// The id of the project of a secret that may be looked at.
pub fn project_of(context: &Context<'_>, manager: &Manager<'_>, secret: &str) -> Result<String, Refusal> {
    manager.secret(context, secret).map(|it| it.project.to_string())
}

pub(super) fn require_for_canary(context: &Context<'_>, manager: &Manager<'_>, secret: &Secret) -> Result<(), Refusal> {
    if context.state.canaries.contains_key(&secret.id) { manager.require(Scope::PoliciesWrite) } else { Ok(()) }
}

/// The versions of a secret, of which `kept` is what stands in the database, newest first.
pub(crate) fn list_versions(state: &State, secret: &Secret, kept: &[Kept]) -> SecretVersions {
    let made: HashMap<u64, _> = secret.history.versions.iter().map(|it| (it.version, it)).collect();
    let version = |it: &Kept| {
        let made = made.get(&it.version);
        let origin = made.map(|it| &it.origin).or(secret.origin.as_ref().filter(|_| it.version == secret.version));
        SecretVersion {
            version: it.version,
            created_at: it.time.0,
            origin: origin.map(origin_of),
            value_of: match origin {
                Some(ValueOrigin::RolledBack(number)) => Some(*number),
                _ => None,
            },
            created_by: made.map(|it| describe(state, &it.by)),
            field_names: names(&it.field_names),
            current: it.version == secret.version,
        }
    };
    SecretVersions { id: secret.id.clone(), versions: kept.iter().map(version).collect() }
}

fn origin_of(it: &ValueOrigin) -> VersionOrigin {
    match it {
        ValueOrigin::Generated => VersionOrigin::Generated,
        ValueOrigin::Set => VersionOrigin::Set,
        ValueOrigin::Sealed => VersionOrigin::Sealed,
        ValueOrigin::Taken(_) => VersionOrigin::TakenOver,
        ValueOrigin::RolledBack(_) => VersionOrigin::RolledBack,
    }
}

/// A secret as people see it.
pub(crate) fn view(state: &State, secret: &Secret) -> SecretView {
    SecretView {
        id: secret.id.clone(),
        project_id: secret.project.clone(),
        name: secret.name.clone(),
        kind: kind(state, secret),
        field_names: names(&secret.field_names),
        note: secret.note.clone(),
        version: secret.version,
        created_at: secret.history.created_at.map(|it| it.0),
        updated_at: secret.history.updated_at.or(secret.version_time).map(|it| it.0),
        updated_by: secret.history.updated_by.as_ref().map(|it| describe(state, it)),
        granted_to: state.grantees_of(&secret.id).count(),
        policy: secret.policy.clone(),
        next_rotation_at: Schedule::of(secret).next.filter(|_| secret.is_made_here()).map(|it| it.0),
        held: secret.held,
        deleted: secret.phase != SecretPhase::Active,
        managed_by: secret.managed.as_ref().map(object),
    }
}

pub(super) fn kind(state: &State, secret: &Secret) -> SecretType {
    match (state.canaries.contains_key(&secret.id), secret.field_names.is_empty()) {
        (true, _) => SecretType::Canary,
        (false, true) => SecretType::Secret,
        (false, false) => SecretType::Structured,
    }
}

pub(super) fn object(it: &Managed) -> String {
    format!("Secret {} of cluster {}", it.object.key, it.cluster)
}

pub(super) fn names(names: &[String]) -> Option<Vec<String>> {
    Some(names.to_vec()).filter(|it| !it.is_empty())
}

/// Who it was, for a person.
fn describe(state: &State, actor: &Actor) -> String {
    match actor {
        Actor::Agent(id) => match state.agents.get(id) {
            Some(agent) => format!("agent {} ({id})", agent.name),
            None => format!("agent {id}, which is gone"),
        },
        Actor::Administrator => "an administrator".to_owned(),
        Actor::Person(id) => {
            state.accounts.get(id).map_or_else(|| format!("account {id}, which is gone"), |it| it.email.clone())
        }
        Actor::System => "the server".to_owned(),
        other => format!("{other:?}"),
    }
}

fn find<'s>(context: &Context<'s>, manager: &Manager<'_>, project: &str, secret: &str) -> Result<&'s Secret, Refusal> {
    let project = manager.project(context, project)?;
    let secret = secret.parse().ok().and_then(|id| context.state.secrets.get(&id));
    let secret = secret.filter(|it| it.project == project.id && it.phase == SecretPhase::Active);
    secret.ok_or_else(|| not_found("this project has no secret of that id"))
}

fn versioned((secret, steps): (Secret, Steps)) -> Decision<SecretVersioned> {
    steps.decide(move |_| SecretVersioned { id: secret.id, version: secret.version })
}

pub(super) fn settle(manager: &Manager<'_>, mut steps: Steps, secret: &Secret) -> Steps {
    if steps.audit.is_empty() {
        steps.audit.push(looked(manager, secret, format!("{}: nothing to change", secret.name)));
    }
    steps
}

pub(super) fn looked(manager: &Manager<'_>, secret: &Secret, detail: String) -> Entry {
    Entry { secret: Some(secret.id.clone()), ..manager.looked(&secret.project, detail) }
}
