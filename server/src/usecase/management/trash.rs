//! The trash.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::management::{SecretPurged, SecretRestored, TrashList, TrashedSecret};

use super::secret::{kind, looked, object, require_for_canary};
use super::{Manager, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::secret::{Secret, SecretPhase};
use crate::refusal::{Refusal, conflict};
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

/// How many stand on a page.
pub const ROWS: usize = 50;

/// Which secrets of the trash are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrashQuery {
    /// In the name of the secret or of its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Which page, from 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
}

/// A page of the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashPage {
    /// What was deleted last first.
    pub rows: Vec<TrashedSecret>,
    /// How many there are on all pages.
    pub total: usize,
    /// How many there are, whatever is looked for.
    pub all: usize,
    /// Which page it is.
    pub page: usize,
}

/// A page of what is in the trash.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its query over")]
pub fn page(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], query: TrashQuery) -> Decided<TrashPage> {
    let state = context.state;
    let text = query.q.as_deref().unwrap_or_default().trim().to_lowercase();
    let trashed = state.secrets.values().filter_map(|it| {
        let project = state.projects.get(&it.project).filter(|it| manager.sees(it))?;
        Some((trash::span(it)?.0, it, project))
    });
    let mut found: Vec<_> = trashed.collect();
    let all = found.len();
    let has = |it: &str| it.to_lowercase().contains(&text);
    found.retain(|(_, it, project)| text.is_empty() || has(&it.name) || has(&project.name));
    found.sort_by(|a, b| (Reverse(a.0), &a.1.id).cmp(&(Reverse(b.0), &b.1.id)));
    let total = found.len();
    let page = query.page.unwrap_or(1).clamp(1, total.div_ceil(ROWS).max(1));
    let rows = found.into_iter().skip((page - 1).saturating_mul(ROWS)).take(ROWS);
    let answer = TrashPage { rows: rows.filter_map(|(_, it, _)| view(state, it)).collect(), total, all, page };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the trash".to_owned()));
    Ok(steps.decide(|_| answer))
}

/// One secret of the trash, as it would be purged.
pub fn purging(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1]) -> Decided<TrashedSecret> {
    let secret = find(context, manager, secret)?;
    require_for_canary(context, manager, secret)?;
    let answer = view(context.state, secret).ok_or_else(|| not_found("the trash has no secret of that id"))?;
    let mut steps = Steps::default();
    steps.audit.push(looked(manager, secret, format!("{} in the trash", secret.name)));
    Ok(steps.decide(|_| answer))
}

/// Removes a secret for good, whose name somebody has typed to confirm it.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its form over")]
pub fn purge_confirmed(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    confirmed: String,
) -> Decided<SecretPurged> {
    let secret = find(context, manager, id)?;
    if confirmed != secret.name {
        let text = "the name to confirm with is not that of the secret: type it exactly, since its versions would be gone for good";
        return Err(conflict(text));
    }
    purge(context, manager, [id])
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
    require_for_canary(context, manager, secret)?;
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
