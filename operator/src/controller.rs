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

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::controller::{self, Action, ReconcileRequest, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_protocol::kubernetes::{Kind, ObjectKey};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::error::Error;
use self::events::Events;
use self::ledger::{Ledger, back_off};
use self::plan::Reconciled;
use crate::clock::Clock;
use crate::index::seen::{Indexed, IndexedKind, Seen};
use crate::index::{Index, Touch, Urgency};
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::server::{Retry, Session};

/// Objects that come together (`kubectl apply -f DIR`) settle before the first pass. Counted from the first touch: whoever keeps
/// touching an object must not put its pass off.
const SETTLE: Duration = Duration::from_millis(30);
/// Within this time what is not urgent is looked at.
const SOON: Duration = Duration::from_secs(1);
/// Passes of one kind at a time.
const CONCURRENCY: u16 = 16;

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

/// Passes over all objects of a kind, then over each that is touched.
async fn drive<K: Reconciled>(context: Arc<Context>) {
    let resource = <K as IndexedKind>::RESOURCE;
    let touched = context.index.subscribe(resource);
    let store = <K as IndexedKind>::store(&context.index).clone();
    let backlog = Arc::new(Backlog::default());
    let queue = stream::select(Arc::clone(&backlog).released(in_order(&store)), in_time(touched)).map(|key| {
        let object: ObjectRef<Seen<K>> = ObjectRef::new(&key.name).within(&key.namespace);
        Ok::<_, Infallible>(ReconcileRequest::from(object))
    });
    let config = controller::Config::default().concurrency(CONCURRENCY);
    let passes = applier(
        |object, context| reconcile::reconcile::<K>(object, context).boxed(),
        after_error::<K>,
        context,
        store,
        queue,
        config,
    );
    passes
        .for_each(|pass| {
            match pass {
                Ok((object, _)) => backlog.done(object.namespace, object.name),
                Err(controller::Error::ReconcilerFailed(_, object)) => backlog.done(object.namespace, object.name),
                // An object that went between its touch and its pass; other failures are reported where they happen.
                Err(controller::Error::ObjectNotFound(object)) => {
                    tracing::debug!(%object, "nothing to do: it is gone");
                    backlog.done(object.namespace, object.name);
                }
                Err(_) => {}
            }
            std::future::ready(())
        })
        .await;
}

/// All objects of a kind: those first that somebody waits for, because nobody has looked at their newest generation. By name
/// otherwise: what belongs together comes into force together, and is counted once.
fn in_order<K: Reconciled>(store: &Store<Seen<K>>) -> Vec<ObjectKey> {
    let objects = store.state();
    let mut keys: Vec<_> = objects.iter().map(|object| (!object.is_news(), object.target().key)).collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, key)| key).collect()
}

/// The objects that are there at the start. Few at a time are let into the queue, so that what changes meanwhile, a new
/// object above all, does not wait behind ten thousand that have not changed.
#[derive(Debug)]
struct Backlog {
    room: Semaphore,
    under_way: Mutex<HashSet<ObjectKey>>,
}

impl Default for Backlog {
    fn default() -> Self {
        // One in work and one that waits for it to end.
        Self { room: Semaphore::new(2 * usize::from(CONCURRENCY)), under_way: Mutex::default() }
    }
}

impl Backlog {
    fn under_way(&self) -> MutexGuard<'_, HashSet<ObjectKey>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each when there is room for it.
    fn released(self: Arc<Self>, keys: Vec<ObjectKey>) -> impl Stream<Item = ObjectKey> {
        // The list goes with its last key: the stream is polled on for as long as this replica leads.
        stream::unfold((self, keys.into_iter()), async |(backlog, mut keys)| {
            let key = keys.next()?;
            // Never closed.
            if let Ok(room) = backlog.room.acquire().await {
                room.forget();
            }
            backlog.under_way().insert(key.clone());
            Some((key, (backlog, keys)))
        })
    }

    /// A pass is over.
    fn done(&self, namespace: Option<String>, name: String) {
        if self.under_way().remove(&ObjectKey { namespace: namespace.unwrap_or_default(), name }) {
            self.room.add_permits(1);
        }
    }
}

/// What is touched, gathered, each object once: what is urgent for a moment, the rest for a second.
fn in_time(touched: impl Stream<Item = Touch>) -> impl Stream<Item = ObjectKey> {
    let state = (Box::pin(touched), Gathered::default(), Gathered::default());
    let gathered = stream::unfold(state, |(mut touched, mut urgent, mut others)| async move {
        loop {
            let touch = tokio::select! {
                biased;
                () = urgent.due() => return Some((urgent.take(), (touched, urgent, others))),
                () = others.due() => return Some((others.take(), (touched, urgent, others))),
                touch = touched.next() => touch?,
            };
            match touch.urgency {
                Urgency::Now => {
                    others.keys.remove(&touch.key);
                    urgent.add(touch.key, SETTLE);
                }
                Urgency::Soon if urgent.keys.contains(&touch.key) => {}
                Urgency::Soon => others.add(touch.key, SOON),
            }
        }
    });
    gathered.flat_map(stream::iter)
}

/// Objects that wait together.
#[derive(Default)]
struct Gathered {
    keys: BTreeSet<ObjectKey>,
    until: Option<Instant>,
}

impl Gathered {
    /// One more. It is the first one that begins the wait.
    fn add(&mut self, key: ObjectKey, wait: Duration) {
        self.keys.insert(key);
        self.until.get_or_insert_with(|| Instant::now() + wait);
    }

    /// Resolves when the wait is over; never while nothing waits.
    async fn due(&self) {
        match self.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self) -> Vec<ObjectKey> {
        self.until = None;
        std::mem::take(&mut self.keys).into_iter().collect()
    }
}

/// The one reporter of failed passes: metric, log line and the next attempt.
#[expect(clippy::needless_pass_by_value, reason = "the signature is the runtime's")]
fn after_error<K: Reconciled>(object: Arc<Seen<K>>, error: &Error, context: Arc<Context>) -> Action {
    use kube::ResourceExt;
    let uid = object.uid().unwrap_or_default();
    let key = &error.related().key;
    let cause = std::error::Error::source(error).map(tracing::field::display);
    context.metrics.reconciled(K::WIRE, crate::metrics::Outcome::Failed);
    match error.retry() {
        Retry::Never => {
            tracing::debug!(kind = K::KIND, %key, %error, cause, "the object is gone");
            Action::await_change()
        }
        Retry::BackOff => {
            context.index.fails(error.related());
            let wait = back_off(context.ledger.failed(K::WIRE, key, &uid), &uid);
            tracing::warn!(kind = K::KIND, %key, %error, cause, reason = %error.reason(), ?wait, "a pass failed");
            Action::requeue(wait)
        }
        Retry::After(wait) => Action::requeue(wait),
    }
}

/// Has an object of a kind looked at again.
fn touch(context: &Context, kind: Kind, key: &ObjectKey) {
    context.index.touch(&crate::index::references::Target { resource: kind.into(), key: key.clone() });
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
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

    #[tokio::test]
    async fn those_that_are_there_at_the_start_come_few_at_a_time() {
        let key = |n: usize| ObjectKey { namespace: "shop".into(), name: format!("{n:03}") };
        let done = |backlog: &Backlog, n: usize| backlog.done(Some("shop".into()), key(n).name);
        let backlog = Arc::new(Backlog::default());
        let mut released = Box::pin(Arc::clone(&backlog).released((0..100).map(key).collect()));
        let mut next = || released.next().now_or_never().flatten().map(|key| key.name);
        let room = 2 * usize::from(CONCURRENCY);
        for n in 0..room {
            assert_eq!(next(), Some(key(n).name));
        }
        assert_eq!(next(), None, "the others wait");
        done(&backlog, 3);
        done(&backlog, 3);
        done(&backlog, 99);
        assert_eq!((next(), next()), (Some(key(room).name), None), "one is done, and it alone makes room");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_urgent_is_gathered_for_a_second_and_what_is_for_a_moment() {
        let (sender, touched) = mpsc::unbounded();
        let touch = |name: &str, urgency| {
            let key = ObjectKey { namespace: "shop".into(), name: name.into() };
            sender.unbounded_send(Touch { key, urgency }).unwrap();
        };
        let mut keys = Box::pin(in_time(touched));
        let begun = Instant::now();
        for name in ["b", "a", "b", "c", "a"] {
            touch(name, Urgency::Soon);
        }
        touch("d", Urgency::Now);
        touch("c", Urgency::Now);
        touch("d", Urgency::Soon);
        let mut next = async || (keys.next().await.unwrap().name, begun.elapsed());
        assert_eq!((next().await, next().await), (("c".into(), SETTLE), ("d".into(), SETTLE)));
        assert_eq!((next().await, next().await), (("a".into(), SOON), ("b".into(), SOON)));
        touch("a", Urgency::Soon);
        assert_eq!(next().await, ("a".into(), 2 * SOON));
        drop(sender);
        assert_eq!(keys.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_touches_an_object_without_pause_does_not_put_its_pass_off() {
        let (sender, touched) = mpsc::unbounded();
        let key = ObjectKey { namespace: "shop".into(), name: "a".into() };
        let mut keys = Box::pin(in_time(touched));
        let begun = Instant::now();
        let touching = async {
            loop {
                sender.unbounded_send(Touch { key: key.clone(), urgency: Urgency::Now }).unwrap();
                tokio::time::sleep(SETTLE / 10).await;
            }
        };
        let passing = async {
            for _ in 0..5 {
                keys.next().await;
            }
        };
        tokio::select! {
            () = touching => {}
            () = passing => {}
        }
        assert!(begun.elapsed() <= 6 * SETTLE, "{:?}", begun.elapsed());
    }
}
