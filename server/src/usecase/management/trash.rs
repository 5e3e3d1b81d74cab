//! The trash.

use std::cmp::Reverse;

use sikkerkey_protocol::management::{Scope, SecretPurged, SecretRestored, TrashList, TrashedSecret};

use super::secret::{kind, object};
use super::{Manager, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::secret::{Secret, SecretPhase};
use crate::refusal::Refusal;
use crate::state::State;
use crate::usecase::steps::Steps;
use crate::usecase::trash;

/// What is in the trash, what was deleted last first.
pub fn list(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<TrashList> {
    let mut steps = Steps::default();
    steps.audit.push(manager.author().entry(Action::ManagementRead, manager.vault, "the trash".to_owned()));
    let state = context.state;
    let seen = |it: &&Secret| state.projects.get(&it.project).is_some_and(|it| manager.sees(it));
    let mut secrets: Vec<_> = state.secrets.values().filter(seen).filter_map(|secret| view(state, secret)).collect();
    secrets.sort_by(|a, b| (Reverse(a.deleted_at), &a.id).cmp(&(Reverse(b.deleted_at), &b.id)));
    Ok(steps.decide(|_| TrashList { secrets }))
}

/// Takes a secret out of the trash.
pub fn restore(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1]) -> Decided<SecretRestored> {
    let secret = find(context, manager, secret)?;
    let (secret, steps) = trash::restore(context, manager.author(), secret)?;
    Ok(steps.decide(move |context| restored(context.state, secret)))
}

/// Removes a secret for good, with its versions. Whoever takes a canary away must be one who may set canaries up.
pub fn purge(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1]) -> Decided<SecretPurged> {
    let secret = find(context, manager, secret)?;
    if context.state.canaries.contains_key(&secret.id) {
        manager.require(Scope::PoliciesWrite)?;
    }
    let steps = trash::purge(context, manager.author(), secret);
    let id = secret.id.clone();
    Ok(steps.decide(|_| SecretPurged { id, purged: true }))
}

fn restored(state: &State, secret: Secret) -> SecretRestored {
    SecretRestored {
        readable: secret.phase == SecretPhase::Active,
        policy_in_force: secret.policy.as_ref().is_none_or(|it| state.policy_in_force(&secret.project, it).is_some()),
        id: secret.id,
        name: secret.name,
        project_id: secret.project,
        policy: secret.policy,
    }
}

/// A secret of the trash as people see it; none: it is not there.
pub(crate) fn view(state: &State, secret: &Secret) -> Option<TrashedSecret> {
    let (since, end) = trash::span(secret)?;
    Some(TrashedSecret {
        id: secret.id.clone(),
        project_id: secret.project.clone(),
        project_name: state.projects.get(&secret.project).map(|it| it.name.clone()).unwrap_or_default(),
        name: secret.name.clone(),
        kind: kind(state, secret),
        version: secret.version,
        deleted_at: since.0,
        purged_at: end.0,
        managed_by: secret.managed.as_ref().map(object),
    })
}

fn find<'s>(context: &Context<'s>, manager: &Manager<'_>, id: &str) -> Result<&'s Secret, Refusal> {
    let secret = id.parse().ok().and_then(|id| context.state.secrets.get(&id));
    let seen = |it: &&Secret| {
        trash::span(it).is_some() && context.state.projects.get(&it.project).is_some_and(|it| manager.sees(it))
    };
    secret.filter(seen).ok_or_else(|| not_found("the trash of this vault has no secret of that id"))
}
