//! From where the vault's machines may come. It holds for the whole vault, whatever projects somebody sees.

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::{
    AddAllowlistEntry, AllowlistChanged, AllowlistEntry, AllowlistView, DeleteAllowlistEntries, UpdateAllowlistEntry,
};

use super::Manager;
use crate::decision::{Context, Decided, Decision};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::usecase::allowlist::{self, entry_id, open, range_of, ranges_of};
use crate::usecase::steps::Steps;

/// The list.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<AllowlistView> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the IP allowlist".to_owned()));
    let vault = manager.vault.clone();
    Ok(steps.decide(move |context| view(context.state, &vault)))
}

/// Adds an entry.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn add(
    context: &Context<'_>,
    manager: &Manager<'_>,
    []: [&str; 0],
    wanted: AddAllowlistEntry,
) -> Decided<AllowlistEntry> {
    let cidr = allowlist::parse(&wanted.cidr)?;
    let label = wanted.label.as_deref().unwrap_or_default();
    let steps = allowlist::add(context, manager.author(), manager.vault, &cidr, label)?;
    Ok(entry(manager, entry_id(manager.vault, &cidr), steps))
}

/// Changes what an entry is called.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn update(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    to: UpdateAllowlistEntry,
) -> Decided<AllowlistEntry> {
    let cidr = range_of(context.state, manager.vault, id)?;
    let steps = allowlist::label(context, manager.author(), manager.vault, cidr, &to.label)?;
    Ok(entry(manager, id.to_owned(), steps))
}

/// Removes an entry.
pub fn delete(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<AllowlistChanged> {
    let cidr = range_of(context.state, manager.vault, id)?;
    let steps = allowlist::remove(context, manager.author(), manager.vault, &[cidr])?;
    Ok(changed(manager, vec![id.to_owned()], steps))
}

/// Removes several entries: all of them, or none if one is not there.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn delete_many(
    context: &Context<'_>,
    manager: &Manager<'_>,
    []: [&str; 0],
    which: DeleteAllowlistEntries,
) -> Decided<AllowlistChanged> {
    if which.entry_ids.is_empty() {
        return Err(Refusal::new(RefusalKind::Invalid, "entryIds is empty: name at least one entry"));
    }
    let cidrs = ranges_of(context.state, manager.vault, &which.entry_ids)?;
    let steps = allowlist::remove(context, manager.author(), manager.vault, &cidrs)?;
    let ids = cidrs.iter().map(|it| entry_id(manager.vault, it)).collect();
    Ok(changed(manager, ids, steps))
}

/// Lets an entry count.
pub fn enable(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<AllowlistEntry> {
    set(context, manager, id, true)
}

/// Lets an entry count no more, and keeps it.
pub fn disable(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<AllowlistEntry> {
    set(context, manager, id, false)
}

/// Puts the list in force.
pub fn switch_on(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<AllowlistChanged> {
    let steps = allowlist::switch(context, manager.author(), manager.vault, true)?;
    Ok(changed(manager, Vec::new(), steps))
}

/// Takes the list out of force: every address may connect.
pub fn switch_off(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<AllowlistChanged> {
    let steps = allowlist::switch(context, manager.author(), manager.vault, false)?;
    Ok(changed(manager, Vec::new(), steps))
}

fn set(context: &Context<'_>, manager: &Manager<'_>, id: &str, enabled: bool) -> Decided<AllowlistEntry> {
    let cidr = range_of(context.state, manager.vault, id)?;
    let steps = allowlist::set_entry(context, manager.author(), manager.vault, cidr, enabled)?;
    Ok(entry(manager, id.to_owned(), steps))
}

/// Answers with an entry as it is afterwards.
fn entry(manager: &Manager<'_>, id: String, steps: Steps) -> Decision<AllowlistEntry> {
    let steps = manager.settle_around(steps, || "the IP allowlist: nothing to change".to_owned());
    let vault = manager.vault.clone();
    steps.decide(move |context| {
        let found = view(context.state, &vault).entries.into_iter().find(|it| it.id == id);
        found.unwrap_or(AllowlistEntry { id, cidr: String::new(), label: String::new(), enabled: false })
    })
}

fn changed(manager: &Manager<'_>, entry_ids: Vec<String>, steps: Steps) -> Decision<AllowlistChanged> {
    let steps = manager.settle_around(steps, || "the IP allowlist: nothing to change".to_owned());
    let vault = manager.vault.clone();
    steps.decide(move |context| {
        let list = context.state.allowlists.get(&vault);
        AllowlistChanged { entry_ids, enabled: list.is_some_and(|it| it.enabled), open_entries: open(list) }
    })
}

/// The list of a vault.
pub(crate) fn view(state: &State, vault: &VaultId) -> AllowlistView {
    let list = state.allowlists.get(vault);
    let entries = list.into_iter().flat_map(|it| &it.entries).map(|it| AllowlistEntry {
        id: entry_id(vault, &it.cidr),
        cidr: it.cidr.clone(),
        label: it.label.clone(),
        enabled: it.enabled,
    });
    AllowlistView { enabled: list.is_some_and(|it| it.enabled), entries: entries.collect() }
}

#[cfg(test)]
mod tests;
