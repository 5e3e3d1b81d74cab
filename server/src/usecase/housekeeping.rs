//! What the server does by itself as time goes on.

use std::collections::BTreeSet;

use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::{Entity, EntityKind};
use crate::state::State;
use crate::usecase::co_sign;
use crate::usecase::rotation::{self, Schedule};
use crate::usecase::steps::{Steps, by_server, describe};
use crate::usecase::trash;

/// The most secrets that one round renews: the writer does nothing else meanwhile.
const MOST_ROTATIONS: usize = 64;
/// The most ephemeral machines, and the most secrets of the trash, that one round ends, for the same reason.
const MOST_ENDED: usize = 512;
/// How long a pod that is gone is remembered, in seconds: longer than any token of it lasts.
const TOMBSTONE_SECONDS: u64 = 24 * 3600;
/// How long a pod that a person revoked gets no identity, unless it is gone before.
const REVOKED_POD_SECONDS: u64 = 366 * 24 * 3600;
/// How long an identity that ended is kept, in seconds, for those who look why something stopped.
const ENDED_SECONDS: u64 = 3600;
/// How long an ephemeral machine that ended is kept, disabled, with its grants, in seconds.
const EPHEMERAL_SECONDS: u64 = 24 * 3600;
/// How long an enrolment token that ended is kept, for those who look what let a machine in, in seconds.
const ENROLMENT_TOKEN_SECONDS: u64 = 30 * 24 * 3600;
/// How late a value may be made before somebody should look, in seconds.
const OVERDUE_SECONDS: u64 = 600;

/// One round: renews values that are due, revokes pods whose identity ended, forgets what has no use any more.
pub fn run(context: &Context<'_>) -> Decided<()> {
    let mut steps = Steps::default();
    rotate_due(context, &mut steps);
    revoke_ended(context, &mut steps);
    empty_trash(context, &mut steps);
    forget(context, &mut steps);
    co_sign::forget(context, &mut steps);
    Ok(steps.decide(|_| ()))
}

/// How many values should have been made [a while](OVERDUE_SECONDS) ago: something keeps the server from it.
pub fn overdue(state: &State, now: Millis) -> usize {
    let is_overdue = |it: &&Secret| {
        let next = Schedule::of(it).next;
        next.is_some_and(|next| next.plus_seconds(OVERDUE_SECONDS) <= now)
    };
    let is_made_here = |it: &&Secret| it.phase == SecretPhase::Active && it.is_made_here();
    state.secrets.values().filter(is_made_here).filter(is_overdue).count()
}

fn rotate_due(context: &Context<'_>, steps: &mut Steps) {
    let mut due: Vec<&Secret> = context
        .state
        .secrets
        .values()
        .filter(|it| it.phase == SecretPhase::Active && it.is_made_here() && Schedule::of(it).is_due(context.now))
        .collect();
    due.sort_by_key(|it| (Schedule::of(it).next, it.id.clone()));
    let mut renewed = 0;
    for secret in due {
        let Some(project) = context.state.projects.get(&secret.project) else { continue };
        match rotation::renew(context, project, secret, "it was due", steps) {
            Ok(()) => renewed += 1,
            // One that does not open holds nobody else up. Tried again with the next round.
            Err(refusal) => tracing::error!(secret = %secret.id, %refusal, "the secret is not rotated"),
        }
        if renewed == MOST_ROTATIONS {
            break;
        }
    }
}

fn revoke_ended(context: &Context<'_>, steps: &mut Steps) {
    for machine in context.state.machines.values() {
        // A host's row stays: a person enrols it again.
        if machine.pod.is_some() && ended(machine.expires_at, ENDED_SECONDS, context.now) {
            steps.revoke(machine, by_server(Action::MachineRevoke), "its identity ended and was not renewed");
        }
    }
    let ephemeral = context.state.machines.values().filter(|it| it.enrolled_by.is_some() && it.fleet.is_none());
    let has_ended = |it: &&std::sync::Arc<Machine>| {
        ended(it.expires_at, if it.enabled { 0 } else { EPHEMERAL_SECONDS }, context.now)
    };
    for machine in ephemeral.filter(has_ended).take(MOST_ENDED) {
        end_ephemeral(context, machine, steps);
    }
    // A temporary machine's row stays, disabled, with what it was granted: people look at it, and revoke it.
    let is_temporary = |it: &Machine| it.host.as_ref().is_some_and(|it| it.temporary.is_some());
    let temporary = context.state.machines.values().filter(|it| it.enrolled_by.is_none() && is_temporary(it));
    for machine in temporary.filter(|it| it.enabled && ended(it.expires_at, 0, context.now)).take(MOST_ENDED) {
        switch_off(machine, steps);
    }
}

/// Refused it is from its end on; what happens here is for those who look. First its row says that it has ended, a day
/// later it is gone with its memberships and grants.
fn end_ephemeral(context: &Context<'_>, machine: &Machine, steps: &mut Steps) {
    if ended(machine.expires_at, EPHEMERAL_SECONDS, context.now) {
        steps.revoke(machine, by_server(Action::MachineRevoke), "its time is over since a day");
        steps.forget_access(context.state, machine, &by_server(Action::GrantDelete));
    } else {
        switch_off(machine, steps);
    }
}

fn switch_off(machine: &Machine, steps: &mut Steps) {
    steps.audit.push(Entry {
        vault: Some(machine.vault.clone()),
        machine: Some(machine.id.clone()),
        detail: format!("{} disabled: its time is over", describe(machine)),
        ..by_server(Action::MachineUpdate)
    });
    steps.put(Entity::Machine(Machine { enabled: false, ..machine.clone() }));
}

fn empty_trash(context: &Context<'_>, steps: &mut Steps) {
    let secrets = context.state.secrets.values();
    let ended = secrets.filter(|it| trash::span(it).is_some_and(|(_, end)| end <= context.now));
    let mut ids = BTreeSet::new();
    for secret in ended.take(MOST_ENDED) {
        steps.audit.push(Entry {
            vault: Some(secret.vault.clone()),
            project: Some(secret.project.clone()),
            secret: Some(secret.id.clone()),
            detail: format!("{}: 30 days in the trash are over", secret.name),
            ..by_server(Action::SecretDelete)
        });
        ids.insert(&secret.id);
    }
    if !ids.is_empty() {
        trash::forget(context.state, &ids, steps);
    }
}

fn forget(context: &Context<'_>, steps: &mut Steps) {
    let (state, now) = (context.state, context.now);
    for token in state.tokens.values().filter(|it| ended(Some(it.expires_at), ENDED_SECONDS, now)) {
        steps.remove(EntityKind::Token, &token.id());
    }
    for login in state.spent_logins.values().filter(|it| ended(Some(it.expires_at), 0, now)) {
        steps.remove(EntityKind::SpentLogin, &login.hash);
    }
    for token in state.enrolment_tokens.values().filter(|it| ended(Some(it.expires_at), ENROLMENT_TOKEN_SECONDS, now)) {
        steps.remove(EntityKind::EnrolmentToken, &token.id);
    }
    for session in state.sessions.values().filter(|it| it.has_ended(now)) {
        steps.remove(EntityKind::Session, &session.id);
    }
    for agent in state.agents.values().filter(|it| ended(it.expires_at, ENDED_SECONDS, now)) {
        steps.remove(EntityKind::Agent, &agent.id);
    }
    for (id, pod) in &state.gone_pods {
        let remembered = if pod.revoked { REVOKED_POD_SECONDS } else { TOMBSTONE_SECONDS };
        if ended(Some(pod.since), remembered, now) {
            steps.remove(EntityKind::GonePod, id);
        }
    }
}

fn ended(at: Option<Millis>, grace_seconds: u64, now: Millis) -> bool {
    at.is_some_and(|it| it.plus_seconds(grace_seconds) <= now)
}

#[cfg(test)]
mod tests;
