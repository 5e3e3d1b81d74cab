//! Keys that values in Git are sealed to: made when they are first asked for, and by hand.

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::sealed::PublishedKey;

use super::steps::{Steps, answer};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::Entity;
use crate::model::millis::Millis;
use crate::model::sealing_key::SealingKey;
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind};

/// The key that is published for a vault, made now when there is none. `by` says who asks.
pub fn publish(context: &Context<'_>, vault: &VaultId, by: Entry) -> Decided<PublishedKey> {
    if let Some(key) = context.state.newest_sealing_key(vault) {
        let key = key.published();
        return Ok(answer(|_| key));
    }
    create(context, vault, by)
}

/// Makes another key, which is published from now on. What was sealed to earlier ones goes on opening.
pub fn create(context: &Context<'_>, vault: &VaultId, by: Entry) -> Decided<PublishedKey> {
    let failed = |_| Refusal::new(RefusalKind::Unavailable, "the server cannot make a sealing key: see its log");
    let newest = context.state.newest_sealing_key(vault);
    // Later than all before, so that it is the newest whatever the clock did.
    let made = newest.map_or(context.now, |it| context.now.max(Millis(it.made.0 + 1)));
    let month: String = instant(made).chars().take("2026-11".len()).collect();
    let id = format!("seal-{month}-{}", *entropy::text(context.entropy, entropy::ID_ALPHABET, 12));
    let (wrapped_key, private) = context.keyring.new_sealing_key(vault, &id, context.entropy).map_err(failed)?;
    let public_key = private
        .public_key()
        .map_err(|_| Refusal::new(RefusalKind::Unavailable, "the server cannot make a sealing key: see its log"))?;
    let key = SealingKey { id, vault: vault.clone(), made, public_key, wrapped_key };
    let published = key.published();
    let mut steps = Steps::default();
    let detail = match newest {
        Some(before) => format!("sealing key {}, in the place of {}", key.id, before.id),
        None => format!("sealing key {}", key.id),
    };
    steps.audit.push(Entry { action: Action::SealingKeyCreate, vault: Some(vault.clone()), detail, ..by });
    steps.put(Entity::SealingKey(key));
    Ok(steps.decide(|_| published))
}

#[cfg(test)]
mod tests;
