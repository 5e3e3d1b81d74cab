//! Pods that are gone lose their machines, and of those that run it is known what they were given. Only the leader watches.
//!
//! What the watch misses (the operator was away, an event was lost) is found by comparing with the server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client, ResourceExt};
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::names;
use sikkerkey_protocol::kubernetes::{GonePods, PodState};
use tokio::sync::Notify;

use crate::api_server;
use crate::controller::Context;
use crate::controller::ledger::back_off;
use crate::webhook::injected::{Injected, was_served_once};

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
    pods: Kept,
    /// The list that is just coming in.
    listed: Option<Kept>,
    is_synced: bool,
}

/// Of each pod its uid, and whether it still runs, or will. Of those that do also what they were given, which is the same in
/// nearly all pods of a Machine and is kept once.
#[derive(Debug, Default)]
struct Kept {
    by_uid: HashMap<String, Life>,
    /// By uid of the Machine: how many were given what.
    given: HashMap<String, BTreeMap<Arc<Injected>, Count>>,
}

/// Pods that were given the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    pods: usize,
    /// Of these the ones that go on with what an init container has left them.
    served_once: usize,
}

/// Whether a pod runs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Life {
    /// It does, or will. What injection put into it, if anything, and whether an init container has served it.
    Alive(Option<(Arc<Injected>, bool)>),
    /// It has ended.
    Ended,
}

impl Life {
    fn is_alive(&self) -> bool {
        *self != Self::Ended
    }
}

impl Kept {
    /// Takes a pod as it is now. Whether it was alive before, if it was known.
    fn put(&mut self, pod: &Pod) -> Option<bool> {
        let uid = pod.uid().unwrap_or_default();
        let before = self.remove(&uid);
        let life = if is_alive(pod) {
            Life::Alive(Injected::of(pod).map(|it| {
                let is_served = was_served_once(pod);
                (self.count(it, is_served), is_served)
            }))
        } else {
            Life::Ended
        };
        self.by_uid.insert(uid, life);
        before
    }

    fn count(&mut self, injected: Injected, is_served: bool) -> Arc<Injected> {
        let of_machine = self.given.entry(injected.machine_uid.clone()).or_default();
        let known = of_machine.get_key_value(&injected).map(|(known, _)| Arc::clone(known));
        let injected = known.unwrap_or_else(|| Arc::new(injected));
        let count = of_machine.entry(Arc::clone(&injected)).or_default();
        count.pods += 1;
        count.served_once += usize::from(is_served);
        injected
    }

    /// Forgets a pod. Whether it was alive, if it was known.
    fn remove(&mut self, uid: &str) -> Option<bool> {
        let life = self.by_uid.remove(uid)?;
        if let Life::Alive(Some((injected, is_served))) = &life
            && let Some(of_machine) = self.given.get_mut(&injected.machine_uid)
        {
            if let Some(count) = of_machine.get_mut(injected) {
                count.pods = count.pods.saturating_sub(1);
                count.served_once = count.served_once.saturating_sub(usize::from(*is_served));
            }
            of_machine.retain(|_, count| count.pods > 0);
            if of_machine.is_empty() {
                self.given.remove(&injected.machine_uid);
            }
        }
        Some(life.is_alive())
    }

    fn is_alive(&self, uid: &str) -> bool {
        self.by_uid.get(uid).is_some_and(Life::is_alive)
    }

    /// How many pods were given something else than a pod that is made now.
    fn outdated(&self, machine: &Machine) -> usize {
        let uid = machine.metadata.uid.as_deref().unwrap_or_default();
        let given = self.given.get(uid).into_iter().flatten();
        given.filter(|(injected, _)| !injected.is_as_of(machine.spec.delivery())).map(|(_, count)| count.pods).sum()
    }

    /// How many pods run with what an init container has left them.
    fn served_once(&self, machine: &Machine) -> usize {
        let uid = machine.metadata.uid.as_deref().unwrap_or_default();
        self.given.get(uid).into_iter().flatten().map(|(_, count)| count.served_once).sum()
    }
}

impl Known {
    /// Takes one event of the watch; the uids of pods that have ended by it.
    fn apply(&mut self, event: &Event<Pod>) -> Vec<String> {
        match event {
            Event::Apply(pod) => {
                let before = self.pods.put(pod);
                // One that has ended when it is first seen may have ended while nobody watched.
                if !is_alive(pod) && before != Some(false) { pod.uid().into_iter().collect() } else { Vec::new() }
            }
            Event::Delete(pod) => {
                let uid = pod.uid().unwrap_or_default();
                let before = self.pods.remove(&uid);
                if before == Some(false) { Vec::new() } else { vec![uid] }
            }
            Event::Init => {
                self.listed = Some(Kept::default());
                Vec::new()
            }
            Event::InitApply(pod) => {
                self.listed.get_or_insert_default().put(pod);
                Vec::new()
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.pods, listed);
                self.is_synced = true;
                let ended = |(uid, life): &(String, Life)| life.is_alive() && !self.pods.is_alive(uid);
                before.by_uid.into_iter().filter(ended).map(|(uid, _)| uid).collect()
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

    /// How many pods of the Machine run with an older mode, mount path or size of the volume than it says now. None while the
    /// list of pods is not whole.
    pub fn outdated(&self, machine: &Machine) -> Option<usize> {
        let known = self.known();
        known.is_synced.then(|| known.pods.outdated(machine))
    }

    /// How many pods of the Machine run with the files that an init container wrote and left: they have given their identities
    /// up, so the server does not know them. None while the list of pods is not whole.
    pub fn served_once(&self, machine: &Machine) -> Option<usize> {
        let known = self.known();
        known.is_synced.then(|| known.pods.served_once(machine))
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
    let config = api_server::watch().labels(names::MACHINE_LABEL);
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
            let (uids, waiting) = {
                let gone = context.pods.gone();
                (gone.iter().take(CHUNK).cloned().collect::<Vec<_>>(), gone.len())
            };
            context.metrics.pods_to_revoke(waiting);
            if uids.is_empty() {
                break;
            }
            match context.session.call(&GonePods { uids: uids.clone() }).await {
                Ok(answer) => {
                    failures = 0;
                    context.metrics.pods_revoked(answer.revoked);
                    tracing::info!(pods = uids.len(), revoked = answer.revoked, "pods are gone");
                    let mut gone = context.pods.gone();
                    for uid in &uids {
                        gone.remove(uid);
                    }
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
        held.iter().filter(|state| !known.pods.is_alive(&state.pod.uid)).cloned().collect()
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

    /// A pod of Machine `m`, with files at this place.
    fn injected(uid: &str, phase: &str, mount_path: &str) -> Pod {
        let mounts = json!([{"name": "sikkerkey", "mountPath": mount_path}]);
        let sidecar = json!([{"name": "sikkerkey", "restartPolicy": "Always"}]);
        let volumes = json!([{"name": "sikkerkey", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]);
        serde_json::from_value(json!({
            "metadata": {"name": uid, "uid": uid, "annotations": {"sikkerkey.com/injected": "0.1.0,m"}},
            "spec": {"initContainers": sidecar, "containers": [{"name": "app", "volumeMounts": mounts}], "volumes": volumes},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn machine(uid: &str) -> Machine {
        let delivery = json!({"mountPath": "/new", "sizeLimit": "1Mi"});
        let spec = json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": delivery});
        serde_json::from_value(json!({"metadata": {"name": "web", "uid": uid}, "spec": spec})).unwrap()
    }

    #[test]
    fn pods_that_run_with_something_older_are_counted_once_the_list_is_whole() {
        let pods = Pods::default();
        let counted = |event: Event<Pod>| {
            pods.known().apply(&event);
            pods.outdated(&machine("m"))
        };
        let steps = vec![
            (Event::Init, None),
            (Event::InitApply(injected("a", "Running", "/old")), None),
            (Event::InitApply(injected("b", "Running", "/old")), None),
            (Event::InitApply(injected("c", "Failed", "/old")), None),
            (Event::InitApply(pod("d", "Running")), None),
            (Event::InitDone, Some(2)),
            (Event::Apply(injected("a", "Running", "/old")), Some(2)),
            (Event::Apply(injected("e", "Pending", "/new")), Some(2)),
            (Event::Apply(injected("a", "Succeeded", "/old")), Some(1)),
            (Event::Delete(injected("a", "Succeeded", "/old")), Some(1)),
            (Event::Delete(injected("b", "Running", "/old")), Some(0)),
            (Event::Init, Some(0)),
            (Event::InitApply(injected("f", "Running", "/old")), Some(0)),
            (Event::InitDone, Some(1)),
        ];
        for (event, expected) in steps {
            let what = format!("{event:?}");
            assert_eq!(counted(event), expected, "{what}");
        }
        assert_eq!(pods.outdated(&machine("another")), Some(0), "pods of one that was there before");
    }

    #[test]
    fn a_pod_counts_as_served_once_from_the_good_end_of_its_init_container_to_its_own() {
        let pods = Pods::default();
        let once = |uid: &str, phase: &str, state: serde_json::Value| {
            let mut pod = injected(uid, phase, "/new");
            pod.spec.as_mut().unwrap().init_containers.as_mut().unwrap()[0].restart_policy = None;
            let statuses = json!([{"name": "sikkerkey", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
            pod.status.as_mut().unwrap().init_container_statuses = serde_json::from_value(statuses).unwrap();
            pod
        };
        let ended = |code: i32| json!({"terminated": {"exitCode": code}});
        let counted = |event: Event<Pod>| {
            pods.known().apply(&event);
            pods.served_once(&machine("m"))
        };
        for (event, expected) in vec![
            (Event::Init, None),
            (Event::InitDone, Some(0)),
            (Event::Apply(once("a", "Pending", json!({"running": {}}))), Some(0)),
            (Event::Apply(once("a", "Pending", ended(1))), Some(0)),
            (Event::Apply(once("a", "Running", ended(0))), Some(1)),
            (Event::Apply(once("b", "Pending", ended(0))), Some(2)),
            (Event::Apply(injected("c", "Running", "/new")), Some(2)),
            (Event::Apply(once("a", "Succeeded", ended(0))), Some(1)),
            (Event::Delete(once("b", "Running", ended(0))), Some(0)),
        ] {
            let what = format!("{event:?}");
            assert_eq!(counted(event), expected, "{what}");
        }
    }

    #[test]
    fn what_many_pods_were_given_is_kept_once_and_goes_with_the_last_of_them() {
        let mut kept = Kept::default();
        for n in 0..100 {
            kept.put(&injected(&n.to_string(), "Running", "/old"));
        }
        let given: Vec<_> = kept.given["m"].iter().collect();
        assert_eq!((given.len(), given[0].1.pods, Arc::strong_count(given[0].0)), (1, 100, 101));
        for n in 0..100 {
            kept.remove(&n.to_string());
        }
        assert!(kept.given.is_empty() && kept.by_uid.is_empty());
    }
}
