//! From where a vault's machines may come.

use std::net::IpAddr;

use ipnet::IpNet;
use sikkerkey_protocol::id::VaultId;

use super::{by_person, conflict, find_vault, invalid, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::allowlist::{AllowedRange, Allowlist};
use crate::policy::address;
use crate::refusal::Refusal;
use crate::usecase::steps::Steps;

const MAX_ENTRIES: usize = 1000;

/// Adds an address or a range. Answers it in the form by which it is known from then on.
pub fn add(context: &Context<'_>, vault: &VaultId, range: &str, label: String) -> Decided<String> {
    let cidr = parse(range)?;
    if label.len() > 255 || label.chars().any(char::is_control) {
        return Err(invalid("the label must be at most 255 printable characters".to_owned()));
    }
    let known = cidr.clone();
    change(
        context,
        vault,
        &format!("{cidr} added"),
        move |list| {
            if list.entries.iter().any(|it| it.cidr == cidr) {
                return Err(conflict(format!("{cidr} is on the list already")));
            }
            if list.entries.len() >= MAX_ENTRIES {
                return Err(invalid(format!("an allowlist has at most {MAX_ENTRIES} entries: merge ranges")));
            }
            list.entries.push(AllowedRange { cidr, label, enabled: true });
            Ok(())
        },
        known,
    )
}

/// Removes an entry.
pub fn remove(context: &Context<'_>, vault: &VaultId, range: &str) -> Decided<String> {
    let cidr = parse(range)?;
    let known = cidr.clone();
    change(
        context,
        vault,
        &format!("{cidr} removed"),
        move |list| {
            let place = list.entries.iter().position(|it| it.cidr == cidr);
            list.entries.remove(place.ok_or_else(|| unlisted(&cidr))?);
            Ok(())
        },
        known,
    )
}

/// Switches an entry on or off.
pub fn set_entry(context: &Context<'_>, vault: &VaultId, range: &str, enabled: bool) -> Decided<String> {
    let cidr = parse(range)?;
    let known = cidr.clone();
    change(
        context,
        vault,
        &format!("{cidr} {}", word(enabled)),
        move |list| {
            let entry = list.entries.iter_mut().find(|it| it.cidr == cidr);
            entry.ok_or_else(|| unlisted(&cidr))?.enabled = enabled;
            Ok(())
        },
        known,
    )
}

/// Puts the list in force, or out of it. In force and without an enabled entry it lets nobody in. Answers how many are
/// enabled.
pub fn switch(context: &Context<'_>, vault: &VaultId, enabled: bool) -> Decided<usize> {
    let list = context.state.allowlists.get(vault);
    let open = list.map_or(0, |it| it.entries.iter().filter(|it| it.enabled).count());
    change(
        context,
        vault,
        word(enabled),
        move |list| {
            list.enabled = enabled;
            Ok(())
        },
        open,
    )
}

fn change<T: Send + 'static>(
    context: &Context<'_>,
    vault: &VaultId,
    what: &str,
    step: impl FnOnce(&mut Allowlist) -> Result<(), Refusal>,
    answer: T,
) -> Decided<T> {
    find_vault(context, vault)?;
    let old = context.state.allowlists.get(vault);
    let mut list = old.cloned().unwrap_or_else(|| Allowlist { vault: vault.clone(), enabled: false, entries: vec![] });
    step(&mut list)?;
    let mut steps = Steps::default();
    if old != Some(&list) {
        steps.audit.push(by_person(Action::IpAllowlistUpdate, Some(vault), format!("IP allowlist: {what}")));
        steps.put(Entity::Allowlist(list));
    }
    Ok(steps.decide(move |_| answer))
}

fn word(enabled: bool) -> &'static str {
    if enabled { "switched on" } else { "switched off" }
}

fn unlisted(cidr: &str) -> Refusal {
    not_found(format!("{cidr} is not on the list: ip-allowlist list shows it"))
}

/// The one form of an address or range: an IPv4 address in IPv6 clothes is that IPv4 address.
fn parse(text: &str) -> Result<String, Refusal> {
    if let Ok(single) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(single.to_canonical()).to_string());
    }
    address::parse(text).map(|it| it.to_string()).map_err(invalid)
}
