//! From where a vault's machines may come.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::id::VaultId;

use super::author::Author;
use super::steps::Steps;
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::model::Entity;
use crate::model::allowlist::{AllowedRange, Allowlist};
use crate::policy::address;
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::state::State;

/// The most entries of one list.
pub(crate) const MAX_ENTRIES: usize = 1000;

/// What an entry is known by where a range cannot stand: it follows from vault and range, as the entry does.
pub(crate) fn entry_id(vault: &VaultId, cidr: &str) -> String {
    let hash = sha256_hex(format!("allowlist\n{vault}\n{cidr}").as_bytes());
    let id = hash.get(..32).and_then(|it| uuid::Uuid::try_parse(it).ok()).unwrap_or_default();
    uuid::Builder::from_custom_bytes(id.into_bytes()).into_uuid().to_string()
}

/// The range of an entry's id.
pub(crate) fn range_of<'a>(state: &'a State, vault: &VaultId, id: &str) -> Result<&'a str, Refusal> {
    let entries = state.allowlists.get(vault).into_iter().flat_map(|it| &it.entries);
    let mut ranges = entries.map(|it| it.cidr.as_str());
    ranges.find(|it| entry_id(vault, it) == id).ok_or_else(no_entry)
}

/// How many entries count.
pub(crate) fn open(list: Option<&Allowlist>) -> usize {
    list.map_or(0, |it| it.entries.iter().filter(|it| it.enabled).count())
}

/// The one form of an address or range: an IPv4 address in IPv6 clothes is that IPv4 address.
pub(crate) fn parse(text: &str) -> Result<String, Refusal> {
    if let Ok(single) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(single.to_canonical()).to_string());
    }
    address::parse(text).map(|it| it.to_string()).map_err(invalid)
}

/// Adds a range in its one form.
pub(crate) fn add(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    cidr: &str,
    label: &str,
) -> Result<Steps, Refusal> {
    check_label(label)?;
    change(context, author, vault, &format!("{cidr} added"), |list| {
        if list.entries.iter().any(|it| it.cidr == cidr) {
            return Err(Refusal::new(RefusalKind::Conflict, format!("{cidr} is on the list already")));
        }
        if list.entries.len() >= MAX_ENTRIES {
            return Err(invalid(format!("an allowlist has at most {MAX_ENTRIES} entries: merge ranges")));
        }
        list.entries.push(AllowedRange { cidr: cidr.to_owned(), label: label.to_owned(), enabled: true });
        Ok(())
    })
}

/// The ranges of entries' ids, each once, in the order of the ids. The id of each entry is made once, however many are asked
/// for.
pub(crate) fn ranges_of<'a>(state: &'a State, vault: &VaultId, ids: &[String]) -> Result<Vec<&'a str>, Refusal> {
    let entries = state.allowlists.get(vault).into_iter().flat_map(|it| &it.entries);
    let known: HashMap<String, &str> = entries.map(|it| (entry_id(vault, &it.cidr), it.cidr.as_str())).collect();
    let mut seen = HashSet::new();
    let ids = ids.iter().filter(|it| seen.insert(it.as_str()));
    ids.map(|it| known.get(it).copied().ok_or_else(no_entry)).collect()
}

/// Removes entries: all of them, or none if one is not there.
pub(crate) fn remove(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    cidrs: &[&str],
) -> Result<Steps, Refusal> {
    change(context, author, vault, &format!("{} removed", cidrs.join(" ")), |list| {
        let listed: HashSet<&str> = list.entries.iter().map(|it| it.cidr.as_str()).collect();
        if let Some(unknown) = cidrs.iter().find(|it| !listed.contains(*it)) {
            return Err(unlisted(unknown));
        }
        let removed: HashSet<&str> = cidrs.iter().copied().collect();
        list.entries.retain(|it| !removed.contains(it.cidr.as_str()));
        Ok(())
    })
}

/// Changes what an entry is called.
pub(crate) fn label(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    cidr: &str,
    label: &str,
) -> Result<Steps, Refusal> {
    check_label(label)?;
    change(context, author, vault, &format!("{cidr} is called {label:?}"), |list| {
        label.clone_into(&mut entry(list, cidr)?.label);
        Ok(())
    })
}

/// Switches an entry on or off.
pub(crate) fn set_entry(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    cidr: &str,
    enabled: bool,
) -> Result<Steps, Refusal> {
    change(context, author, vault, &format!("{cidr} {}", word(enabled)), |list| {
        entry(list, cidr)?.enabled = enabled;
        Ok(())
    })
}

/// Puts the list in force, or out of it. In force and without an enabled entry it lets nobody in.
pub(crate) fn switch(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    enabled: bool,
) -> Result<Steps, Refusal> {
    change(context, author, vault, word(enabled), |list| {
        list.enabled = enabled;
        Ok(())
    })
}

fn change(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    what: &str,
    step: impl FnOnce(&mut Allowlist) -> Result<(), Refusal>,
) -> Result<Steps, Refusal> {
    let old = context.state.allowlists.get(vault);
    let mut list = old.cloned().unwrap_or_else(|| Allowlist { vault: vault.clone(), enabled: false, entries: vec![] });
    step(&mut list)?;
    let mut steps = Steps::default();
    if old != Some(&list) {
        let kept_out = list.enabled && open(Some(&list)) == 0;
        let warning = if kept_out { "; every machine is kept out" } else { "" };
        let detail = format!("IP allowlist: {what}{warning}");
        steps.audit.push(author.entry(Action::IpAllowlistUpdate, vault, detail));
        steps.put(Entity::Allowlist(list));
    }
    Ok(steps)
}

fn entry<'a>(list: &'a mut Allowlist, cidr: &str) -> Result<&'a mut AllowedRange, Refusal> {
    list.entries.iter_mut().find(|it| it.cidr == cidr).ok_or_else(|| unlisted(cidr))
}

fn check_label(label: &str) -> Result<(), Refusal> {
    if label.len() > 255 || label.chars().any(char::is_control) {
        return Err(invalid("the label must be at most 255 printable characters".to_owned()));
    }
    Ok(())
}

fn word(enabled: bool) -> &'static str {
    if enabled { "switched on" } else { "switched off" }
}

fn no_entry() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "this vault's IP allowlist has no entry of that id")
}

fn unlisted(cidr: &str) -> Refusal {
    Refusal::new(RefusalKind::NotFound, format!("{cidr} is not on the list: ip-allowlist list shows it"))
}
