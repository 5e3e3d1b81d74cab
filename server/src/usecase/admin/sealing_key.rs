//! Sealing keys, by a person.

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::sealed::PublishedKey;

use super::find_vault;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::usecase::sealing_key;

/// The key of a vault that is published, made now when there is none.
pub fn show(context: &Context<'_>, vault: &VaultId) -> Decided<PublishedKey> {
    find_vault(context, vault)?;
    sealing_key::publish(context, vault, by())
}

/// Publishes another key. What was sealed to earlier ones goes on opening.
pub fn rotate(context: &Context<'_>, vault: &VaultId) -> Decided<PublishedKey> {
    find_vault(context, vault)?;
    sealing_key::create(context, vault, by())
}

fn by() -> Entry {
    Entry::new(Action::SealingKeyCreate, Actor::Administrator)
}
