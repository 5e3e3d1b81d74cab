//! What each request of a machine has to keep to, whatever it asks for.
//!
//! They are decided by the rules of access policies, from the clock and the address alone, and before anything else is
//! looked at. They only ever restrict: the vault's allowlist and the policies of secrets hold as well.

use std::net::IpAddr;

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::WindowState;
use sikkerkey_protocol::management::Guardrails;
use sikkerkey_protocol::policy::PolicyDocument;

use super::super::author::Author;
use super::super::steps::{Steps, describe};
use super::{about, refuse_of_object};
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::model::Entity;
use crate::model::machine::{HostOf, Machine};
use crate::model::millis::Millis;
use crate::policy::{self, address};
use crate::refusal::{Refusal, RefusalKind, conflict};

/// Whether a machine may come from here, now. What cannot be read restricts: it lets nobody in.
pub(crate) fn may_come(machine: &Machine, address: IpAddr, now: Millis) -> Result<(), Refusal> {
    let Some(rails) = machine.host.as_ref().and_then(|it| it.guardrails.as_ref()) else { return Ok(()) };
    let refused = |reason, text: &str| Err(Refusal::new(RefusalKind::Forbidden, text).denial(reason));
    if let Some(ranges) = &rails.ip_allowlist
        && !address::is_in_any(address, ranges).unwrap_or(false)
    {
        return refused(DenialReason::AddressNotAllowed, "this machine may not come from this address");
    }
    let window = policy::window_state(&document(rails), now);
    if !matches!(window, Ok((WindowState::Always | WindowState::Open, _))) {
        return refused(DenialReason::OutsideTimeWindow, "this machine may not come at this time");
    }
    Ok(())
}

/// Says what each request of a machine has to keep to, in place of what was said before.
pub(crate) fn set(
    context: &Context<'_>,
    author: Author<'_>,
    machine: &Machine,
    rails: Guardrails,
) -> Result<Steps, Refusal> {
    refuse_of_object(context.state, machine, "guard its secrets by an AccessPolicy")?;
    let invalid = |text: String| Refusal::new(RefusalKind::Invalid, text);
    if rails.time_window.is_none() && rails.time_zone.is_some() {
        return Err(invalid("timeZone says nothing without timeWindow: give both, or neither".to_owned()));
    }
    let is_empty = rails == Guardrails::default();
    if !is_empty {
        policy::check(&document(&rails)).map_err(|flaw| invalid(flaw.to_string()))?;
    }
    let rails = (!is_empty).then_some(rails);
    let mut steps = Steps::default();
    if machine.host.as_ref().and_then(|it| it.guardrails.as_ref()) != rails.as_ref() {
        let axes = rails.as_ref().map_or_else(|| "none".to_owned(), |it| document(it).axes().join(", "));
        steps.audit.push(about(
            author,
            Action::MachineUpdate,
            machine,
            format!("{}, guardrails: {axes}", describe(machine)),
        ));
        let mut host = machine.host.clone().unwrap_or_else(|| Box::new(HostOf::default()));
        host.guardrails = rails;
        steps.put(Entity::Machine(Machine { host: Some(host), ..machine.clone() }));
    }
    Ok(steps)
}

/// A mark of what a page shows: another one as soon as they are others.
pub(crate) fn mark(rails: &Guardrails) -> String {
    sha256_hex(format!("{rails:?}").as_bytes())
}

/// A form of an old page takes back nothing that somebody else has said meanwhile.
pub(crate) fn refuse_unseen(machine: &Machine, seen: &str) -> Result<(), Refusal> {
    let now = machine.host.as_ref().and_then(|it| it.guardrails.clone()).unwrap_or_default();
    if mark(&now) == seen {
        return Ok(());
    }
    Err(conflict("it has other guardrails meanwhile: open the page again"))
}

fn document(rails: &Guardrails) -> PolicyDocument {
    PolicyDocument {
        time_zone: rails.time_zone.clone(),
        time_window: rails.time_window.clone(),
        ip_allowlist: rails.ip_allowlist.clone(),
        ..PolicyDocument::default()
    }
}
