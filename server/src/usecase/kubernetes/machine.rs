//! `Machine` objects: fleets of pods, and hosts.

use std::sync::Arc;

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::kubernetes::{ApplyMachine, Approval, MachineState, Subject};
use sikkerkey_protocol::sync::{ChangeAction, Delivery, OnChange};

use super::scope::{Scope, check_generation, check_object};
use super::{project, standing};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::fleet::{Fleet, FleetSubject};
use crate::model::machine::Machine;
use crate::refusal::{Refusal, invalid};
use crate::usecase::fresh_id::{fresh_uuid, object_id};
use crate::usecase::key_owner::{KeyOwner, in_use, key_owner};
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// From five minutes to 366 days, in seconds.
const LIFETIMES: std::ops::RangeInclusive<u64> = 300..=8784 * 3600;

/// Puts a `Machine` in force.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn apply(context: &Context<'_>, agent: &Agent, source: Source, request: ApplyMachine) -> Decided<MachineState> {
    let scope = Scope::of(context, agent, source)?;
    check(&request)?;
    let mut steps = Steps::default();
    let project = project::ensure(&scope, &request.object, &mut steps)?;
    let old = context.state.fleet_of(&scope.cluster.name, &request.object.key);
    check_generation(old.map(|it| &it.managed), &request.object)?;

    let id = match old {
        Some(old) => old.id.clone(),
        None => object_id(&scope.cluster.name, &request.object)?,
    };
    let fleet = Fleet {
        id,
        vault: scope.agent.vault.clone(),
        project: project.id,
        managed: scope.managed(&request.object),
        approval: approval(&request, old),
        suspended: request.suspended,
        subject: subject(&request.subject)?,
    };
    if let Some(old) = old
        && std::mem::discriminant(&old.subject) != std::mem::discriminant(&fleet.subject)
    {
        if old.managed.object.uid == request.object.uid {
            return Err(invalid("a Machine is for pods or for a host for life: make a new Machine".to_owned()));
        }
        for machine in context.state.machines_in(&old.id) {
            let entry = scope.entry(Action::MachineRevoke, Some(&fleet.project), String::new());
            steps.revoke(machine, entry, "its Machine was made anew for another kind of subject");
        }
    }
    for machine in old.into_iter().flat_map(|old| context.state.machines_in(&old.id)) {
        // Who was taken off the list keeps nothing of what it was given while it stood there.
        if let (FleetSubject::Workload { .. }, Some(pod)) = (&fleet.subject, &machine.pod)
            && !fleet.admits(&pod.pod.service_account)
        {
            let entry = scope.entry(Action::MachineRevoke, Some(&fleet.project), String::new());
            steps.revoke(machine, entry, "its Machine does not list its service account any more");
        }
    }
    if old != Some(&fleet) {
        let what = if old.is_some() { "changed" } else { "created" };
        let detail = format!("Machine {} {what}, {}", request.object.key, describe(&fleet));
        steps.audit.push(scope.entry(Action::FleetApply, Some(&fleet.project), detail));
        steps.put(Entity::Fleet(fleet.clone()));
    }
    // A key that a person has denied is no machine until a person approves it.
    if let FleetSubject::Host { public_key: Some(key), .. } = &fleet.subject
        && fleet.approval != Approval::Denied
    {
        pin(&scope, old, &fleet, *key, &mut steps)?;
    }
    Ok(steps.decide(move |context| standing::of_machine(context, &fleet)))
}

fn check(request: &ApplyMachine) -> Result<(), Refusal> {
    check_object(&request.object)?;
    let lifetime = match &request.subject {
        Subject::Workload { lifetime_seconds, .. } => Some(*lifetime_seconds),
        Subject::Host { lifetime_seconds, .. } => *lifetime_seconds,
    };
    if lifetime.is_some_and(|it| !LIFETIMES.contains(&it)) {
        return Err(invalid("identity.lifetime is from 5m to 8784h".to_owned()));
    }
    match &request.subject {
        Subject::Workload { delivery, .. } => check_delivery(delivery),
        Subject::Host { .. } => Ok(()),
    }
}

/// What a sidecar sends.
const SIGNALS: [&str; 4] = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM"];

/// What no sidecar of this version can do is refused here, before a pod waits for it.
fn check_delivery(delivery: &Delivery) -> Result<(), Refusal> {
    if let Some(OnChange { action: ChangeAction::Signal { name, .. }, .. }) = &delivery.on_change
        && !SIGNALS.contains(&name.as_str())
    {
        let text = format!("onChange.signal {name} is not supported by this version: use {}", SIGNALS.join(", "));
        return Err(invalid(text).code(ErrorCode::Unsupported));
    }
    Ok(())
}

fn subject(subject: &Subject) -> Result<FleetSubject, Refusal> {
    Ok(match subject {
        Subject::Workload { service_accounts, lifetime_seconds, delivery } => {
            let text = serde_json::to_vec(delivery).map_err(|_| invalid("delivery is not readable".to_owned()))?;
            FleetSubject::Workload {
                service_accounts: service_accounts.clone(),
                lifetime_seconds: *lifetime_seconds,
                delivery: Arc::new(delivery.clone()),
                delivery_revision: sha256_hex(&text),
            }
        }
        Subject::Host { public_key, lifetime_seconds } => {
            FleetSubject::Host { public_key: *public_key, lifetime_seconds: *lifetime_seconds }
        }
    })
}

/// What a person decided stays decided; otherwise the object says whether a person is asked. Of a host, a person is asked
/// about each key.
fn approval(request: &ApplyMachine, old: Option<&Fleet>) -> Approval {
    match old.map(|it| it.approval) {
        Some(Approval::Denied) => Approval::Denied,
        _ if matches!(request.subject, Subject::Host { .. }) => Approval::Approved,
        Some(Approval::Approved) => Approval::Approved,
        _ if request.manual_approval => Approval::Pending,
        _ => Approval::Approved,
    }
}

/// A host whose key stands in its object is a machine at once, and no other key is.
fn pin(
    scope: &Scope<'_>,
    old: Option<&Fleet>,
    fleet: &Fleet,
    key: PublicKey,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let state = scope.context.state;
    let lifetime = match &fleet.subject {
        FleetSubject::Host { lifetime_seconds, .. } => *lifetime_seconds,
        FleetSubject::Workload { .. } => None,
    };
    // A key that its object has named all the time may wait for a person since: after a restore.
    let is_news = !old.is_some_and(|it| it.names(&key));
    let waiting = match key_owner(state, &key) {
        None => None,
        Some(KeyOwner::Fleet(id)) if id == fleet.id => None,
        Some(KeyOwner::Machine(id)) => match state.machines.get(&id) {
            Some(machine) if machine.fleet.as_ref() == Some(&fleet.id) => Some(machine),
            // It enrolled with a one-time token and waits for approval: naming its key in the object is the approval.
            Some(machine)
                if machine.fleet.is_none() && machine.approval == Approval::Pending && machine.vault == fleet.vault =>
            {
                Some(machine)
            }
            _ => return Err(taken()),
        },
        Some(_) => return Err(taken()),
    };
    for machine in state.machines_in(&fleet.id).filter(|it| it.pod.is_none() && it.public_key != key) {
        let entry = scope.entry(Action::MachineRevoke, Some(&fleet.project), String::new());
        steps.revoke(machine, entry, "its Machine names another key");
    }
    let now = scope.context.now;
    let machine = match waiting {
        Some(held) => Machine {
            name: fleet.managed.object.key.to_string(),
            approval: if is_news { Approval::Approved } else { held.approval },
            expires_at: lifetime.map(|it| held.created_at.plus_seconds(it)),
            fleet: Some(fleet.id.clone()),
            // A person who approves it afterwards, by its id, vouches for it; its key in an object does not.
            approved_by_person: held.fleet.is_some() && held.approved_by_person,
            ..Machine::clone(held)
        },
        None => Machine {
            id: fresh_uuid(&scope.context)?,
            vault: fleet.vault.clone(),
            name: fleet.managed.object.key.to_string(),
            public_key: key,
            approval: Approval::Approved,
            enabled: true,
            expires_at: lifetime.map(|it| now.plus_seconds(it)),
            created_at: now,
            fleet: Some(fleet.id.clone()),
            pod: None,
            hostname: None,
            enrolled_by: None,
            approved_by_person: false,
            voucher: None,
            host: None,
        },
    };
    if waiting.is_none_or(|held| **held != machine) {
        let detail = format!("host {} with pinned key {}", machine.name, key.fingerprint());
        let mut entry = scope.entry(Action::MachineApprove, Some(&fleet.project), detail);
        entry.machine = Some(machine.id.clone());
        steps.audit.push(entry);
        steps.put(Entity::Machine(machine));
    }
    Ok(())
}

fn taken() -> Refusal {
    in_use("the key in spec.host.publicKey belongs to another machine at the server: make a new one on the host")
}

fn describe(fleet: &Fleet) -> String {
    let approval = match fleet.approval {
        Approval::Approved if matches!(fleet.subject, FleetSubject::Host { public_key: None, .. }) => {
            "a person approves its key"
        }
        Approval::Approved => "approved",
        Approval::Pending => "waits for approval",
        Approval::Denied => "denied",
    };
    let suspended = if fleet.suspended { ", suspended" } else { "" };
    let subject = match &fleet.subject {
        FleetSubject::Workload { lifetime_seconds, delivery, .. } => {
            format!("pods for {lifetime_seconds} s, {} files", delivery.files.len())
        }
        FleetSubject::Host { .. } => "a host".to_owned(),
    };
    format!("generation {}, {subject}, {approval}{suspended}", fleet.managed.object.generation)
}
