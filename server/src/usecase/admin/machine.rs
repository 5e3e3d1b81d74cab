//! Machines and fleets.

use sikkerkey_protocol::id::{MachineId, VaultId};
use sikkerkey_protocol::management::{Guardrails, MachineApproval, MachineChanged, MachineRevocation};
use sikkerkey_protocol::secret_text::SecretText;

use super::{find_vault, not_found};
use crate::decision::{Context, Decided};
use crate::model::fleet::Fleet;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::refusal::Refusal;
use crate::usecase::author::Author;
use crate::usecase::machine::view::revocation;
use crate::usecase::machine::{self, Found, command, guardrails, refuse_fleet, replaced, temporary};
use crate::usecase::management::machine::changed;
use crate::usecase::steps::Steps;

/// Makes a one-time token with which a host registers. A person approves its key afterwards.
pub fn bootstrap(context: &Context<'_>, vault: &VaultId, name: Option<String>) -> Decided<(SecretText, Millis)> {
    host_token(context, vault, name, None)
}

/// The same for a machine that is let in for a time only, which begins when it is approved.
pub fn bootstrap_temporary(
    context: &Context<'_>,
    vault: &VaultId,
    name: Option<String>,
    lifetime_seconds: u64,
) -> Decided<(SecretText, Millis)> {
    host_token(context, vault, name, Some(lifetime_seconds))
}

fn host_token(
    context: &Context<'_>,
    vault: &VaultId,
    name: Option<String>,
    lifetime_seconds: Option<u64>,
) -> Decided<(SecretText, Millis)> {
    find_vault(context, vault)?;
    let (begun, steps) = command::begin(context, Author::Person, vault, name, lifetime_seconds)?;
    Ok(steps.decide(move |_| (begun.token, begun.expires_at)))
}

/// Approves a machine or a whole fleet: whichever has the id.
pub fn approve(context: &Context<'_>, id: &str) -> Decided<()> {
    let decision = approve_compared(context, id, None, false)?;
    Ok(Steps { changes: decision.changes, audit: decision.audit }.decide(|_| ()))
}

/// Approves a machine whose key has this fingerprint, or a whole fleet; or tells what that would do.
pub fn approve_compared(
    context: &Context<'_>,
    id: &str,
    fingerprint: Option<&str>,
    preview: bool,
) -> Decided<MachineApproval> {
    let (steps, answer) = match find(context, id)? {
        Found::Machine(it) => {
            let old = replaced(context.state, it).map(|it| revocation(context.state, it, preview));
            let answer = approval(&it.id, &it.name, preview, Some(it.public_key.fingerprint()), old);
            (machine::approve(context, Author::Person, it, fingerprint)?, answer)
        }
        Found::Fleet(it) => {
            let answer = approval(&it.id, &it.managed.object.key, preview, None, None);
            (machine::approve_fleet(Author::Person, it)?, answer)
        }
    };
    Ok(unless(preview, steps).decide(move |_| answer))
}

/// Removes a machine that waits for approval, or denies a whole fleet.
pub fn deny(context: &Context<'_>, id: &str) -> Decided<MachineChanged> {
    on_either(
        context,
        id,
        |it| machine::deny(context.state, Author::Person, it),
        |it| machine::deny_fleet(context.state, Author::Person, it),
    )
}

/// Takes a machine its identity and its grants; or denies a whole fleet, whose object stands in a cluster.
pub fn revoke(context: &Context<'_>, id: &str) -> Decided<()> {
    let decision = revoke_or_tell(context, id, false)?;
    Ok(Steps { changes: decision.changes, audit: decision.audit }.decide(|_| ()))
}

/// Takes a machine its identity, or tells what would fall.
pub fn revoke_or_tell(context: &Context<'_>, id: &str, preview: bool) -> Decided<MachineRevocation> {
    let (steps, answer) = match find(context, id)? {
        Found::Machine(it) => (machine::revoke(context, Author::Person, it)?, revocation(context.state, it, preview)),
        Found::Fleet(it) => {
            let (id, name) = (it.id.to_string(), it.managed.object.key.to_string());
            let answer = MachineRevocation { id, name, preview, memberships: 0, grants: 0, secrets: 0 };
            (machine::deny_fleet(context.state, Author::Person, it)?, answer)
        }
    };
    Ok(unless(preview, steps).decide(move |_| answer))
}

/// Switches a machine off, or on again: it keeps its key, its memberships and its grants.
pub fn set_enabled(context: &Context<'_>, id: &MachineId, enabled: bool) -> Decided<MachineChanged> {
    on_machine(context, id, "set spec.suspend there", |it| machine::set_enabled(context, Author::Person, it, enabled))
}

/// Gives a machine another name.
pub fn rename(context: &Context<'_>, id: &MachineId, name: &str) -> Decided<MachineChanged> {
    on_machine(context, id, "its name is the object's", |it| machine::rename(context, Author::Person, it, name))
}

/// Gives a temporary machine more time.
pub fn extend(context: &Context<'_>, id: &MachineId, seconds: u64, reason: &str) -> Decided<MachineChanged> {
    on_machine(context, id, "", |it| temporary::extend(context, Author::Person, it, seconds, reason))
}

/// Takes the last extension of a temporary machine back.
pub fn revert_extension(context: &Context<'_>, id: &MachineId) -> Decided<MachineChanged> {
    on_machine(context, id, "", |it| temporary::revert(context, Author::Person, it))
}

/// Says what each request of a machine has to keep to.
pub fn guard(context: &Context<'_>, id: &MachineId, rails: Guardrails) -> Decided<MachineChanged> {
    on_machine(context, id, "guard its secrets by an AccessPolicy", |it| {
        guardrails::set(context, Author::Person, it, rails)
    })
}

fn on_machine(
    context: &Context<'_>,
    id: &MachineId,
    of_fleet: &str,
    step: impl FnOnce(&Machine) -> Result<Steps, Refusal>,
) -> Decided<MachineChanged> {
    on_either(context, id.as_str(), step, |it| Err(refuse_fleet(it, of_fleet)))
}

fn on_either(
    context: &Context<'_>,
    id: &str,
    on_machine: impl FnOnce(&Machine) -> Result<Steps, Refusal>,
    on_fleet: impl FnOnce(&Fleet) -> Result<Steps, Refusal>,
) -> Decided<MachineChanged> {
    let (steps, name) = match find(context, id)? {
        Found::Machine(it) => (on_machine(it)?, it.name.clone()),
        Found::Fleet(it) => (on_fleet(it)?, it.managed.object.key.to_string()),
    };
    let id = id.to_owned();
    Ok(steps.decide(move |context| changed(context, id, name)))
}

/// What has the id, in any vault.
pub(crate) fn find<'a>(context: &Context<'a>, id: &str) -> Result<Found<'a>, Refusal> {
    let found = machine::find(context.state, id);
    found.ok_or_else(|| not_found(format!("there is no machine and no fleet {id}: machine list shows them")))
}

fn unless(preview: bool, steps: Steps) -> Steps {
    if preview { Steps::default() } else { steps }
}

fn approval(
    id: &impl ToString,
    name: &impl ToString,
    preview: bool,
    fingerprint: Option<String>,
    replaces: Option<MachineRevocation>,
) -> MachineApproval {
    MachineApproval { id: id.to_string(), name: name.to_string(), approved: !preview, preview, fingerprint, replaces }
}
