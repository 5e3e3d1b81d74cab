//! Pods that are gone lose their machines. Only the leader watches.
//!
//! What the watch misses (the operator was away, an event was lost) is found by comparing with the server.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use sikkerkey_crds::names;
use sikkerkey_protocol::kubernetes::{GonePods, PodState};
use tokio::sync::Notify;

use crate::controller::Context;
use crate::controller::ledger::back_off;

/// Uids in one call.
const CHUNK: usize = 500;
/// Pods that go together are told together.
const GATHER: Duration = Duration::from_millis(20);

/// The pods that name a Machine, and those whose end the server has not been told.
#[derive(Debug, Default)]
pub struct Pods {
    known: Mutex<Known>,
    gone: Mutex<BTreeSet<String>>,
    news: Notify,
}

/// The pods of the cluster, as far as the watch tells. Pure.
#[derive(Debug, Default)]
struct Known {
    /// By uid: whether it still runs, or will.
    alive: HashMap<String, bool>,
    /// The list that is just coming in.
    listed: Option<HashMap<String, bool>>,
    is_synced: bool,
}

impl Known {
    /// Takes one event of the watch; the uids of pods that have ended by it.
    fn apply(&mut self, event: &Event<Pod>) -> Vec<String> {
        match event {
            Event::Apply(pod) => {
                let (uid, alive) = (pod.uid().unwrap_or_default(), is_alive(pod));
                let before = self.alive.insert(uid.clone(), alive);
                // One that has ended when it is first seen may have ended while nobody watched.
                if !alive && before != Some(false) { vec![uid] } else { Vec::new() }
            }
            Event::Delete(pod) => {
                let uid = pod.uid().unwrap_or_default();
                let before = self.alive.remove(&uid);
                if before == Some(false) { Vec::new() } else { vec![uid] }
            }
            Event::Init => {
                self.listed = Some(HashMap::new());
                Vec::new()
            }
            Event::InitApply(pod) => {
                let listed = self.listed.get_or_insert_default();
                listed.insert(pod.uid().unwrap_or_default(), is_alive(pod));
                Vec::new()
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.alive, listed);
                self.is_synced = true;
                let ended = |uid: &String| self.alive.get(uid).is_none_or(|alive| !alive);
                before.into_iter().filter(|(uid, alive)| *alive && ended(uid)).map(|(uid, _)| uid).collect()
            }
        }
    }
}

/// Whether it runs or may still run. The phase says so also for pods with a sidecar: it counts the app's containers.
fn is_alive(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

impl Pods {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, uids: impl IntoIterator<Item = String>) {
        let mut gone = self.gone();
        gone.extend(uids);
        if !gone.is_empty() {
            self.news.notify_one();
        }
    }
}

/// Watches the pods and tells the server of those that are gone, for as long as the future is polled.
pub async fn run(context: &Context) {
    tokio::join!(follow(context), tell(context));
}

async fn follow(context: &Context) {
    let api: Api<Pod> = Api::all(context.client.clone());
    let config = watcher::Config::default().labels(names::MACHINE_LABEL);
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                let ended = context.pods.known().apply(&event);
                context.pods.report(ended);
            }
            Err(error) => {
                context.metrics.watch_broke("pods");
                tracing::warn!(resource = "pods", %error, "the watch broke; it resumes by itself");
            }
        }
    }
}

async fn tell(context: &Context) {
    let mut failures = 0;
    loop {
        context.pods.news.notified().await;
        tokio::time::sleep(GATHER).await;
        loop {
            let uids: Vec<String> = context.pods.gone().iter().take(CHUNK).cloned().collect();
            if uids.is_empty() {
                break;
            }
            match context.session.call(&GonePods { uids: uids.clone() }).await {
                Ok(answer) => {
                    failures = 0;
                    context.metrics.pods_revoked(answer.revoked);
                    tracing::info!(pods = uids.len(), revoked = answer.revoked, "pods are gone");
                    let mut gone = context.pods.gone();
                    gone.retain(|uid| !uids.contains(uid));
                }
                Err(error) => {
                    tracing::warn!(pods = uids.len(), %error, "pods that are gone are not revoked yet");
                    tokio::time::sleep(back_off(failures, "pods").min(Duration::from_secs(5))).await;
                    failures += 1;
                }
            }
        }
    }
}

/// Compares with what the server holds: a machine whose pod the cluster does not have is revoked.
pub async fn compare(context: &Context, held: &[PodState]) {
    let suspects: Vec<PodState> = {
        let known = context.pods.known();
        if !known.is_synced {
            return;
        }
        held.iter().filter(|state| known.alive.get(&state.pod.uid) != Some(&true)).cloned().collect()
    };
    let client = context.client.clone();
    let checked = stream::iter(suspects).map(move |state| {
        let client = client.clone();
        async move { is_gone(&client, &state).await.then_some(state.pod.uid) }
    });
    let gone: Vec<String> = checked.buffer_unordered(8).filter_map(std::future::ready).collect().await;
    context.pods.report(gone);
}

/// Asks the API server itself, past every cache. What it does not clearly deny is not gone.
async fn is_gone(client: &Client, state: &PodState) -> bool {
    let api: Api<Pod> = Api::namespaced(client.clone(), &state.pod.namespace);
    match api.get_opt(&state.pod.name).await {
        Ok(None) => true,
        Ok(Some(pod)) => pod.uid().as_ref() != Some(&state.pod.uid) || !is_alive(&pod),
        Err(error) => {
            tracing::warn!(pod = state.pod.name, namespace = state.pod.namespace, %error, "whether it is gone is not known");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, phase: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid}, "status": {"phase": phase}})).unwrap()
    }

    /// Applies events in order; what each of them ends.
    fn ends(events: impl IntoIterator<Item = Event<Pod>>) -> Vec<Vec<String>> {
        let mut known = Known::default();
        let sorted = |mut uids: Vec<String>| {
            uids.sort();
            uids
        };
        events.into_iter().map(|event| sorted(known.apply(&event))).collect()
    }

    #[test]
    fn a_pod_ends_once_by_its_phase_or_with_its_object() {
        let ended = ends(vec![
            Event::Apply(pod("a", "Pending")),
            Event::Apply(pod("a", "Running")),
            Event::Apply(pod("a", "Succeeded")),
            Event::Apply(pod("a", "Succeeded")),
            Event::Delete(pod("a", "Succeeded")),
            Event::Apply(pod("b", "Running")),
            Event::Delete(pod("b", "Running")),
            Event::Apply(pod("c", "Failed")),
        ]);
        let none: &[&str] = &[];
        assert_eq!(ended, [none, none, &["a"], none, none, none, &["b"], &["c"]]);
    }

    #[test]
    fn a_new_list_ends_what_it_does_not_have_and_nothing_before_it_is_whole() {
        let ended = ends(vec![
            Event::Init,
            Event::InitApply(pod("a", "Running")),
            Event::InitApply(pod("b", "Running")),
            Event::InitApply(pod("c", "Running")),
            Event::InitApply(pod("d", "Failed")),
            Event::InitDone,
            Event::Init,
            Event::InitApply(pod("a", "Running")),
            Event::InitApply(pod("b", "Succeeded")),
            Event::InitDone,
        ]);
        let none: &[&str] = &[];
        assert_eq!(ended, [none, none, none, none, none, none, none, none, none, &["b", "c"]]);
    }
}
