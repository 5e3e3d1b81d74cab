//! Objects that are gone: their access is over before the answer.

use sikkerkey_protocol::kubernetes::{Delete, Deleted, Kind};

use super::scope::Scope;
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::model::fleet::Fleet;
use crate::model::machine::Grantee;
use crate::model::policy::Policy;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::token::TokenPurpose;
use crate::model::{Entity, EntityKind};
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// Takes an object out of force. One that is not there, or is another of the same name, is left as it is.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn delete(context: &Context<'_>, agent: &Agent, source: Source, request: Delete) -> Decided<Deleted> {
    let scope = Scope::of(context, agent, source)?;
    let (state, cluster, key) = (context.state, &scope.cluster.name, &request.key);
    let mut steps = Steps::default();
    let is_it = |held: &crate::model::managed::Managed| held.object.uid == request.uid;
    match request.kind {
        Kind::Machine => {
            if let Some(fleet) = state.fleet_of(cluster, key).filter(|it| is_it(&it.managed)) {
                remove_fleet(&scope, fleet, &mut steps);
            }
        }
        Kind::Secret => {
            if let Some(secret) = state.secret_of(cluster, key).filter(|it| it.managed.as_ref().is_some_and(is_it)) {
                put_away(&scope, secret, request.trash, &mut steps);
            }
        }
        Kind::Grant => {
            if let Some(grant) = state.grant_of(cluster, key).filter(|it| it.managed.as_ref().is_some_and(is_it)) {
                steps.audit.push(scope.entry(Action::GrantDelete, Some(&grant.project), format!("Grant {key}")));
                steps.remove(EntityKind::Grant, &grant.id);
            }
        }
        Kind::AccessPolicy => {
            if let Some(policy) = state.policy_of(cluster, key).filter(|it| it.managed.as_ref().is_some_and(is_it)) {
                remove_policy(&scope, policy, &mut steps);
            }
        }
    }
    Ok(steps.decide(|_| Deleted {}))
}

fn remove_fleet(scope: &Scope<'_>, fleet: &Fleet, steps: &mut Steps) {
    let state = scope.context.state;
    let key = &fleet.managed.object.key;
    let entry = |action, detail| scope.entry(action, Some(&fleet.project), detail);
    for machine in state.machines_in(&fleet.id) {
        steps.revoke(machine, entry(Action::MachineRevoke, String::new()), "its Machine object is gone");
    }
    let grantee = Grantee::Fleet(fleet.id.clone());
    for grant in state.grants.values().filter(|it| it.grantee == grantee) {
        let name = grant.managed.as_ref().map_or_else(|| grant.id.clone(), |it| it.object.key.to_string());
        let detail = format!("Grant {name}: its Machine {key} is gone");
        let project = Some(grant.project.clone());
        steps.audit.push(crate::audit::entry::Entry { project, ..entry(Action::GrantDelete, detail) });
        steps.remove(EntityKind::Grant, &grant.id);
    }
    let is_of_fleet = |purpose: &TokenPurpose| match purpose {
        TokenPurpose::Pod(voucher) => voucher.fleet == fleet.id,
        TokenPurpose::Host(it) => it.fleet.as_ref() == Some(&fleet.id),
        TokenPurpose::SpentByPod { .. } | TokenPurpose::Agent(_) => false,
    };
    for token in state.tokens.values().filter(|it| is_of_fleet(&it.purpose)) {
        steps.remove(EntityKind::Token, &token.id());
    }
    steps.audit.push(entry(Action::FleetDelete, format!("Machine {key}")));
    steps.remove(EntityKind::Fleet, &fleet.id);
}

/// A protected policy cannot be removed by an agent, and an object that is deleted must not be held up: it stays here
/// without its object, and denies. An object of its name that comes later is measured by it.
fn remove_policy(scope: &Scope<'_>, policy: &Policy, steps: &mut Steps) {
    if policy.withdrawn {
        return;
    }
    let key = policy.managed.as_ref().map_or_else(|| policy.name.clone(), |it| it.object.key.to_string());
    let locked = scope.context.state.secrets_naming(&policy.project, &policy.name).count();
    let stays = if policy.protected { "protected, so it stays, withdrawn: " } else { "" };
    let detail = format!("AccessPolicy {key}: {stays}{locked} secrets that name it are locked");
    steps.audit.push(scope.entry(Action::PolicyDelete, Some(&policy.project), detail));
    if policy.protected {
        // What was approved under it is not approved under what comes after it.
        let revision = policy.revision + 1;
        steps.put(Entity::Policy(Policy { withdrawn: true, revision, ..policy.clone() }));
    } else {
        steps.remove(EntityKind::Policy, &policy.id);
    }
}

fn put_away(scope: &Scope<'_>, secret: &Secret, trash: bool, steps: &mut Steps) {
    let (phase, action, what) = if trash {
        (SecretPhase::Trashed(scope.context.now), Action::SecretDelete, "goes to the trash for 30 days")
    } else {
        (SecretPhase::Retained, Action::SecretRetain, "its value is kept for a Secret of the same name")
    };
    if secret.phase == phase {
        return;
    }
    let key = secret.managed.as_ref().map_or_else(|| secret.name.clone(), |it| it.object.key.to_string());
    let mut entry = scope.entry(action, Some(&secret.project), format!("Secret {key}: {what}"));
    entry.secret = Some(secret.id.clone());
    steps.audit.push(entry);
    steps.put(Entity::Secret(Secret { phase, ..secret.clone() }));
}
