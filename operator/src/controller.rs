//! The controllers of the four kinds. Only the leader runs them.
//!
//! One pass over an object: `gather` reads its surroundings from the index, `plan` decides, [`reconcile`] tells the server
//! and `conclude` makes the status that follows, which is written when it differs. All but `reconcile` is pure. Nothing is
//! ever concluded from an index that is not whole. One source of Secrets, core Secrets, is in no index: [`secret::take`]
//! looks at it before the plan, and deletes it after the server's answer where it is to go.

pub mod access_policy;
pub mod compare;
pub mod conditions;
pub mod error;
pub mod events;
pub mod figure;
pub mod finalizer;
pub mod grant;
pub mod ledger;
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

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::controller::{self, Action, ReconcileRequest, applier};
use kube::runtime::reflector::ObjectRef;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_protocol::kubernetes::Kind;

use self::error::Error;
use self::events::Events;
use self::ledger::{Ledger, back_off};
use self::plan::Reconciled;
use crate::clock::Clock;
use crate::index::Index;
use crate::index::seen::{IndexedKind, Seen};
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::server::{Retry, Session};

/// Objects that come together (`kubectl apply -f DIR`) settle before the first pass.
const DEBOUNCE: Duration = Duration::from_millis(30);
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
    let queue = stream::iter(context.index.keys(resource)).chain(touched).map(|key| {
        let object: ObjectRef<Seen<K>> = ObjectRef::new(&key.name).within(&key.namespace);
        Ok::<_, Infallible>(ReconcileRequest::from(object))
    });
    let store = <K as IndexedKind>::store(&context.index).clone();
    let config = controller::Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY);
    let passes = applier(
        |object, context| reconcile::reconcile::<K>(object, context).boxed(),
        after_error::<K>,
        context,
        store,
        queue,
        config,
    );
    passes
        .for_each(|pass| async move {
            // An object that went between its touch and its pass; other failures are reported where they happen.
            if let Err(error @ controller::Error::ObjectNotFound(_)) = pass {
                tracing::debug!(%error, "nothing to do");
            }
        })
        .await;
}

/// The one reporter of failed passes: metric, log line and the next attempt.
#[expect(clippy::needless_pass_by_value, reason = "the signature is the runtime's")]
fn after_error<K: Reconciled>(object: Arc<Seen<K>>, error: &Error, context: Arc<Context>) -> Action {
    use kube::ResourceExt;
    let uid = object.uid().unwrap_or_default();
    let key = &error.related().key;
    context.metrics.reconciled(K::WIRE, crate::metrics::Outcome::Failed);
    match error.retry() {
        Retry::Never => {
            tracing::debug!(kind = K::KIND, %key, %error, cause = %error.cause(), "the object is gone");
            Action::await_change()
        }
        Retry::BackOff => {
            let wait = back_off(context.ledger.failed(K::WIRE, key, &uid), &uid);
            tracing::warn!(kind = K::KIND, %key, %error, cause = %error.cause(), reason = %error.reason(), ?wait, "a pass failed");
            Action::requeue(wait)
        }
        Retry::After(wait) => Action::requeue(wait),
    }
}

/// Has an object of a kind looked at again.
fn touch(context: &Context, kind: Kind, key: &sikkerkey_protocol::kubernetes::ObjectKey) {
    context.index.touch(&crate::index::references::Target { resource: kind.into(), key: key.clone() });
}
