//! Secrets by hand: what a person does at the server and an agent on the management plane. Nobody sees a value.

use std::collections::{BTreeMap, HashSet};

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::kubernetes::{Generator, Recipe, RecipeField};
use sikkerkey_protocol::secret_text::SecretText;

use super::admin::check_name;
use super::author::Author;
use super::fresh_id::fresh_id;
use super::managed::refuse_managed;
use super::new_version::{self, Cause};
use super::steps::Steps;
use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::model::Entity;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase, ValueOrigin};
use crate::model::version::Version;
use crate::refusal::{Refusal, RefusalKind, conflict, invalid};
use crate::value::{self, Value, ValueError};

/// The longest note, in characters.
const MAX_NOTE: usize = 1000;

/// Where the first value of a secret comes from.
#[derive(Debug)]
pub enum Content {
    /// Somebody gives it, with the names of its fields; none for a plain one.
    Given(SecretText, Vec<String>),
    /// The server makes it.
    Made(Generator),
    /// Some fields are given, and the server makes the others.
    Mixed(Vec<(String, Option<SecretText>)>, Generator),
}

/// What a secret is to be.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) note: Option<String>,
    pub(crate) first: Content,
}

/// Makes a secret with its first value.
pub(crate) fn create(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    wanted: Wanted,
) -> Result<(Secret, Steps), Refusal> {
    let Wanted { name, note, first } = wanted;
    check_name("the name", &name)?;
    let note = note.map_or(Ok(None), checked_note)?;
    if let Some(held) = context.state.secret_named(&project.id, &name) {
        return Err(conflict(format!("project {} has a secret {name} already: {}", project.name, held.id)));
    }
    if let Some(namespace) = &project.namespace {
        return Err(conflict(format!(
            "project {} is namespace {} of cluster {}: apply a Secret object there",
            project.name, namespace.name, namespace.cluster
        )));
    }
    let (value, recipe, origin) = first_value(context, first).map_err(unfit)?;
    let id: SecretId = fresh_id("sk_", context)?;
    let mut secret = Secret { recipe, note, ..Secret::without_value(id, project, name, context.now) };
    let mut steps = Steps::default();
    let cause = Cause { origin, by: author.actor() };
    new_version::add(context, project, &mut secret, value, cause, &mut steps)?;
    let detail = format!("{}/{}, version 1", project.name, secret.name);
    steps.audit.push(about(author, Action::SecretCreate, &secret, detail));
    Ok((secret, steps))
}

/// What the server made it can make again: for a policy that rotates after reads.
fn first_value(context: &Context<'_>, first: Content) -> Result<(Value, Option<Recipe>, ValueOrigin), ValueError> {
    Ok(match first {
        Content::Given(text, fields) => (Value::parse(text, fields)?, None, ValueOrigin::Set),
        Content::Made(generator) => {
            value::check_by_hand(&generator)?;
            let recipe = Recipe::Plain(generator);
            (value::make(&recipe, context.entropy), Some(recipe), ValueOrigin::Generated)
        }
        Content::Mixed(fields, generator) => {
            value::check_count(fields.len())?;
            value::check_by_hand(&generator)?;
            let is_all_made = fields.iter().all(|(_, given)| given.is_none());
            let recipe = is_all_made.then(|| all_made(fields.iter().map(|(name, _)| name), &generator));
            let fields = fields.into_iter();
            let fields: Vec<(String, SecretText)> = fields
                .map(|(name, given)| (name, given.unwrap_or_else(|| value::text(&generator, context.entropy))))
                .collect();
            let fields: Vec<_> = fields.iter().map(|(name, text)| (name.as_str(), text)).collect();
            (value::object(&fields)?, recipe, ValueOrigin::Generated)
        }
    })
}

fn all_made<'a>(names: impl Iterator<Item = &'a String>, generator: &Generator) -> Recipe {
    let made = || sikkerkey_protocol::kubernetes::FieldContent::Generated(generator.clone());
    Recipe::Fields(names.map(|name| RecipeField { name: name.clone(), content: made() }).collect())
}

/// Sets a value as the next version. With `fields`, it is a structured one of these fields; without, it has the fields
/// that the secret has or expects.
pub(crate) fn set(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    text: SecretText,
    fields: Option<Vec<String>>,
) -> Result<(Secret, Steps), Refusal> {
    may_set(context, author, secret)?;
    let fields = fields.unwrap_or_else(|| secret.field_names.clone());
    let value = Value::parse(text, fields).map_err(unfit)?;
    let project = project_of(context, secret)?;
    let mut secret = Secret { recipe: None, ..secret.clone() };
    let mut steps = Steps::default();
    let cause = Cause { origin: ValueOrigin::Set, by: author.actor() };
    new_version::add(context, project, &mut secret, value, cause, &mut steps)?;
    let detail = format!("{}/{}, version {}", project.name, secret.name, secret.version);
    steps.audit.push(about(author, Action::SecretUpdate, &secret, detail));
    Ok((secret, steps))
}

/// Sets other texts in some fields of a structured value, or in all of them, as the next version.
pub(crate) fn set_fields(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    texts: &BTreeMap<String, SecretText>,
) -> Result<(Secret, Steps), Refusal> {
    may_set(context, author, secret)?;
    let names: Vec<String> = texts.keys().cloned().collect();
    check_fields(secret, &names)?;
    if names.is_empty() {
        return Err(invalid("no field has another text: type one into the fields that change"));
    }
    let project = project_of(context, secret)?;
    let mut secret = Secret { recipe: None, ..secret.clone() };
    let mut steps = Steps::default();
    let cause = Cause { origin: ValueOrigin::Set, by: author.actor() };
    new_version::replace(context, project, &mut secret, texts, cause, &mut steps)?;
    let detail = format!("{}/{}, version {}, fields {}", project.name, secret.name, secret.version, names.join(" "));
    steps.audit.push(about(author, Action::SecretUpdate, &secret, detail));
    Ok((secret, steps))
}

/// How a value is made anew. What is left out is as the secret's schedule says, or else 32 symbols for all fields.
#[derive(Clone, Debug, Default)]
pub struct Rotate {
    /// How many characters.
    pub length: Option<u32>,
    /// Which.
    pub charset: Option<sikkerkey_protocol::kubernetes::Charset>,
    /// The fields of a structured value that get new texts, while the others keep theirs; empty: all of them.
    pub fields: Vec<String>,
}

/// Replaces a value, or some of its fields, by a random one.
pub(crate) fn rotate(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    how: Rotate,
) -> Result<(Secret, Steps), Refusal> {
    refuse_managed("Secret", secret.managed.as_ref())?;
    refuse_canary(context, secret)?;
    let schedule = secret.schedule.as_ref();
    let like = schedule.map_or_else(default_generator, |it| it.generator.clone());
    let generator =
        Generator { length: how.length.unwrap_or(like.length), charset: how.charset.unwrap_or(like.charset) };
    value::check_by_hand(&generator).map_err(unfit)?;
    let fields =
        if how.fields.is_empty() { schedule.map_or_else(Vec::new, |it| it.fields.clone()) } else { how.fields };
    check_fields(secret, &fields)?;
    let project = project_of(context, secret)?;
    let mut secret = secret.clone();
    // What a policy that rotates after reads makes from now on.
    secret.recipe = match (secret.field_names.is_empty(), fields.is_empty()) {
        (true, _) => Some(Recipe::Plain(generator.clone())),
        (false, true) => Some(all_made(secret.field_names.iter(), &generator)),
        (false, false) => None,
    };
    let mut steps = Steps::default();
    let cause = Cause { origin: ValueOrigin::Generated, by: author.actor() };
    new_version::generate(context, project, &mut secret, (&generator, &fields), cause, &mut steps)?;
    let which = if fields.is_empty() { String::new() } else { format!(", fields {}", fields.join(" ")) };
    let detail = format!("{}/{}, version {}{which}", project.name, secret.name, secret.version);
    steps.audit.push(about(author, Action::SecretRotate, &secret, detail));
    Ok((secret, steps))
}

/// Makes the value of an earlier version the next one. `stored` is that version as it stands in the database.
pub(crate) fn roll_back(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    number: u64,
    stored: Option<&Version>,
) -> Result<(Secret, Steps), Refusal> {
    may_set(context, author, secret)?;
    if number == secret.version {
        return Err(conflict(format!("{} is at version {number} already", secret.name)));
    }
    let stored = stored.filter(|it| it.secret == secret.id && it.version == number && number < secret.version);
    let stored = stored.ok_or_else(|| {
        let text = format!(
            "{} has no version {number}: its list of versions shows what there is, and the newest {} are kept",
            secret.name,
            new_version::KEPT_VERSIONS
        );
        Refusal::new(RefusalKind::NotFound, text)
    })?;
    let project = project_of(context, secret)?;
    let mut secret = secret.clone();
    if secret.history.made(number).is_none_or(|it| it.origin != ValueOrigin::Generated) {
        secret.recipe = None;
    }
    let mut steps = Steps::default();
    let cause = Cause { origin: ValueOrigin::RolledBack(number), by: author.actor() };
    new_version::add_again(context, project, &mut secret, (stored, &<_>::default()), cause, &mut steps)?;
    let detail =
        format!("{}/{}, version {}: the value of version {number} again", project.name, secret.name, secret.version);
    steps.audit.push(about(author, Action::SecretUpdate, &secret, detail));
    Ok((secret, steps))
}

/// Gives a secret another name. Grants are by id, and stay.
pub(crate) fn rename(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    name: String,
) -> Result<(Secret, Steps), Refusal> {
    refuse_managed("Secret", secret.managed.as_ref())?;
    check_name("the name", &name)?;
    let mut steps = Steps::default();
    if name == secret.name {
        return Ok((secret.clone(), steps));
    }
    if let Some(held) = context.state.secret_named(&secret.project, &name) {
        return Err(conflict(format!("the project has a secret {name} already: {}", held.id)));
    }
    let mut renamed = Secret { name, ..secret.clone() };
    renamed.touch(context.now, author.actor());
    let detail = format!("{} (was {})", renamed.name, secret.name);
    steps.audit.push(about(author, Action::SecretRename, &renamed, detail));
    steps.put(Entity::Secret(renamed.clone()));
    Ok((renamed, steps))
}

/// Says something about a secret, or nothing any more. What it says stands nowhere else.
pub(crate) fn annotate(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    note: String,
) -> Result<(Secret, Steps), Refusal> {
    refuse_managed("Secret", secret.managed.as_ref())?;
    let note = checked_note(note)?;
    let mut steps = Steps::default();
    if note == secret.note {
        return Ok((secret.clone(), steps));
    }
    let what = if note.is_some() { "has another note" } else { "has no note any more" };
    let mut noted = Secret { note, ..secret.clone() };
    noted.touch(context.now, author.actor());
    steps.audit.push(about(author, Action::SecretNoteUpdate, &noted, format!("{} {what}", noted.name)));
    steps.put(Entity::Secret(noted.clone()));
    Ok((noted, steps))
}

/// Puts a secret into the trash, where it stays for 30 days. Nobody reads it there.
pub(crate) fn delete(context: &Context<'_>, author: Author<'_>, secret: &Secret) -> Result<Steps, Refusal> {
    refuse_managed("Secret", secret.managed.as_ref())?;
    let mut steps = Steps::default();
    let detail = format!("{}: goes to the trash for 30 days", secret.name);
    steps.audit.push(about(author, Action::SecretDelete, secret, detail));
    steps.put(Entity::Secret(Secret { phase: SecretPhase::Trashed(context.now), ..secret.clone() }));
    Ok(steps)
}

/// A row about a secret.
pub(crate) fn about(author: Author<'_>, action: Action, secret: &Secret, detail: String) -> Entry {
    let entry = author.entry(action, &secret.vault, detail);
    Entry { project: Some(secret.project.clone()), secret: Some(secret.id.clone()), ..entry }
}

/// What is made where nobody says what.
pub(crate) fn default_generator() -> Generator {
    Generator { length: 32, charset: sikkerkey_protocol::kubernetes::Charset::Symbols }
}

/// Whether these are fields of a secret, each once. Not repeated where they are not: one may be a value.
pub(crate) fn check_fields(secret: &Secret, fields: &[String]) -> Result<(), Refusal> {
    let has = match secret.field_names.as_slice() {
        [] => "none: its value is plain".to_owned(),
        names => names.join(", "),
    };
    if fields.len() > value::MAX_FIELDS {
        let most = value::MAX_FIELDS;
        return Err(invalid(format!(
            "fields names more than {most}: name each once, of those {} has: {has}",
            secret.name
        )));
    }
    if fields.iter().any(|it| !secret.field_names.contains(it)) {
        return Err(invalid(format!("fields names one that {} does not have: it has {has}", secret.name)));
    }
    let mut seen = HashSet::new();
    if !fields.iter().all(|it| seen.insert(it)) {
        return Err(invalid(format!("fields names one twice: {} has {has}", secret.name)));
    }
    Ok(())
}

/// The value of a canary is bait: another one would be a change that nobody has a reason to make.
pub(crate) fn refuse_canary(context: &Context<'_>, secret: &Secret) -> Result<(), Refusal> {
    if context.state.canaries.contains_key(&secret.id) {
        return Err(conflict(format!(
            "{} is a canary, whose value stays as it is: delete it and make another, or make it an ordinary secret first (on \
             its page, or with sikkerkey-server admin canary disarm)",
            secret.name
        )));
    }
    Ok(())
}

/// The project of a secret.
pub(crate) fn project_of<'a>(context: &Context<'a>, secret: &Secret) -> Result<&'a Project, Refusal> {
    let gone = || Refusal::new(RefusalKind::NotFound, format!("the project of {} is gone", secret.name));
    context.state.projects.get(&secret.project).ok_or_else(gone)
}

/// Whether somebody may say what the value is. What a Kubernetes object stands for is changed there, unless that says that
/// it comes from here.
fn may_set(context: &Context<'_>, author: Author<'_>, secret: &Secret) -> Result<(), Refusal> {
    let object = secret.managed.as_ref().map(|it| format!("Secret {} of cluster {}", it.object.key, it.cluster));
    if let Some(object) = &object {
        if secret.recipe.is_some() {
            return Err(conflict(format!(
                "the server makes the values of {}, as {object} says: rotate it there, or change its source to external",
                secret.name
            )));
        }
        // A person may have to act before whoever owns the other one does.
        if secret.taken_over && !author.is_person() {
            return Err(conflict(format!(
                "the value of {} is taken over from a Kubernetes Secret, as {object} says: change it there, or change its \
                 source to external",
                secret.name
            )));
        }
        if secret.sealing.is_some_and(|it| it.is_source) {
            return Err(conflict(format!(
                "the value of {} stands sealed in {object}: seal another and apply that, or change its source to external",
                secret.name
            )));
        }
    }
    refuse_canary(context, secret)?;
    if let Some(schedule) = secret.active_schedule() {
        let how = match author {
            Author::Person => format!("admin secret schedule pause {}", secret.id),
            Author::Agent(..) => "POST /v1/ai/dynamic-secrets/{id}/update".to_owned(),
            Author::SignedIn(_) => "pause it where its schedule is shown".to_owned(),
        };
        return Err(conflict(format!(
            "{} gets a random value every {} seconds, which would replace this one: pause its schedule first ({how})",
            secret.name, schedule.every_seconds
        )));
    }
    Ok(())
}

fn checked_note(note: String) -> Result<Option<String>, Refusal> {
    let is_text = |it: char| !it.is_control() || matches!(it, '\n' | '\t');
    if note.chars().count() > MAX_NOTE || !note.chars().all(is_text) {
        return Err(invalid(format!("a note has at most {MAX_NOTE} printable characters")));
    }
    Ok(Some(note).filter(|it| !it.trim().is_empty()))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn unfit(error: ValueError) -> Refusal {
    invalid(error.to_string())
}
