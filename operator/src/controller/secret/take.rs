//! Taking a value over from a core Secret: the look before a plan, and what follows once the server has the value.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Resource as _, ResourceExt};
use sikkerkey_crds::condition::{ConditionType, find};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::{KubernetesSecret, OnTaken, Origin, Secret};
use sikkerkey_protocol::kubernetes::{Kind, ObjectKey, SecretState, TakenFrom};

use super::gather::Facts;
use super::original::read::{self, Deletion};
use super::original::{Disabled, Found, Keeper, Marks, Original, Taken, Taking};
use crate::controller::Context;
use crate::controller::error::Error;
use crate::controller::events::News;
use crate::controller::ledger::{is_past, jittered};
use crate::controller::plan::Outcome;
use crate::index::references::{Resource, Target};
use crate::index::seen::{IndexedKind, Seen};

/// A core Secret is looked at this often: nothing tells when it changes, as it is not watched.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// And of many, each this much more seldom: not more than twenty looks a second by the whole operator.
const FOR_EACH: Duration = Duration::from_millis(50);
/// How long a core Secret stays after its value was taken: other Secrets (sks) that take from it may be on their way.
const STAYS_FOR: Duration = Duration::from_secs(15);

/// The core Secret that the spec names, if it names one.
pub fn source(secret: &Secret) -> Option<&KubernetesSecret> {
    match secret.spec.source.origin() {
        Ok(Origin::KubernetesSecret(source)) => Some(source),
        Ok(_) | Err(_) => None,
    }
}

/// The place that the spec names, as the server notes it.
pub fn place(source: &KubernetesSecret) -> TakenFrom {
    TakenFrom { name: source.name.clone(), key: source.key.clone() }
}

/// Reads the core Secret, if the spec names one and it may be read.
pub async fn look(object: &Received<Secret>, facts: &mut Facts, context: &Context) -> Result<(), Error> {
    let Some(source) = source(object).filter(|_| object.refusal().is_none()) else { return Ok(()) };
    let key = key(object);
    let own_namespace = context.own_pod.namespace.as_deref() == Some(key.namespace.as_str());
    if own_namespace || !context.kubernetes_secret_source {
        let why = if own_namespace { Disabled::OwnNamespace } else { Disabled::SwitchedOff };
        facts.original = Original::Disabled(why);
        return Ok(());
    }
    let now = context.clock.now();
    let takers = takers(context);
    facts.look_at = later(now, jittered(period(takers.len()), &uid(object)));
    facts.original = match read::read(&context.client, &key.namespace, &source.name).await {
        Ok(None) => Original::Missing,
        Ok(Some(core)) => {
            let taken = context.ledger.entry(Kind::Secret, &key, &uid(object)).taken;
            let marks = core.marks();
            let is_known =
                taken.is_some_and(|it| it.marks == marks && Some(it.generation) == object.metadata.generation);
            let value = if is_known { Ok(Taking::Known) } else { core.value(source.key.as_deref()).map(Taking::New) };
            let manager = core.manager().map(Keeper::Manager);
            let kept_by = manager.or_else(|| others(context, &takers, &key, source, &marks));
            Original::Found(Found { marks, value, kept_by, is_going: core.is_going() })
        }
        Err(kube::Error::Api(status)) if status.code == 403 => Original::Disabled(Disabled::NoRight),
        Err(error) => return Err(Error::ReadOriginal(target(key), error)),
    };
    Ok(())
}

/// Notes what the server acknowledged, and deletes the core Secret where it is to go.
pub async fn follow_up(
    object: &Received<Secret>,
    facts: &mut Facts,
    outcome: &Outcome<SecretState>,
    context: &Context,
) {
    let (Some(source), Outcome::InForce(state)) = (source(object), outcome) else { return };
    let Original::Found(found) = &mut facts.original else { return };
    let Ok(taking) = &found.value else { return };
    let (key, uid, now) = (key(object), uid(object), context.clock.now());
    let is_ours = state.taken_from == Some(place(source));
    let since = match taking {
        Taking::New(_) => now,
        Taking::Known => {
            let taken = context.ledger.entry(Kind::Secret, &key, &uid).taken;
            let Some(taken) = taken.filter(|taken| is_ours && taken.version == state.version) else {
                // The server has another value: somebody set it, or it was restored. The source decides.
                context.ledger.note(Kind::Secret, &key, &uid, |entry| entry.taken = None);
                facts.look_at = later(now, Duration::from_millis(1));
                return;
            };
            taken.since
        }
    };
    let generation = object.metadata.generation.unwrap_or_default();
    let taken = Taken { marks: found.marks.clone(), generation, version: state.version, since };
    context.ledger.note(Kind::Secret, &key, &uid, |entry| entry.taken = Some(Box::new(taken)));
    let is_to_go = source.on_taken() == OnTaken::Delete && !found.is_going && is_ours;
    if !is_to_go || matches!(found.kept_by, Some(Keeper::Manager(_) | Keeper::Refused)) {
        return;
    }
    if !is_past(since, STAYS_FOR, now) {
        // Others may still be about to take it: that it stays for them is no news yet.
        if !says_that_it_was_kept(object) {
            found.kept_by = None;
        }
        facts.look_at = later(since, STAYS_FOR);
        return;
    }
    if found.kept_by.is_some() {
        return;
    }
    let deleted = read::delete(&context.client, &key.namespace, &source.name, &found.marks).await;
    match deleted {
        Ok(Deletion::Done) => {
            tracing::info!(%key, original = source.name, "the Kubernetes Secret was deleted: its value is taken over");
            facts.original = Original::Missing;
            let message = format!("Kubernetes Secret {} was deleted: its value is at the server.", source.name);
            let news = News { is_warning: false, reason: Reason::OriginalDeleted.to_string(), message };
            context.events.publish(&object.object_ref(&()), "Reconcile", &news).await;
        }
        // Taken anew, from the start.
        Ok(Deletion::Changed) => {
            context.ledger.note(Kind::Secret, &key, &uid, |entry| entry.taken = None);
            facts.look_at = later(now, Duration::from_millis(1));
        }
        Ok(Deletion::Refused) => found.kept_by = Some(Keeper::Refused),
        // The object is in force whatever becomes of its original: the next look tries again.
        Err(error) => {
            tracing::warn!(%key, original = source.name, %error, "the Kubernetes Secret could not be deleted");
        }
    }
}

fn says_that_it_was_kept(secret: &Secret) -> bool {
    let ready = secret.status.as_ref().and_then(|status| find(&status.conditions, ConditionType::Ready));
    ready.is_some_and(|ready| ready.reason == Reason::OriginalKept.as_str())
}

/// Between two looks at one core Secret, of so many.
fn period(takers: usize) -> Duration {
    LOOK_EVERY.max(FOR_EACH.saturating_mul(u32::try_from(takers).unwrap_or(u32::MAX)))
}

/// The Secrets (sks) that take from a core Secret.
fn takers(context: &Context) -> Vec<Arc<Received<Secret>>> {
    let all: Vec<Arc<Seen<Secret>>> = Secret::store(&context.index).state();
    let parsed = all.iter().filter_map(|seen| seen.0.as_ref().ok());
    parsed.filter(|secret| source(secret).is_some()).cloned().collect()
}

/// Those that take from the same core Secret and would lose it: they keep it, or have not taken what stands there now.
fn others(
    context: &Context,
    takers: &[Arc<Received<Secret>>],
    own: &ObjectKey,
    own_source: &KubernetesSecret,
    marks: &Marks,
) -> Option<Keeper> {
    let same = |secret: &&Arc<Received<Secret>>| {
        secret.metadata.deletion_timestamp.is_none()
            && secret.metadata.namespace.as_deref() == Some(own.namespace.as_str())
            && secret.metadata.name.as_deref() != Some(own.name.as_str())
            && source(secret).is_some_and(|source| source.name == own_source.name)
    };
    let loses = |secret: &&Arc<Received<Secret>>| {
        let taken = context.ledger.entry(Kind::Secret, &key(secret), &uid(secret)).taken;
        let has_taken = taken.is_some_and(|it| it.marks == *marks && Some(it.generation) == secret.metadata.generation);
        !has_taken || source(secret).is_none_or(|source| source.on_taken() == OnTaken::Keep)
    };
    let mut names: Vec<String> = takers.iter().filter(same).filter(loses).map(|secret| secret.name_any()).collect();
    names.sort();
    (!names.is_empty()).then_some(Keeper::Others(names))
}

fn key(secret: &Received<Secret>) -> ObjectKey {
    ObjectKey { namespace: secret.namespace().unwrap_or_default(), name: secret.name_any() }
}

fn uid(secret: &Received<Secret>) -> String {
    secret.metadata.uid.clone().unwrap_or_default()
}

fn target(key: ObjectKey) -> Target {
    Target { resource: Resource::Secret, key }
}

fn later(from: Timestamp, by: Duration) -> Option<Timestamp> {
    from.checked_add(SignedDuration::try_from(by).ok()?).ok()
}

#[cfg(test)]
mod tests;
