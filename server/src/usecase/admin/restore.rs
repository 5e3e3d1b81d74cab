//! What a restored backup may not bring back.
//!
//! Between the backup and now machines were revoked, grants removed, tokens used and reads counted, and nobody knows which.
//! So what acts by itself begins anew by itself (pods, operators), what a cluster holds is applied again by its operator,
//! and for the rest a person is asked.

use sikkerkey_protocol::header::SKEW_SECONDS;
use sikkerkey_protocol::kubernetes::Approval;

use super::by_person;
use crate::audit::entry::Action;
use crate::model::agent::{Agent, AgentTrust};
use crate::model::cluster::Cluster;
use crate::model::credential::Credential;
use crate::model::machine::{Grantee, Machine};
use crate::model::membership::Membership;
use crate::model::policy::Policy;
use crate::model::secret::Secret;
use crate::model::{Entity, EntityKind};
use crate::policy::window::instant;
use crate::state::State;
use crate::store::backup::{Beginning, Reopened};
use crate::usecase::steps::Steps;

/// What the new epoch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Machines of pods and of enrolment tokens, which are gone.
    pub machines_removed: usize,
    /// Hosts that wait for approval.
    pub machines_pending: usize,
    /// Agents that logged in by a token of a cluster or of another issuer, which are gone.
    pub agents_removed: usize,
    /// Agents that wait for approval.
    pub agents_pending: usize,
    /// One-time and enrolment tokens, which are gone.
    pub tokens_removed: usize,
    /// Grants behind an object, to a fleet, or of a machine that is gone.
    pub grants_removed: usize,
    /// Policies behind an object, until it is applied again.
    pub policies_removed: usize,
    /// Secrets that are held.
    pub secrets_held: usize,
}

/// Begins the new epoch. `file` is the backup's, for the audit.
pub fn begin(it: &Reopened<'_>, file: &str) -> Beginning<Outcome> {
    let state = &it.world.state;
    let (mut steps, mut outcome) = (Steps::default(), Outcome::default());
    machines(state, &mut steps, &mut outcome);
    agents(state, &mut steps, &mut outcome);
    // A request may be that far ahead of the clock: up to there nonces may be burnt that the backup does not have.
    let nonce_floor = it.now.seconds().saturating_add(SKEW_SECONDS);
    for cluster in state.clusters.values() {
        steps.put(Entity::Cluster(Cluster { logins_after: Some(nonce_floor), ..cluster.clone() }));
    }
    for trust in state.agent_trusts.values() {
        steps.put(Entity::AgentTrust(AgentTrust { logins_after: Some(nonce_floor), ..trust.clone() }));
    }
    for token in state.tokens.values() {
        steps.remove(EntityKind::Token, &token.id());
    }
    for id in state.enrolment_tokens.keys() {
        steps.remove(EntityKind::EnrolmentToken, id);
    }
    outcome.tokens_removed = state.tokens.len() + state.enrolment_tokens.len();
    let gone = |grantee: &Grantee| match grantee {
        Grantee::Machine(id) => state.machines.get(id).is_none_or(|it| ends(it)),
        // Its pods come without being approved.
        Grantee::Fleet(_) => true,
    };
    for grant in state.grants.values().filter(|it| it.managed.is_some() || gone(&it.grantee)) {
        steps.remove(EntityKind::Grant, &grant.id);
        outcome.grants_removed += 1;
    }
    for secret in state.secrets.values().filter(|it| !it.held && is_limited(state, it)) {
        steps.put(Entity::Secret(Secret { held: true, ..secret.clone() }));
        outcome.secrets_held += 1;
    }
    // Who was logged out since is logged out, and a recovery code that was used since is used.
    for session in state.sessions.keys() {
        steps.remove(EntityKind::Session, session);
    }
    for credential in state.credentials.values().filter(|it| !it.recovery_codes.is_empty()) {
        steps.put(Entity::Credential(Credential { recovery_codes: Vec::new(), ..credential.clone() }));
    }
    // Who approved may have been revoked since, and what was approved may be others' business now.
    for key in state.co_signs.keys() {
        steps.remove(EntityKind::CoSign, key);
    }
    for policy in state.policies.values().filter(|it| it.managed.is_some()) {
        if policy.protected {
            // What its cluster applies is measured by it, also after a restore.
            steps.put(Entity::Policy(Policy { withdrawn: true, ..policy.clone() }));
        } else {
            steps.remove(EntityKind::Policy, &policy.id);
        }
        outcome.policies_removed += 1;
    }
    let detail = format!(
        "restored from {file} made at {}, epoch {}: {} machines, {} agents, {} tokens, {} grants and {} policies removed; {} \
         machines and {} agents wait for approval, {} secrets for release",
        instant(it.made),
        it.epoch,
        outcome.machines_removed,
        outcome.agents_removed,
        outcome.tokens_removed,
        outcome.grants_removed,
        outcome.policies_removed,
        outcome.machines_pending,
        outcome.agents_pending,
        outcome.secrets_held,
    );
    steps.audit.push(by_person(Action::ServerRestore, None, detail));
    Beginning { changes: steps.changes, audit: steps.audit, nonce_floor, answer: outcome }
}

/// Whether it comes again by itself, if it may.
fn ends(machine: &Machine) -> bool {
    machine.pod.is_some() || machine.enrolled_by.is_some()
}

fn machines(state: &State, steps: &mut Steps, outcome: &mut Outcome) {
    for machine in state.machines.values() {
        if ends(machine) {
            steps.remove(EntityKind::Machine, &machine.id);
            for membership in state.memberships_of(&machine.id) {
                steps.remove(EntityKind::Membership, &Membership::id(&membership.project, &machine.id));
            }
            outcome.machines_removed += 1;
        } else if machine.approval == Approval::Approved {
            steps.put(Entity::Machine(Machine {
                approval: Approval::Pending,
                approved_by_person: false,
                ..Machine::clone(machine)
            }));
            outcome.machines_pending += 1;
        }
    }
}

fn agents(state: &State, steps: &mut Steps, outcome: &mut Outcome) {
    for agent in state.agents.values() {
        if agent.pod.is_some() || agent.workload.is_some() {
            steps.remove(EntityKind::Agent, &agent.id);
            outcome.agents_removed += 1;
        } else if agent.approved {
            steps.put(Entity::Agent(Agent { approved: false, ..agent.clone() }));
            outcome.agents_pending += 1;
        }
    }
}

/// Whether reads that the backup does not know of may have used up what its policy allows. A policy that is not there may
/// be one that counts.
fn is_limited(state: &State, secret: &Secret) -> bool {
    let Some(name) = &secret.policy else { return false };
    let Some(policy) = state.policy_named(&secret.project, name) else { return true };
    let document = &policy.document;
    document.ttl.as_ref().is_some_and(|it| it.max_reads.is_some())
        || document.rate_cap.as_ref().is_some_and(|it| it.per_day.is_some())
}
