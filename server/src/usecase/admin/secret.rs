//! Secrets of a person, and values that a person sets.

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::kubernetes::{Generator, Recipe};
use sikkerkey_protocol::secret_text::SecretText;

use super::{by_person, check_name, conflict, invalid, not_found, project};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::secret::{Secret, SecretPhase, ValueOrigin};
use crate::refusal::Refusal;
use crate::usecase::fresh_id::fresh_id;
use crate::usecase::managed;
use crate::usecase::new_version;
use crate::usecase::steps::Steps;
use crate::value::{self, Value, ValueError};

/// Where the first value of a secret comes from.
#[derive(Debug)]
pub enum Content {
    /// A person gives it, with the names of its fields; none for a plain one.
    Given(SecretText, Vec<String>),
    /// The server makes it.
    Made(Generator),
}

/// Makes a secret with its first value. Answers its id.
pub fn create(context: &Context<'_>, project: &str, name: &str, first: Content) -> Decided<SecretId> {
    let project = project::find(context, project)?;
    check_name("the name", name)?;
    if let Some(held) = context.state.secret_named(&project.id, name) {
        return Err(conflict(format!("project {} has a secret {name} already: {}", project.name, held.id)));
    }
    if let Some(namespace) = &project.namespace {
        return Err(conflict(format!(
            "project {} is namespace {} of cluster {}: apply a Secret object there",
            project.name, namespace.name, namespace.cluster
        )));
    }
    // What the server made it can make again: for a policy that rotates after reads.
    let (value, recipe, origin) = match first {
        Content::Given(text, fields) => (Value::parse(text, fields), None, ValueOrigin::Set),
        Content::Made(generator) => (made(context, &generator), Some(Recipe::Plain(generator)), ValueOrigin::Generated),
    };
    let value = value.map_err(|error| invalid(error.to_string()))?;
    let id: SecretId = fresh_id("sk_", context)?;
    let mut secret = Secret { recipe, ..Secret::without_value(id.clone(), project, name.to_owned()) };
    let mut steps = Steps::default();
    new_version::add(context, project, &mut secret, value, origin, &mut steps)?;
    steps.audit.push(about(Action::SecretCreate, &secret, format!("{}/{name}, version 1", project.name)));
    Ok(steps.decide(move |_| id))
}

/// Replaces a plain value by a new random one. Answers the version.
pub fn rotate(context: &Context<'_>, id: &SecretId, generator: Generator) -> Decided<u64> {
    let secret = find(context, id)?;
    refuse_managed(secret)?;
    if !secret.field_names.is_empty() {
        return Err(conflict(format!(
            "{} has fields, of which a random value would be wrong for some: give the whole value with secret set {id}",
            secret.name
        )));
    }
    let project = context.state.projects.get(&secret.project);
    let project = project.ok_or_else(|| not_found(format!("the project of {} is gone", secret.name)))?;
    let value = made(context, &generator).map_err(|error| invalid(error.to_string()))?;
    let mut secret = Secret { recipe: Some(Recipe::Plain(generator)), ..secret.clone() };
    let mut steps = Steps::default();
    new_version::add(context, project, &mut secret, value, ValueOrigin::Generated, &mut steps)?;
    let detail = format!("{}/{}, version {}", project.name, secret.name, secret.version);
    steps.audit.push(about(Action::SecretRotate, &secret, detail));
    let version = secret.version;
    Ok(steps.decide(move |_| version))
}

/// Puts a secret into the trash, where it stays for 30 days. Nobody reads it there.
pub fn delete(context: &Context<'_>, id: &SecretId) -> Decided<()> {
    let secret = find(context, id)?;
    refuse_managed(secret)?;
    let mut steps = Steps::default();
    let detail = format!("{}: goes to the trash for 30 days", secret.name);
    steps.audit.push(about(Action::SecretDelete, secret, detail));
    steps.put(Entity::Secret(Secret { phase: SecretPhase::Trashed(context.now), ..secret.clone() }));
    Ok(steps.decide(|_| ()))
}

/// Lets a secret be read again that was held since a restore.
pub fn release(context: &Context<'_>, id: &SecretId) -> Decided<()> {
    let secret = find(context, id)?;
    if !secret.held {
        return Err(conflict(format!("{} is not held: nobody has to release it", secret.name)));
    }
    let mut steps = Steps::default();
    steps.audit.push(about(Action::SecretRelease, secret, format!("{} may be read again", secret.name)));
    steps.put(Entity::Secret(Secret { held: false, ..secret.clone() }));
    Ok(steps.decide(|_| ()))
}

/// A secret that can be read.
pub(super) fn find<'a>(context: &Context<'a>, id: &SecretId) -> Result<&'a Secret, Refusal> {
    let secret = context.state.secrets.get(id).filter(|it| it.phase == SecretPhase::Active);
    secret.ok_or_else(|| not_found(format!("there is no secret {id}: secret list shows them")))
}

/// What a Kubernetes object stands for is changed there.
pub(super) fn refuse_managed(secret: &Secret) -> Result<(), Refusal> {
    managed::refuse_managed("Secret", secret.managed.as_ref())
}

fn made(context: &Context<'_>, generator: &Generator) -> Result<Value, ValueError> {
    let recipe = Recipe::Plain(generator.clone());
    value::check(&recipe)?;
    Ok(value::make(&recipe, context.entropy))
}

pub(super) fn about(action: Action, secret: &Secret, detail: String) -> Entry {
    let entry = by_person(action, Some(&secret.vault), detail);
    Entry { project: Some(secret.project.clone()), secret: Some(secret.id.clone()), ..entry }
}

/// Sets a value as the next version. With `fields`, it is a structured one of these fields; without, it has the fields
/// that the secret has or expects. Answers the version.
pub fn set(context: &Context<'_>, id: &SecretId, value: SecretText, fields: Option<Vec<String>>) -> Decided<u64> {
    let state = context.state;
    let secret = find(context, id)?;
    if secret.recipe.is_some() && secret.managed.is_some() {
        return Err(conflict(format!(
            "the server makes the values of {} itself: rotate it, or change its source to external",
            secret.name
        )));
    }
    if secret.sealing.is_some_and(|it| it.is_source) {
        return Err(conflict(format!(
            "the value of {} stands sealed in its Secret object: seal another and apply that, or change its source to external",
            secret.name
        )));
    }
    let project = state.projects.get(&secret.project);
    let project = project.ok_or_else(|| not_found(format!("the project of {} is gone", secret.name)))?;
    let fields = fields.unwrap_or_else(|| secret.field_names.clone());
    let value = Value::parse(value, fields).map_err(|error| invalid(error.to_string()))?;
    let mut secret = Secret { recipe: None, ..secret.clone() };
    let mut steps = Steps::default();
    new_version::add(context, project, &mut secret, value, ValueOrigin::Set, &mut steps)?;
    let detail = format!("{}/{}, version {}", project.name, secret.name, secret.version);
    steps.audit.push(about(Action::SecretUpdate, &secret, detail));
    let version = secret.version;
    Ok(steps.decide(move |_| version))
}
