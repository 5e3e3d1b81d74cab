//! From where a vault's machines may come.

use sikkerkey_protocol::id::VaultId;

use super::find_vault;
use crate::decision::{Context, Decided};
use crate::usecase::allowlist::{self, open, parse};
use crate::usecase::author::Author;

/// Adds an address or a range. Answers it in the form by which it is known from then on.
#[expect(clippy::needless_pass_by_value, reason = "what a command line holds")]
pub fn add(context: &Context<'_>, vault: &VaultId, range: &str, label: String) -> Decided<String> {
    let cidr = parse(range)?;
    find_vault(context, vault)?;
    let steps = allowlist::add(context, Author::Person, vault, &cidr, &label)?;
    Ok(steps.decide(move |_| cidr))
}

/// Removes an entry.
pub fn remove(context: &Context<'_>, vault: &VaultId, range: &str) -> Decided<String> {
    let cidr = parse(range)?;
    find_vault(context, vault)?;
    let steps = allowlist::remove(context, Author::Person, vault, &[&cidr])?;
    Ok(steps.decide(move |_| cidr))
}

/// Changes what an entry is called.
pub fn label(context: &Context<'_>, vault: &VaultId, range: &str, label: &str) -> Decided<String> {
    let cidr = parse(range)?;
    find_vault(context, vault)?;
    let steps = allowlist::label(context, Author::Person, vault, &cidr, label)?;
    Ok(steps.decide(move |_| cidr))
}

/// Switches an entry on or off.
pub fn set_entry(context: &Context<'_>, vault: &VaultId, range: &str, enabled: bool) -> Decided<String> {
    let cidr = parse(range)?;
    find_vault(context, vault)?;
    let steps = allowlist::set_entry(context, Author::Person, vault, &cidr, enabled)?;
    Ok(steps.decide(move |_| cidr))
}

/// Puts the list in force, or out of it. In force and without an enabled entry it lets nobody in. Answers how many are
/// enabled.
pub fn switch(context: &Context<'_>, vault: &VaultId, enabled: bool) -> Decided<usize> {
    find_vault(context, vault)?;
    let steps = allowlist::switch(context, Author::Person, vault, enabled)?;
    let vault = vault.clone();
    Ok(steps.decide(move |context| open(context.state.allowlists.get(&vault))))
}
