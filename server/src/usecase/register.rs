//! A one-time token becomes a machine.

mod host;

use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::{Register, Registered};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::kubernetes::Approval;

use super::authenticate;
use super::fresh_id::fresh_uuid;
use super::key_owner::require_unused;
use super::kubernetes::voucher::{self, require_active, require_admitted, require_there};
use super::source::Source;
use super::steps::{Steps, answer, describe};
use crate::audit::digest::Digest;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::model::fleet::FleetSubject;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::token::{Token, TokenPurpose, Used, Voucher};
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, unauthenticated};

const NOT_KNOWN: &str = "the token is not known here, or ended some time ago: ask for a new one";
const REVOKED_SINCE: &str = "the token was used, and its machine is revoked since: ask for a new one";

/// Registers a machine. The same token with the same key gives the same answer for as long as the token would have been
/// good: an answer that was lost on its way locks nobody out.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn register(context: &Context<'_>, source: Source, request: Register) -> Decided<Registered> {
    let hash = Digest::of(request.token.expose().as_bytes());
    let Some(token) = context.state.tokens.get(&hash) else { return pod_again(context, source, &request, hash) };
    require_time_left(context, token.expires_at)?;
    authenticate::may_connect(context.state, &token.vault, source.address)?;
    check_proof(&request)?;
    match &token.purpose {
        TokenPurpose::Pod(voucher) => {
            if voucher.public_key != request.public_key {
                return Err(unauthenticated("the voucher is for another key: attest the key that registers"));
            }
            require_proof(&request)?;
            pod_registers(context, source, token, voucher)
        }
        TokenPurpose::Host(it) => {
            if let Some(registered) = again(context, token, &request.public_key)? {
                return Ok(answer(move |_| registered));
            }
            let wanted =
                host::Wanted { name: it.name.as_ref(), fleet: it.fleet.as_ref(), lifetime: it.lifetime_seconds };
            host::registers(context, source, token, &wanted, &request)
        }
        TokenPurpose::SpentByPod { .. } => Err(unauthenticated(NOT_KNOWN)),
        TokenPurpose::Agent(_) => {
            Err(unauthenticated("the token is for an agent: register it at /v1/ai-bootstrap/register"))
        }
    }
}

/// A voucher that was used is no token any more: the machine that came of it knows which it was.
fn pod_again(context: &Context<'_>, source: Source, request: &Register, hash: Digest) -> Decided<Registered> {
    let mut held = context.state.machines_with_key(&request.public_key);
    let Some(machine) = held.find(|it| it.voucher == Some(hash)) else { return Err(unauthenticated(NOT_KNOWN)) };
    require_time_left(context, machine.created_at.plus_seconds(voucher::LIFETIME_SECONDS))?;
    authenticate::may_connect(context.state, &machine.vault, source.address)?;
    check_proof(request)?;
    require_proof(request)?;
    let registered = registered(context, machine);
    Ok(answer(move |_| registered))
}

fn require_time_left(context: &Context<'_>, end: Millis) -> Result<(), Refusal> {
    if end <= context.now {
        return Err(unauthenticated("the token has expired: ask for a new one"));
    }
    Ok(())
}

fn check_proof(request: &Register) -> Result<(), Refusal> {
    let Some(proof) = &request.proof else { return Ok(()) };
    let message = possession(Purpose::Register, request.token.expose(), &request.public_key);
    let verified = request.public_key.verify(&message, proof);
    verified
        .map_err(|_| unauthenticated("the proof of possession does not verify: sign it with the key that registers"))
}

/// A voucher is worth something to its own key alone.
fn require_proof(request: &Register) -> Result<(), Refusal> {
    if request.proof.is_none() {
        return Err(unauthenticated("a voucher needs a proof of possession of its key"));
    }
    Ok(())
}

/// What was answered before, when the token was used by the same key.
fn again(context: &Context<'_>, token: &Token, key: &PublicKey) -> Result<Option<Registered>, Refusal> {
    let Some(used) = &token.used else { return Ok(None) };
    if used.public_key != *key {
        return Err(unauthenticated("the token was used by another key: ask for a new one"));
    }
    let held = used
        .registered
        .as_ref()
        .filter(|it| context.state.machines.get(&it.machine_id).is_some_and(|machine| machine.public_key == *key));
    match held {
        Some(registered) => Ok(Some(registered.clone())),
        None => Err(unauthenticated(REVOKED_SINCE)),
    }
}

fn pod_registers(context: &Context<'_>, source: Source, token: &Token, voucher: &Voucher) -> Decided<Registered> {
    let Voucher { fleet, pod, public_key } = voucher;
    let Some(fleet) = context.state.fleets.get(fleet) else {
        return Err(unauthenticated("the Machine that the voucher is for is gone: apply it again, and attest again"));
    };
    require_active(fleet)?;
    require_admitted(fleet, &pod.pod.service_account)?;
    require_there(context, &pod.cluster, &pod.pod.uid.to_string())?;
    require_unused(context.state, public_key)?;
    let FleetSubject::Workload { lifetime_seconds, .. } = fleet.subject else {
        return Err(unauthenticated("the Machine that the voucher is for is a host"));
    };
    let machine = Machine {
        id: fresh_uuid(context)?,
        vault: fleet.vault.clone(),
        name: format!("{}/{}", pod.pod.namespace, pod.pod.name),
        public_key: *public_key,
        approval: Approval::Approved,
        enabled: true,
        expires_at: Some(context.now.plus_seconds(lifetime_seconds)),
        created_at: context.now,
        fleet: Some(fleet.id.clone()),
        pod: Some(pod.clone()),
        hostname: None,
        enrolled_by: None,
        approved_by_person: false,
        voucher: Some(token.hash),
        host: None,
    };
    let entry = Entry {
        vault: Some(fleet.vault.clone()),
        project: Some(fleet.project.clone()),
        source_ip: Some(source.address),
        ..Entry::new(Action::MachineRegister, Actor::Machine(machine.id.clone()))
    };
    let mut steps = Steps::default();
    for earlier in context.state.machines_of_pod(&pod.cluster, &pod.pod.uid) {
        steps.revoke(earlier, entry.clone(), "its pod enrolled anew");
    }
    let detail = format!(
        "{}, of Machine {}, key {}",
        describe(&machine),
        fleet.managed.object.key,
        machine.public_key.fingerprint()
    );
    steps.audit.push(Entry { machine: Some(machine.id.clone()), detail, ..entry });
    Ok(finish(context, token, machine, steps))
}

fn finish(
    context: &Context<'_>,
    token: &Token,
    machine: Machine,
    mut steps: Steps,
) -> crate::decision::Decision<Registered> {
    let registered = registered(context, &machine);
    // Pods are many, and what the token says of one its machine says as well.
    if machine.voucher.is_some() {
        steps.remove(EntityKind::Token, &token.id());
    } else {
        let used = Used { public_key: machine.public_key, registered: Some(registered.clone()) };
        steps.put(Entity::Token(Token { used: Some(Box::new(used)), ..token.clone() }));
    }
    steps.put(Entity::Machine(machine));
    steps.decide(move |_| registered)
}

/// What a machine that has just registered is answered.
fn registered(context: &Context<'_>, machine: &Machine) -> Registered {
    Registered {
        machine_id: machine.id.clone(),
        machine_name: machine.name.clone(),
        vault_id: machine.vault.clone(),
        api_url: context.public_url.to_owned(),
        expires_at: machine.expires_at.map_or(0, |it| it.0),
    }
}

#[cfg(test)]
mod tests;
