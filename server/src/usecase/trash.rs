//! The trash: secrets that nobody reads, until they come back or are gone for good.
//!
//! What names a secret by its id stays while it is there: a grant that still stands when it comes back gives it again, and
//! the policy that guarded it guards it again. Where that policy is gone meanwhile, nobody reads it until another guards it
//! or somebody takes the name off. Approvals of a co-signer do not come back.

use std::collections::{BTreeSet, HashSet};

use sikkerkey_protocol::id::SecretId;

use super::author::Author;
use super::secret::{about, project_of};
use super::steps::Steps;
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::model::enrolment::EnrolmentToken;
use crate::model::grant::Grant;
use crate::model::millis::Millis;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::{Change, Entity, EntityKey, EntityKind};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;

/// How long the trash keeps, in seconds.
pub(crate) const TRASH_SECONDS: u64 = 30 * 24 * 3600;

/// Since when a secret is in the trash, and when it goes for good.
pub(crate) fn span(secret: &Secret) -> Option<(Millis, Millis)> {
    match secret.phase {
        SecretPhase::Trashed(since) => Some((since, since.plus_seconds(TRASH_SECONDS))),
        SecretPhase::Active | SecretPhase::Retained => None,
    }
}

/// Takes a secret out of the trash. One that an object stood for waits for an object of its name.
pub(crate) fn restore(context: &Context<'_>, author: Author<'_>, secret: &Secret) -> Result<(Secret, Steps), Refusal> {
    let project = project_of(context, secret)?;
    if let Some(held) = context.state.secret_named(&secret.project, &secret.name) {
        let text = format!(
            "project {} has another secret {} meanwhile, {}: rename or delete that one first",
            project.name, secret.name, held.id
        );
        return Err(Refusal::new(RefusalKind::Conflict, text));
    }
    let phase = if secret.managed.is_some() { SecretPhase::Retained } else { SecretPhase::Active };
    // What was approved before is not approved any more.
    let mut restored = Secret { phase, bindings: secret.bindings + 1, ..secret.clone() };
    restored.touch(context.now, author.actor());
    let detail = match &secret.managed {
        None => format!("{} comes back out of the trash", secret.name),
        Some(it) => format!(
            "{} comes back out of the trash: its value waits for Secret {} of cluster {}",
            secret.name, it.object.key, it.cluster
        ),
    };
    let mut steps = Steps::default();
    steps.audit.push(about(author, Action::SecretRestore, &restored, detail));
    steps.put(Entity::Secret(restored.clone()));
    Ok((restored, steps))
}

/// Removes a secret of the trash for good, with its versions.
pub(crate) fn purge(context: &Context<'_>, author: Author<'_>, secret: &Secret) -> Steps {
    let mut steps = Steps::default();
    let detail = format!("{}: gone for good, with its versions", secret.name);
    steps.audit.push(about(author, Action::SecretPurge, secret, detail));
    forget(context.state, &BTreeSet::from([&secret.id]), &mut steps);
    steps
}

/// Removes secrets, and their ids wherever those stand. All that go together at once: one grant may name several.
pub(crate) fn forget(state: &State, ids: &BTreeSet<&SecretId>, steps: &mut Steps) {
    let named = |secrets: &[SecretId]| secrets.iter().any(|it| ids.contains(it));
    let left = |secrets: &[SecretId]| secrets.iter().filter(|it| !ids.contains(it)).cloned().collect::<Vec<_>>();
    // A grant that has gone in the same decision, with its machine, stays gone.
    let gone = |change: &Change| match change {
        Change::Remove(EntityKey { kind: EntityKind::Grant, id }) => Some(id.clone()),
        _ => None,
    };
    let gone: HashSet<String> = steps.changes.iter().filter_map(gone).collect();
    for grant in state.grants.values().filter(|it| named(&it.secrets) && !gone.contains(&it.id)) {
        let secrets = left(&grant.secrets);
        // A Grant object stays what it is: what it names may come.
        if secrets.is_empty() && grant.managed.is_none() {
            steps.remove(EntityKind::Grant, &grant.id);
        } else {
            steps.put(Entity::Grant(Grant { secrets, ..grant.clone() }));
        }
    }
    for token in state.enrolment_tokens.values().filter(|it| named(&it.secrets)) {
        let secrets = left(&token.secrets);
        steps.put(Entity::EnrolmentToken(EnrolmentToken { secrets, ..token.clone() }));
    }
    for (key, _) in state.co_signs.iter().filter(|(_, it)| ids.contains(&it.secret)) {
        steps.remove(EntityKind::CoSign, key);
    }
    for id in ids {
        if state.canaries.contains_key(*id) {
            steps.remove(EntityKind::Canary, *id);
        }
        steps.remove(EntityKind::Secret, *id);
    }
}
