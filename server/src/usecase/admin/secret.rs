//! Secrets of a person, and values that a person sets.

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::secret_text::SecretText;

use super::{conflict, not_found, project};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided, Decision};
use crate::model::Entity;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::version::Version;
use crate::refusal::Refusal;
use crate::usecase::author::Author;
use crate::usecase::managed;
use crate::usecase::schedule;
use crate::usecase::secret::{self, Wanted, about};
use crate::usecase::steps::Steps;
use crate::usecase::trash;

pub use crate::usecase::secret::{Content, Rotate};

/// Makes a secret with its first value. Answers its id.
pub fn create(context: &Context<'_>, project: &str, name: &str, first: Content) -> Decided<SecretId> {
    create_with(context, project, name, None, first)
}

/// [`create`], with a note.
pub fn create_with(
    context: &Context<'_>,
    project: &str,
    name: &str,
    note: Option<String>,
    first: Content,
) -> Decided<SecretId> {
    let project = project::find(context, project)?;
    let wanted = Wanted { name: name.to_owned(), note, first };
    let (secret, steps) = secret::create(context, Author::Person, project, wanted)?;
    Ok(steps.decide(move |_| secret.id))
}

/// Replaces a value, or some of its fields, by a random one. Answers the version.
///
/// Of a structured one a person says which fields: some are no passwords. `all_fields` says it as well.
pub fn rotate(context: &Context<'_>, id: &SecretId, how: Rotate, all_fields: bool) -> Decided<u64> {
    let secret = find(context, id)?;
    refuse_managed(secret)?;
    let is_said = all_fields || !how.fields.is_empty() || secret.schedule.is_some();
    if !secret.field_names.is_empty() && !is_said {
        return Err(conflict(format!(
            "{} has fields, of which a random value would be wrong for some: name those with --field, or give --all-fields",
            secret.name
        )));
    }
    Ok(version(secret::rotate(context, Author::Person, secret, how)?))
}

/// Makes the value of an earlier version the next one. Answers the version.
pub fn roll_back(context: &Context<'_>, id: &SecretId, number: u64, stored: Option<&Version>) -> Decided<u64> {
    Ok(version(secret::roll_back(context, Author::Person, find(context, id)?, number, stored)?))
}

/// Gives a secret another name.
pub fn rename(context: &Context<'_>, id: &SecretId, name: String) -> Decided<()> {
    let (_, steps) = secret::rename(context, Author::Person, find(context, id)?, name)?;
    Ok(steps.decide(|_| ()))
}

/// Says something about a secret; an empty note says nothing.
pub fn annotate(context: &Context<'_>, id: &SecretId, note: String) -> Decided<()> {
    let (_, steps) = secret::annotate(context, Author::Person, find(context, id)?, note)?;
    Ok(steps.decide(|_| ()))
}

/// Puts a secret into the trash, where it stays for 30 days. Nobody reads it there.
pub fn delete(context: &Context<'_>, id: &SecretId) -> Decided<()> {
    let steps = secret::delete(context, Author::Person, find(context, id)?)?;
    Ok(steps.decide(|_| ()))
}

/// Takes a secret out of the trash. Answers whether it can be read now: one that an object stood for waits for that.
pub fn restore(context: &Context<'_>, id: &SecretId) -> Decided<bool> {
    let (secret, steps) = trash::restore(context, Author::Person, find_trashed(context, id)?)?;
    Ok(steps.decide(move |_| secret.phase == SecretPhase::Active))
}

/// Removes a secret of the trash for good.
pub fn purge(context: &Context<'_>, id: &SecretId) -> Decided<()> {
    let steps = trash::purge(context, Author::Person, find_trashed(context, id)?);
    Ok(steps.decide(|_| ()))
}

/// What a person changes about the schedule of a secret.
#[derive(Clone, Debug)]
pub enum Timing {
    /// Renews it so often, in seconds.
    Set(u64, Rotate),
    /// Switches the schedule off or on.
    Enabled(bool),
    /// Takes it off.
    Remove,
}

/// Changes when a secret is renewed.
pub fn time(context: &Context<'_>, id: &SecretId, timing: Timing) -> Decided<()> {
    let (secret, author) = (find(context, id)?, Author::Person);
    let (_, steps) = match timing {
        Timing::Set(every_seconds, how) => {
            let generator = secret::default_generator();
            let generator = sikkerkey_protocol::kubernetes::Generator {
                length: how.length.unwrap_or(generator.length),
                charset: how.charset.unwrap_or(generator.charset),
            };
            let wanted = schedule::Wanted { every_seconds, generator, fields: how.fields, enabled: true };
            match secret.schedule {
                None => schedule::attach(context, author, secret, wanted)?,
                Some(_) => schedule::change(context, author, secret, wanted)?,
            }
        }
        Timing::Enabled(enabled) => {
            let wanted = schedule::Wanted { enabled, ..schedule::Wanted::of(schedule::require(secret)?) };
            schedule::change(context, author, secret, wanted)?
        }
        Timing::Remove => schedule::remove(context, author, secret)?,
    };
    Ok(steps.decide(|_| ()))
}

/// Lets a secret be read again that was held since a restore.
pub fn release(context: &Context<'_>, id: &SecretId) -> Decided<()> {
    let secret = find(context, id)?;
    if !secret.held {
        return Err(conflict(format!("{} is not held: nobody has to release it", secret.name)));
    }
    let mut steps = Steps::default();
    let detail = format!("{} may be read again", secret.name);
    steps.audit.push(about(Author::Person, Action::SecretRelease, secret, detail));
    steps.put(Entity::Secret(Secret { held: false, ..secret.clone() }));
    Ok(steps.decide(|_| ()))
}

/// Sets a value as the next version. With `fields`, it is a structured one of these fields; without, it has the fields
/// that the secret has or expects. Answers the version.
pub fn set(context: &Context<'_>, id: &SecretId, value: SecretText, fields: Option<Vec<String>>) -> Decided<u64> {
    Ok(version(secret::set(context, Author::Person, find(context, id)?, value, fields)?))
}

/// A secret that can be read.
pub(super) fn find<'a>(context: &Context<'a>, id: &SecretId) -> Result<&'a Secret, Refusal> {
    let secret = context.state.secrets.get(id).filter(|it| it.phase == SecretPhase::Active);
    secret.ok_or_else(|| not_found(format!("there is no secret {id}: secret list shows them")))
}

fn find_trashed<'a>(context: &Context<'a>, id: &SecretId) -> Result<&'a Secret, Refusal> {
    let secret = context.state.secrets.get(id).filter(|it| trash::span(it).is_some());
    secret.ok_or_else(|| not_found(format!("there is no secret {id} in the trash: trash list shows them")))
}

/// What a Kubernetes object stands for is changed there.
pub(super) fn refuse_managed(secret: &Secret) -> Result<(), Refusal> {
    managed::refuse_managed("Secret", secret.managed.as_ref())
}

fn version((secret, steps): (Secret, Steps)) -> Decision<u64> {
    steps.decide(move |_| secret.version)
}
