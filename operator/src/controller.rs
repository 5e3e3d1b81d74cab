//! The controllers of the four kinds. Only the leader runs them.
//!
//! One pass over an object: `gather` reads its surroundings from the index, `plan` decides, [`reconcile`] tells the server
//! and `conclude` makes the status that follows, which is written when it differs. All but `reconcile` is pure. Nothing is
//! ever concluded from an index that is not whole. One source of Secrets, core Secrets, is in no index: [`secret::take`]
//! looks at it before the plan, and deletes it after the server's answer where it is to go.

pub mod access_policy;
pub mod budget;
pub mod compare;
pub mod conditions;
pub mod error;
pub mod events;
pub mod figure;
pub mod finalizer;
pub mod grant;
pub mod ledger;
pub mod listed;
pub mod machine;
pub mod plan;
pub mod queue;
pub mod reconcile;
pub mod secret;
pub mod status;
pub mod sweep;
pub mod uninstall;

#[cfg(test)]
mod consent;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod states;

use std::sync::Arc;

use futures::StreamExt;
use futures::future::OptionFuture;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::reflector::{ObjectRef, Store};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_protocol::kubernetes::ObjectKey;
use tokio::time::{Instant, sleep_until};

use self::error::Error;
use self::events::Events;
use self::ledger::{Ledger, back_off};
use self::plan::Reconciled;
use self::queue::{Next, Queue};
use crate::clock::Clock;
use crate::index::Index;
use crate::index::seen::{Indexed, IndexedKind, Seen};
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::server::{Retry, Session};

/// What a pass works with.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What the cluster holds.
    pub index: Arc<Index>,
    /// The server.
    pub session: Session,
    /// The time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// Events.
    pub events: Events,
    /// What is remembered between passes.
    pub ledger: Ledger,
    /// The pods that name a Machine.
    pub pods: Pods,
    /// Our own pod, for Events about the operator itself.
    pub own_pod: ObjectReference,
    /// How many objects one comparison may remove beyond its guard, because a person said so.
    pub acknowledged_removals: usize,
    /// Whether values are taken over from core Secrets.
    pub kubernetes_secret_source: bool,
}

/// Runs the controllers, the comparison and the watch on pods, for as long as the future is polled.
pub async fn run(context: Arc<Context>) {
    context.index.wait_until_synced().await;
    context.index.forget_held();
    tracing::info!(objects = context.index.len(), "the controllers run");
    tokio::join!(
        drive::<AccessPolicy>(Arc::clone(&context)),
        drive::<Machine>(Arc::clone(&context)),
        drive::<sikkerkey_crds::secret::Secret>(Arc::clone(&context)),
        drive::<Grant>(Arc::clone(&context)),
        sweep::run(&context),
        crate::pods::run(&context),
    );
}

/// Passes over all objects of a kind, and over each that is touched. Does not end: the index lives as long.
async fn drive<K: Reconciled>(context: Arc<Context>) {
    let mut touched = context.index.subscribe(<K as IndexedKind>::RESOURCE);
    let mut queue = Queue::new(in_order(<K as IndexedKind>::store(&context.index)));
    let mut passes = FuturesUnordered::new();
    loop {
        while let Some(key) = queue.next(Instant::now()) {
            passes.push(pass::<K>(&context, key));
        }
        tokio::select! {
            Some((key, next)) = passes.next() => queue.done(&key, next, Instant::now()),
            touch = touched.next() => {
                let Some(touch) = touch else { return };
                queue.touch(touch, Instant::now());
            }
            Some(()) = OptionFuture::from(queue.wakes().map(sleep_until)) => {}
        }
        // However many touches come together, whoever else waits for this thread has its turn.
        tokio::task::coop::consume_budget().await;
    }
}

/// One pass over the object of this name, and when the next one is due.
async fn pass<K: Reconciled>(context: &Arc<Context>, key: Arc<ObjectKey>) -> (Arc<ObjectKey>, Next) {
    let store = <K as IndexedKind>::store(&context.index);
    let Some(object) = store.get(&ObjectRef::new(&key.name).within(&key.namespace)) else {
        tracing::debug!(kind = K::KIND, %key, "nothing to do: it is gone");
        return (key, Next::OnTouch);
    };
    let passed = reconcile::reconcile::<K>(Arc::clone(&object), Arc::clone(context)).await;
    let next = passed.unwrap_or_else(|error| after_error(&object, &error, context));
    (key, next)
}

/// All objects of a kind: those first that somebody waits for, because nobody has looked at their newest generation. By name
/// otherwise: what belongs together comes into force together, and is counted once.
fn in_order<K: Reconciled>(store: &Store<Seen<K>>) -> Vec<ObjectKey> {
    let objects = store.state();
    let mut keys: Vec<_> = objects.iter().map(|object| (!object.is_news(), object.target().key)).collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, key)| key).collect()
}

/// The one reporter of failed passes: metric, log line and the next attempt.
fn after_error<K: Reconciled>(object: &Seen<K>, error: &Error, context: &Context) -> Next {
    use kube::ResourceExt;
    let uid = object.uid().unwrap_or_default();
    let key = &error.related().key;
    let cause = std::error::Error::source(error).map(tracing::field::display);
    context.metrics.reconciled(K::WIRE, crate::metrics::Outcome::Failed);
    match error.retry() {
        Retry::Never => {
            tracing::debug!(kind = K::KIND, %key, %error, cause, "the object is gone");
            Next::OnTouch
        }
        Retry::BackOff => {
            context.index.fails(error.related());
            let wait = back_off(context.ledger.failed(K::WIRE, key, &uid), &uid);
            tracing::warn!(kind = K::KIND, %key, %error, cause, reason = %error.reason(), ?wait, "a pass failed");
            Next::After(wait)
        }
        Retry::After(wait) => Next::After(wait),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};
    use sikkerkey_crds::received::Received;

    use super::*;

    #[tokio::test]
    async fn what_nobody_has_looked_at_comes_first_at_the_start() {
        let (reader, mut writer) = store::<Seen<AccessPolicy>>();
        let ready = |generation: i64| {
            json!([{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": generation,
                    "lastTransitionTime": "2026-06-01T12:00:00Z"}])
        };
        for (name, spec, conditions) in [
            ("a", json!({}), ready(2)),
            ("b", json!({}), ready(1)),
            ("c", json!({}), json!([])),
            ("d", json!({"ttl": 7}), ready(2)),
            ("e", json!({}), ready(2)),
        ] {
            let object: Value = json!({
                "apiVersion": "sikkerkey.com/v1alpha1", "kind": "AccessPolicy", "spec": spec,
                "metadata": {"namespace": "shop", "name": name, "uid": name, "generation": 2},
                "status": {"conditions": conditions},
            });
            let guard: DeserializeGuard<Received<AccessPolicy>> = serde_json::from_value(object).unwrap();
            writer.apply_watcher_event(&Event::Apply(guard.into()));
        }
        let names: Vec<String> = in_order(&reader).into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["b", "c", "d", "a", "e"], "edited, new, and one that does not parse");
    }
}
