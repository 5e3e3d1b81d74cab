//! A fresh key for a machine that goes on.

use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::{Registered, Renew};

use super::key_owner;
use super::source::Source;
use super::{authenticate, steps};
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::fleet::FleetSubject;
use crate::model::machine::Machine;
use crate::refusal::{Refusal, RefusalKind};

/// Replaces the key of the machine that signed and starts its lifetime anew. What it was delivered stays.
#[expect(clippy::needless_pass_by_value, reason = "the form of every use case")]
pub fn renew(context: &Context<'_>, machine: &Machine, source: Source, request: Renew) -> Decided<Registered> {
    authenticate::may_ask(context.state, machine, context.now)?;
    let message = possession(Purpose::Renew, machine.id.as_str(), &request.public_key);
    request.public_key.verify(&message, &request.proof).map_err(|_| {
        let text = "the proof does not verify: sign with the fresh key, for renewal, over this machine's id";
        Refusal::new(RefusalKind::Invalid, text)
    })?;
    // The old key as well: a renewal that changes nothing would only prolong.
    key_owner::require_unused(context.state, &request.public_key)?;
    let fleet = machine.fleet.as_ref().and_then(|id| context.state.fleets.get(id));
    let lifetime = match fleet.map(|it| &it.subject) {
        Some(FleetSubject::Host { public_key: Some(_), .. }) => {
            let text = "the key of this host is pinned in its Machine object: change it there";
            return Err(Refusal::new(RefusalKind::Conflict, text));
        }
        Some(FleetSubject::Workload { lifetime_seconds, .. }) => Some(*lifetime_seconds),
        Some(FleetSubject::Host { lifetime_seconds, .. }) => *lifetime_seconds,
        None => None,
    };
    let renewed = Machine {
        public_key: request.public_key,
        expires_at: lifetime.map(|seconds| context.now.plus_seconds(seconds)).or(machine.expires_at),
        ..machine.clone()
    };
    let mut entry = Entry::new(Action::MachineRenew, Actor::Machine(machine.id.clone()));
    entry.vault = Some(machine.vault.clone());
    entry.machine = Some(machine.id.clone());
    entry.source_ip = Some(source.address);
    entry.detail = format!("{}; key {}", steps::describe(machine), renewed.public_key.fingerprint());
    let answer = Registered {
        machine_id: machine.id.clone(),
        machine_name: machine.name.clone(),
        vault_id: machine.vault.clone(),
        api_url: context.public_url.to_owned(),
        expires_at: renewed.expires_at.map_or(0, |at| at.0),
    };
    let mut steps = steps::Steps::default();
    steps.put(Entity::Machine(renewed));
    steps.audit.push(entry);
    Ok(steps.decide(|_| answer))
}
