//! Canaries of a person.

use sikkerkey_protocol::id::SecretId;

use super::{not_found, project, secret};
use crate::decision::{Context, Decided};
use crate::model::canary::Canary;
use crate::model::secret::Secret;
use crate::refusal::Refusal;
use crate::usecase::author::Author;
use crate::usecase::canary::{self, Trap};

/// Makes a canary with a value of its own.
pub fn plant(
    context: &Context<'_>,
    project: &str,
    name: String,
    freeze_project: bool,
    freeze_related: bool,
) -> Decided<SecretId> {
    let trap = Trap { armed: true, freeze_project, freeze_related };
    let (secret, _, steps) = canary::plant(context, Author::Person, project::find(context, project)?, name, trap)?;
    Ok(steps.decide(move |_| secret.id))
}

/// Arms a secret as a canary, or changes what it does.
pub fn arm(context: &Context<'_>, id: &SecretId, freeze_project: bool, freeze_related: bool) -> Decided<()> {
    let secret = secret::find(context, id)?;
    let trap = Trap { armed: true, freeze_project, freeze_related };
    let (_, steps) = canary::set(Author::Person, secret, context.state.canaries.get(id), trap);
    Ok(steps.decide(|_| ()))
}

/// Switches a canary on or off, which stays what it is.
pub fn set_armed(context: &Context<'_>, id: &SecretId, armed: bool) -> Decided<()> {
    let (secret, old) = find(context, id)?;
    let (_, steps) = canary::set(Author::Person, secret, Some(old), Trap { armed, ..Trap::of(old) });
    Ok(steps.decide(|_| ()))
}

/// Makes a canary an ordinary secret again. What it froze stays frozen.
pub fn disarm(context: &Context<'_>, id: &SecretId) -> Decided<()> {
    let (secret, _) = find(context, id)?;
    let steps = canary::remove(Author::Person, secret);
    Ok(steps.decide(|_| ()))
}

fn find<'a>(context: &Context<'a>, id: &SecretId) -> Result<(&'a Secret, &'a Canary), Refusal> {
    let state = context.state;
    let canary = state.canaries.get(id).and_then(|it| Some((state.secrets.get(&it.secret)?, it)));
    canary.ok_or_else(|| not_found(format!("{id} is no canary: canary list shows them")))
}
