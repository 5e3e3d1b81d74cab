//! How the objects stand: what the operator copies into their status.

use sikkerkey_protocol::kubernetes::{
    Approval, Awaited, GrantState, MachineState, PolicyState, SecretState, Usage, WindowState,
};

use crate::decision::Context;
use crate::ledger::Holding;
use crate::model::fleet::{Fleet, FleetSubject};
use crate::model::grant::Grant;
use crate::model::machine::{Grantee, Machine};
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::secret::{Secret, SecretPhase, ValueOrigin};
use crate::policy;
use crate::usecase::co_sign;
use crate::usecase::rotation::Schedule;

/// How long a new pod may take to write its files before it counts as one that has not.
const WRITING_SECONDS: u64 = 10;

pub(crate) fn of_machine(context: &Context<'_>, fleet: &Fleet) -> MachineState {
    let (state, now) = (context.state, context.now);
    let who = Grantee::Fleet(fleet.id.clone());
    let granted = state
        .secrets_granted_to(&who)
        .filter(|it| it.phase == SecretPhase::Active)
        .filter(|it| state.is_granted(&who, &it.id, now))
        .count();
    let machines: Vec<_> = state.machines_in(&fleet.id).collect();
    // A key that waits is what somebody has to look at; the one before it goes on meanwhile.
    let host = match fleet.subject {
        FleetSubject::Host { .. } => machines.iter().max_by_key(|it| (it.approval == Approval::Pending, it.created_at)),
        FleetSubject::Workload { .. } => None,
    };
    let approval = match (&fleet.subject, host) {
        (FleetSubject::Host { .. }, Some(host)) if fleet.approval == Approval::Approved => host.approval,
        (FleetSubject::Host { public_key: None, .. }, None) if fleet.approval == Approval::Approved => {
            Approval::Pending
        }
        _ => fleet.approval,
    };
    let machine_id = match fleet.subject {
        FleetSubject::Workload { .. } => Some(fleet.id.to_string()),
        FleetSubject::Host { .. } => host.map(|it| it.id.to_string()),
    };
    MachineState {
        machine_id,
        approval,
        suspended: fleet.suspended,
        alive: count(machines.iter().filter(|it| it.is_live(now))),
        granted_secrets: u32::try_from(granted).unwrap_or(u32::MAX),
        last_seen: machines.iter().filter_map(|it| context.ledger.last_seen(&it.id)).max().map(|it| it.0),
        fingerprint: host.map(|it| it.public_key.fingerprint()),
        expires_at: host.and_then(|it| it.expires_at).map(|it| it.0),
    }
}

pub(crate) fn of_secret(context: &Context<'_>, secret: &Secret) -> SecretState {
    let (state, now) = (context.state, context.now);
    let (mut grants, mut total, mut current) = (0, 0, 0);
    for grantee in state.grantees_of(&secret.id) {
        grants += count(state.grants_for(grantee, &secret.id).filter(|it| it.is_live(now)));
        let machines: Vec<_> = match grantee {
            Grantee::Fleet(fleet) => state.machines_in(fleet).collect(),
            Grantee::Machine(machine) => state.machines.get(machine).into_iter().collect(),
        };
        for machine in machines.iter().filter(|it| it.is_live(now)) {
            if let Some(holding) =
                context.ledger.holding(&machine.id, &secret.id).filter(|it| counts(machine, *it, now))
            {
                total += 1;
                current += u32::from(holding.version == secret.version && holding.in_files);
            }
        }
    }
    let schedule = Schedule::of(secret);
    SecretState {
        secret_id: secret.id.clone(),
        project_id: secret.project.clone(),
        version: secret.version,
        version_time: secret.version_time.map(|it| it.0),
        next_rotation: schedule.next.map(|it| it.0),
        rotation_due_since: schedule.next.filter(|_| !secret.is_made_here() && schedule.is_due(now)).map(|it| it.0),
        field_names: secret.field_names.clone(),
        taken_from: match &secret.origin {
            Some(ValueOrigin::Taken(from)) => Some(from.clone()),
            _ => None,
        },
        grants,
        policy_in_force: secret.policy.as_ref().is_none_or(|it| state.policy_in_force(&secret.project, it).is_some()),
        unbound: None,
        pods_total: total,
        pods_current: current,
    }
}

/// Whether a machine counts among those that serve a secret, or should: one that has just begun has a while to write its
/// files. Where pods come and go all the time, some would always be behind.
fn counts(machine: &Machine, holding: Holding, now: Millis) -> bool {
    holding.in_files || machine.created_at.plus_seconds(WRITING_SECONDS) <= now
}

pub(crate) fn of_grant(context: &Context<'_>, grant: &Grant, missing: Vec<String>) -> GrantState {
    let state = context.state;
    let secrets: Vec<&Secret> = grant.secrets.iter().filter_map(|id| state.secrets.get(id)).collect();
    let (granted, gone): (Vec<&Secret>, Vec<&Secret>) = secrets.iter().partition(|it| it.phase == SecretPhase::Active);
    let mut missing: Vec<String> = missing.into_iter().chain(gone.into_iter().map(|it| it.name.clone())).collect();
    missing.sort();
    missing.dedup();
    let usage =
        secrets.iter().filter_map(|it| context.ledger.usage(&grant.grantee, &it.id)).fold(Usage::default(), sum);
    let awaited = |secret: &&Secret| {
        let (reason, message) = co_sign::awaited(state, &secret.id, &grant.grantee, context.now)?;
        Some(Awaited { secret: secret.name.clone(), reason, message })
    };
    let awaiting = granted.iter().filter_map(awaited).collect();
    GrantState {
        machine_id: Some(grant.grantee.to_string()),
        granted: granted.into_iter().map(|it| it.name.clone()).collect(),
        missing,
        usage,
        awaiting,
    }
}

pub(crate) fn of_policy(context: &Context<'_>, policy: &Policy) -> PolicyState {
    let secrets: Vec<&Secret> = context
        .state
        .secrets_naming(&policy.project, &policy.name)
        .filter(|it| it.phase == SecretPhase::Active)
        .collect();
    let mut state = PolicyState {
        secrets: count(secrets.iter()),
        // A document that could not be read would not have been put in force.
        window: WindowState::Closed,
        window_changes_at: None,
        usage: Usage::default(),
        denied_by: std::collections::BTreeMap::new(),
        pending_co_signs: count(co_sign::waiting_under(context.state, policy, context.now)),
        remaining_reads: None,
    };
    if let Ok((window, change)) = policy::window_state(&policy.document, context.now) {
        state.window = window;
        state.window_changes_at = change.map(|it| it.0);
    }
    let max_reads = policy.document.ttl.as_ref().and_then(|it| it.max_reads).map(u64::from);
    let mut used_up = !secrets.is_empty();
    for secret in secrets {
        let of_secret = context.ledger.secret_usage(&secret.id);
        let remaining = max_reads.map(|max| max.saturating_sub(of_secret.usage.reads));
        used_up &= remaining == Some(0);
        state.remaining_reads = state.remaining_reads.into_iter().chain(remaining).min();
        state.usage = sum(std::mem::take(&mut state.usage), &of_secret.usage);
        for (reason, times) in of_secret.denied_by.into_iter().filter(|(reason, _)| reason.is_of_axis()) {
            *state.denied_by.entry(reason).or_default() += times;
        }
    }
    if used_up {
        (state.window, state.window_changes_at) = (WindowState::Ended, None);
    }
    state
}

pub(super) fn sum(mut sum: Usage, more: &Usage) -> Usage {
    sum.reads += more.reads;
    sum.denied += more.denied;
    sum.last_read = sum.last_read.max(more.last_read);
    if let Some(last) = &more.last_denied
        && sum.last_denied.as_ref().is_none_or(|known| known.time < last.time)
    {
        sum.last_denied = Some(last.clone());
    }
    sum
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
