//! The regular look at everything the server holds: what was missed, and what happened there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::{crd, secret};
use sikkerkey_protocol::kubernetes::{self as wire, Delete, Entry, Inventory, Kind, ObjectKey, Rewind};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Context;
use super::compare::{AtServer, Believed, Orphan, Stale, compare, needs_acknowledgement};
use super::events::News;
use super::ledger::{COUNTERS_PER_SECOND, Held};
use super::listed::Listed;
use super::plan::{Evidence, Outcome, Plan, Reconciled};
use super::status::{self, Worth};
use crate::index::references::Target;
use crate::server::unreadable;

/// Between two sweeps of a small cluster.
const SMALL: Duration = Duration::from_secs(5);
/// Between two sweeps while something waits for the server.
const WAITED_FOR: Duration = Duration::from_secs(1);
/// Between two sweeps of a large one. What should be seen within 15 seconds waits for a sweep and for its own write.
const LARGE: Duration = Duration::from_secs(10);
/// An object that nothing touches is looked at this often all the same: a status that somebody else changed is put right.
const AT_LEAST_EVERY: Duration = Duration::from_hours(1);
/// So many objects are many.
const MANY: usize = 1_000;
/// So many of them in one sweep: after the clock was put forward all are due, and what is new must not wait among them.
const A_FEW: usize = 200;
/// So long objects are compared before reviews of pods, which cannot wait, have their turn.
const TURN: Duration = Duration::from_millis(5);

/// Sweeps for ever. Whoever waits for the server is touched as soon as it answers.
pub async fn run(context: &Context) {
    let mut up = context.session.up();
    let mut held = 0;
    loop {
        let begun = Instant::now();
        let counters = sweep(context, &mut held).await;
        let pause = match context.index.len() {
            // One question a second costs nothing, and what waits should not wait for its own back-off.
            _ if !context.ledger.waiting().is_empty() => WAITED_FOR,
            MANY.. => LARGE,
            _ => SMALL,
        };
        up.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = back(&mut up, begun + WAITED_FOR) => {}
            () = drip(context, counters) => {}
        }
    }
}

/// Compares everything once. Objects for which only counters differ, in order; `held` removals are held back.
async fn sweep(context: &Context, held: &mut usize) -> VecDeque<(Kind, ObjectKey)> {
    let _under_way = context.metrics.comparison();
    look_again(context);
    // From before the question: what is applied while it is answered may not be in the answer.
    let believed = context.ledger.believed();
    let answer = context.session.ask(&Inventory {}).await;
    let listed = answer.as_ref().map_err(Clone::clone);
    match listed.and_then(|answer| Listed::of(answer).map_err(|error| unreadable(&error))) {
        Ok(inventory) if context.index.is_synced() => {
            touch_or_forget(context, context.ledger.waiting());
            *held = clean_up(context, &inventory, &believed, *held).await;
            let counters = update(context, &inventory).await;
            crate::pods::compare(context, &inventory.pods).await;
            return counters;
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "no inventory"),
    }
    VecDeque::new()
}

/// Has those looked at that nobody has looked at for long, a few in each sweep.
fn look_again(context: &Context) {
    let mut overdue = context.ledger.overdue(AT_LEAST_EVERY, context.clock.now());
    overdue.truncate(A_FEW);
    touch_or_forget(context, overdue);
}

/// Has an object looked at again.
fn touch(context: &Context, kind: Kind, key: &ObjectKey) {
    context.index.look_again(&Target { resource: kind.into(), key: key.clone() });
}

/// An object that is gone and that nobody has looked at since needs no other look.
fn touch_or_forget(context: &Context, objects: Vec<(Kind, Arc<ObjectKey>)>) {
    for (kind, key) in objects {
        if context.index.standing(&Target { resource: kind.into(), key: ObjectKey::clone(&key) }).is_some() {
            touch(context, kind, &key);
        } else {
            context.ledger.forget(kind, &key);
        }
    }
}

/// Resolves when the server answers again, and not before `soonest`: one that comes and goes is not asked for everything each
/// time.
async fn back(up: &mut watch::Receiver<Option<bool>>, soonest: Instant) {
    tokio::time::sleep_until(soonest).await;
    while up.changed().await.is_ok() {
        if *up.borrow_and_update() == Some(true) {
            return;
        }
    }
    // A sender that is gone ends the process elsewhere.
    std::future::pending::<()>().await;
}

/// Has so many objects looked at in each second as may be written for their counters. Does not end.
async fn drip(context: &Context, mut due: VecDeque<(Kind, ObjectKey)>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    while !due.is_empty() {
        second.tick().await;
        for (kind, key) in due.drain(..due.len().min(COUNTERS_PER_SECOND)) {
            touch(context, kind, &key);
        }
    }
    std::future::pending::<()>().await;
}

/// Removes what the cluster no longer has, or has in a namespace that is not managed, and has looked at what the server lacks.
/// How many removals are held back.
async fn clean_up(context: &Context, inventory: &Listed<'_>, believed: &Believed, held_before: usize) -> usize {
    let present = |kind: Kind, key: &ObjectKey| {
        let standing = context.index.standing(&Target { resource: kind.into(), key: key.clone() });
        standing.filter(|_| context.index.manages(&key.namespace))
    };
    let differences = compare(inventory.objects(), present, believed);
    for stale in &differences.stale {
        let Stale { kind, key, believed, at_server } = stale;
        if context.ledger.correct(*kind, key, believed, *at_server, stale.is_due()) && stale.is_due() {
            tracing::info!(?kind, %key, "the server holds another state: the object is looked at again");
            touch(context, *kind, key);
        }
    }
    take_back(context, &differences.ahead).await;
    // What we let go of ourselves is known to be gone.
    let (known, unknown): (Vec<_>, Vec<_>) =
        differences.orphans.into_iter().partition(|orphan| context.ledger.deferred(&orphan.uid).is_some());
    for orphan in &known {
        remove(context, orphan).await;
    }
    let mut gone = Vec::new();
    let mut let_go = BTreeMap::new();
    for orphan in unknown {
        let namespace = &orphan.key.namespace;
        if !let_go.contains_key(namespace) {
            let_go.insert(namespace.clone(), is_let_go(context, namespace).await);
        }
        if let_go.get(namespace) == Some(&true) {
            // Whoever took its labels off has said so. Where this process has never managed it, the selector may be wrong.
            if context.index.has_let_go_of(namespace) {
                remove(context, &orphan).await;
            } else {
                gone.push(orphan);
            }
        } else if is_gone(&context.client, &orphan).await {
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
        "{count} of {total} objects at the server are not in this cluster, not in a namespace that the operator manages, or \
         others of their names are: nothing is removed. If they are to go, start the operator with --acknowledge-removals \
         {count}; if this cluster was restored, apply its objects first."
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
            tracing::info!(?kind, %key, "taken out of force: the cluster no longer has it, or not in a managed namespace");
            context.ledger.settle(uid);
            context.metrics.orphan_deleted();
        }
        Err(error) => tracing::warn!(?kind, %key, %error, "an object without its counterpart is still in force"),
    }
}

/// Whether the namespace is one that the operator does not manage. Asks the API server itself, past every cache.
async fn is_let_go(context: &Context, namespace: &str) -> bool {
    if context.index.manages(namespace) {
        return false;
    }
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(context.client.clone());
    match namespaces.get(namespace).await {
        Ok(found) => !context.index.managed().matches(found.labels()),
        Err(error) => {
            tracing::warn!(namespace, %error, "whether the namespace is managed is not known: what it has in force stays");
            false
        }
    }
}

/// Has the older generations of a cluster that was restored from a backup in force. Where the API server has a newer one after all,
/// it is only on its way to our index.
async fn take_back(context: &Context, ahead: &[AtServer]) {
    let mut taken_back = 0_usize;
    for held in ahead {
        let kind = held.kind;
        let Ok(own) = look_up(&context.client, kind, &held.key).await else { continue };
        let older = own.generation.filter(|own| *own < held.generation);
        let Some(to) = older.filter(|_| own.uid.as_deref() == Some(&held.uid)) else { continue };
        let rewind = Rewind { kind, key: held.key.clone(), uid: held.uid.clone(), from: held.generation, to };
        match context.session.call(&rewind).await {
            Ok(_) => {
                tracing::info!(?kind, key = %held.key, from = held.generation, to, "an older generation is applied");
                touch(context, kind, &held.key);
                taken_back += 1;
            }
            Err(error) => tracing::warn!(?kind, key = %held.key, %error, "the server keeps a newer generation"),
        }
    }
    if taken_back > 0 {
        tracing::warn!(objects = taken_back, "the cluster was taken back to an earlier day: what it says holds");
    }
}

async fn is_gone(client: &Client, orphan: &Orphan) -> bool {
    let Orphan { kind, key, uid } = orphan;
    let answer = look_up(client, *kind, key).await;
    let found = answer.as_ref().map(|object| object.uid.as_deref());
    let is_gone = proves_gone(found, &key.name, uid);
    if let (Err(error), false) = (found, is_gone) {
        tracing::warn!(?kind, %key, %error, "whether it is gone is not known: it stays");
    }
    is_gone
}

/// Asks the API server itself, past every cache.
async fn look_up(client: &Client, kind: Kind, key: &ObjectKey) -> kube::Result<ObjectMeta> {
    async fn meta<K: crd::Kind>(client: &Client, key: &ObjectKey) -> kube::Result<ObjectMeta> {
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &key.namespace);
        Ok(api.get(&key.name).await?.metadata)
    }
    match kind {
        Kind::Machine => meta::<Machine>(client, key).await,
        Kind::Secret => meta::<secret::Secret>(client, key).await,
        Kind::Grant => meta::<Grant>(client, key).await,
        Kind::AccessPolicy => meta::<AccessPolicy>(client, key).await,
    }
}

/// Whether the API server's answer (a uid, or why there is none) says that the object is gone. What it does not clearly
/// deny is not gone; another object of the same name is another object. Pure.
fn proves_gone(answer: Result<Option<&str>, &kube::Error>, name: &str, uid: &str) -> bool {
    match answer {
        Ok(found) => found.is_some_and(|found| found != uid),
        // A resource that is not served at all answers 404 as well, but names no object.
        Err(kube::Error::Api(status)) if status.code == 404 => {
            status.details.as_ref().is_some_and(|details| details.name == name)
        }
        Err(_) => false,
    }
}

/// An object whose counters are due: news first, then the oldest.
type Due = (bool, Option<Timestamp>, Kind, ObjectKey);

/// Has every object looked at that would say something else now. Those for which only counters differ, in order.
async fn update(context: &Context, inventory: &Listed<'_>) -> VecDeque<(Kind, ObjectKey)> {
    let mut due = Vec::new();
    update_kind::<Machine>(context, inventory, &mut due).await;
    update_kind::<secret::Secret>(context, inventory, &mut due).await;
    update_kind::<Grant>(context, inventory, &mut due).await;
    update_kind::<AccessPolicy>(context, inventory, &mut due).await;
    due.sort();
    due.into_iter().map(|(_, _, kind, key)| (kind, key)).collect()
}

async fn update_kind<K: Reconciled>(context: &Context, inventory: &Listed<'_>, due: &mut Vec<Due>) {
    let mut turn = Instant::now();
    for entry in inventory.states(K::WIRE) {
        if turn.elapsed() >= TURN {
            tokio::task::yield_now().await;
            turn = Instant::now();
        }
        let Entry { object, state } = match entry {
            Ok(entry) => entry,
            Err(error) => {
                // It is said in the log, and the others of the kind read no better.
                let _ = unreadable(&error);
                return;
            }
        };
        let worth = worth::<K>(context, &object, state);
        match worth {
            Worth::Facts => touch(context, K::WIRE, &object.key),
            Worth::News | Worth::DueCounters => {
                let written = context.ledger.entry(K::WIRE, &object.key, &object.uid).counters_written;
                due.push((worth != Worth::News, written, K::WIRE, object.key));
            }
            Worth::NotYet | Worth::Nothing => {}
        }
    }
}

/// What a pass over the object would write, if the server answered what the inventory says.
fn worth<K: Reconciled>(context: &Context, at_server: &wire::ObjectMeta, state: K::State) -> Worth {
    use kube::runtime::reflector::ObjectRef;
    let key = &at_server.key;
    let store = K::store(&context.index);
    let Some(seen) = store.get(&ObjectRef::new(&key.name).within(&key.namespace)) else { return Worth::Nothing };
    let Ok(object) = &seen.0 else { return Worth::Nothing };
    let remembered = context.ledger.entry(K::WIRE, key, &at_server.uid);
    let current = object.meta().uid.as_ref() == Some(&at_server.uid)
        && object.meta().generation == Some(at_server.generation)
        && object.meta().deletion_timestamp.is_none()
        && remembered.held == Held::Applied
        && !remembered.refused
        && remembered.in_force == Some(at_server.generation);
    if !current {
        return Worth::Nothing;
    }
    if !context.index.manages(&key.namespace) {
        return Worth::Nothing;
    }
    let now = context.clock.now();
    let mut facts = K::gather(object, &context.index, now);
    K::count_pods(object, &mut facts, &context.pods);
    let plan = K::plan(object, at_server.clone(), &facts);
    let Plan::Act { action: super::plan::Action::Apply(_), .. } = plan else { return Worth::Nothing };
    let previous = object.status().cloned().unwrap_or_default();
    let wanted = K::conclude(&Evidence {
        object,
        facts: &facts,
        plan: &plan,
        outcome: &Outcome::InForce(state),
        previous: &previous,
        in_force: remembered.in_force,
        is_absent: false,
        cluster: "",
        server_url: context.session.url().as_str(),
        now,
    });
    status::worth_now::<K>(&previous, &wanted, &context.ledger, &remembered, now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(body: serde_json::Value) -> kube::Error {
        kube::Error::Api(Box::new(serde_json::from_value(body).unwrap()))
    }

    #[test]
    fn only_a_clear_no_or_another_uid_proves_that_an_object_is_gone() {
        let gone = refusal(json!({"code": 404, "reason": "NotFound", "details": {"name": "web"}}));
        let not_served = refusal(json!({"code": 404, "reason": "NotFound", "details": {}}));
        let forbidden = refusal(json!({"code": 403, "reason": "Forbidden", "details": {"name": "web"}}));
        for (what, answer, expected) in [
            ("it is there", Ok(Some("u")), false),
            ("it was made anew", Ok(Some("v")), true),
            ("an answer without a uid", Ok(None), false),
            ("it is not there", Err(&gone), true),
            ("its kind is not served", Err(&not_served), false),
            ("we may not know", Err(&forbidden), false),
        ] {
            assert_eq!(proves_gone(answer, "web", "u"), expected, "{what}");
        }
    }
}
