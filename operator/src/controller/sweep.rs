//! The regular look at everything the server holds: what was missed, and what happened there.

use std::collections::HashSet;
use std::time::Duration;

use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::{crd, secret};
use sikkerkey_protocol::kubernetes::{Delete, Entry, Inventoried, Inventory, Kind, ObjectKey};

use super::compare::{Orphan, compare, needs_acknowledgement};
use super::events::News;
use super::plan::{Evidence, Outcome, Plan, Reconciled};
use super::status::{self, Worth};
use super::{Context, touch};
use crate::index::references::Resource;

/// Between two sweeps of a small cluster.
const SMALL: Duration = Duration::from_secs(5);
/// Between two sweeps of a large one.
const LARGE: Duration = Duration::from_secs(30);
/// More objects than this are many.
const MANY: usize = 1_000;

/// Sweeps for ever. Whoever waits for the server is touched as soon as it answers.
pub async fn run(context: &Context) {
    let mut up = context.session.up();
    let mut held = 0;
    loop {
        let inventory = context.session.call(&Inventory {}).await;
        match inventory {
            Ok(inventory) if context.index.is_synced() => {
                for (kind, key) in context.ledger.waiting() {
                    touch(context, kind, &key);
                }
                held = clean_up(context, &inventory, held).await;
                update(context, &inventory);
                crate::pods::compare(context, &inventory.pods).await;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "no inventory"),
        }
        let pause = if context.index.len() > MANY { LARGE } else { SMALL };
        let server_is_back = async {
            // Only the way up is of interest. A sender that is gone ends the process elsewhere.
            up.mark_unchanged();
            while up.changed().await.is_ok() {
                if *up.borrow_and_update() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        let _ = tokio::time::timeout(pause, server_is_back).await;
    }
}

/// Removes what the cluster no longer has, and has looked at what the server lacks. How many removals are held back.
async fn clean_up(context: &Context, inventory: &Inventoried, held_before: usize) -> usize {
    let kinds = [Kind::Machine, Kind::Secret, Kind::Grant, Kind::AccessPolicy];
    let keys = kinds
        .into_iter()
        .flat_map(|kind| context.index.keys(Resource::from(kind)).into_iter().map(move |key| (kind, key)));
    let present: HashSet<(Kind, ObjectKey)> = keys.collect();
    let differences = compare(inventory, &present, &context.ledger.applied());
    for (kind, key) in &differences.stale {
        tracing::info!(?kind, %key, "the server holds another state: it is applied again");
        touch(context, *kind, key);
    }
    // What we let go of ourselves is known to be gone.
    let (known, unknown): (Vec<_>, Vec<_>) =
        differences.orphans.into_iter().partition(|orphan| context.ledger.deferred(&orphan.uid).is_some());
    for orphan in &known {
        remove(context, orphan).await;
    }
    let mut gone = Vec::new();
    for orphan in unknown {
        if is_gone(&context.client, &orphan).await {
            gone.push(orphan);
        }
    }
    if needs_acknowledgement(gone.len(), differences.total, context.acknowledged_removals) {
        if gone.len() != held_before {
            report_held(context, gone.len(), differences.total).await;
        }
        context.metrics.removals_held(gone.len());
        return gone.len();
    }
    context.metrics.removals_held(0);
    for orphan in &gone {
        remove(context, orphan).await;
    }
    0
}

async fn report_held(context: &Context, count: usize, total: usize) {
    let message = format!(
        "{count} of {total} objects at the server are not in this cluster: nothing is removed. If they are to go, start the \
         operator with --acknowledge-removals {count}; if this cluster was restored, apply its objects first."
    );
    tracing::error!("{message}");
    // No condition speaks of it: it is about no object of the cluster.
    let news = News { is_warning: true, reason: "RemovalsHeld".to_owned(), message };
    context.events.publish(&context.own_pod, "Compare", &news).await;
}

async fn remove(context: &Context, orphan: &Orphan) {
    let Orphan { kind, key, uid } = orphan;
    let trash = context.ledger.deferred(uid).unwrap_or(false);
    let delete = Delete { kind: *kind, key: key.clone(), uid: uid.clone(), trash };
    match context.session.call(&delete).await {
        Ok(_) => {
            tracing::info!(?kind, %key, "taken out of force: the cluster no longer has it");
            context.ledger.settle(uid);
            context.metrics.orphan_deleted();
        }
        Err(error) => tracing::warn!(?kind, %key, %error, "an object without its counterpart is still in force"),
    }
}

/// Asks the API server itself, past every cache. What it does not clearly deny is not gone.
async fn is_gone(client: &Client, orphan: &Orphan) -> bool {
    async fn absent<K: crd::Kind>(client: &Client, key: &ObjectKey) -> bool {
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &key.namespace);
        match api.get(&key.name).await {
            // A resource that is not served at all answers 404 as well, but names no object.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                status.details.as_ref().is_some_and(|details| details.name == key.name)
            }
            Err(error) => {
                tracing::warn!(kind = K::KIND, %key, %error, "whether it is gone is not known: it stays");
                false
            }
            Ok(_) => false,
        }
    }
    match orphan.kind {
        Kind::Machine => absent::<Machine>(client, &orphan.key).await,
        Kind::Secret => absent::<secret::Secret>(client, &orphan.key).await,
        Kind::Grant => absent::<Grant>(client, &orphan.key).await,
        Kind::AccessPolicy => absent::<AccessPolicy>(client, &orphan.key).await,
    }
}

/// Has every object looked at whose status would be another one now.
fn update(context: &Context, inventory: &Inventoried) {
    update_kind::<Machine>(context, &inventory.machines);
    update_kind::<secret::Secret>(context, &inventory.secrets);
    update_kind::<Grant>(context, &inventory.grants);
    update_kind::<AccessPolicy>(context, &inventory.policies);
}

fn update_kind<K>(context: &Context, entries: &[Entry<K::State>])
where
    K: Reconciled,
    K::State: Clone,
{
    let mut due = Vec::new();
    for entry in entries {
        match worth::<K>(context, entry) {
            Worth::Facts | Worth::News => touch(context, K::WIRE, &entry.object.key),
            Worth::DueCounters => {
                let written = context.ledger.entry(K::WIRE, &entry.object.key, &entry.object.uid).counters_written;
                due.push((written, &entry.object.key));
            }
            Worth::NotYet | Worth::Nothing => {}
        }
    }
    // The oldest first. What is beyond the budget of this round comes in the next.
    due.sort();
    for (_, key) in due.into_iter().take(COUNTERS_A_ROUND) {
        touch(context, K::WIRE, key);
    }
}

/// As many passes as the budget of one round of a small cluster could write for.
const COUNTERS_A_ROUND: usize = 50;

/// What a pass over the object would write, if the server answered what the inventory says.
fn worth<K>(context: &Context, entry: &Entry<K::State>) -> Worth
where
    K: Reconciled,
    K::State: Clone,
{
    use kube::runtime::reflector::ObjectRef;
    let key = &entry.object.key;
    let store = K::store(&context.index);
    let Some(seen) = store.get(&ObjectRef::new(&key.name).within(&key.namespace)) else { return Worth::Nothing };
    let Ok(object) = &seen.0 else { return Worth::Nothing };
    let remembered = context.ledger.entry(K::WIRE, key, &entry.object.uid);
    let current = object.meta().uid.as_ref() == Some(&entry.object.uid)
        && object.meta().generation == Some(entry.object.generation)
        && object.meta().deletion_timestamp.is_none()
        && remembered.applied
        && remembered.in_force == Some(entry.object.generation);
    if !current {
        return Worth::Nothing;
    }
    let now = context.clock.now();
    let facts = K::gather(object, &context.index, now);
    let plan = K::plan(object, entry.object.clone(), &facts);
    let Plan::Act { action: super::plan::Action::Apply(_), .. } = plan else { return Worth::Nothing };
    let previous = object.status().cloned().unwrap_or_default();
    let wanted = K::conclude(&Evidence {
        object,
        facts: &facts,
        plan: &plan,
        outcome: &Outcome::InForce(entry.state.clone()),
        previous: &previous,
        in_force: remembered.in_force,
        cluster: "",
        now,
    });
    status::worth_now::<K>(&previous, &wanted, &context.ledger, &remembered, now)
}
