//! What fills the index: one watch for each resource.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret;

use super::Index;
use super::seen::{Indexed, Seen, slim};
use crate::api_server;
use crate::metrics::Metrics;

/// Writes the store of one resource; the only one that does.
pub struct Feed<K: Indexed> {
    index: Arc<Index>,
    writer: Writer<K>,
}

/// The feeds of all resources.
pub struct Feeds {
    /// Machines.
    pub machines: Feed<Seen<Machine>>,
    /// Secrets.
    pub secrets: Feed<Seen<secret::Secret>>,
    /// Grants.
    pub grants: Feed<Seen<Grant>>,
    /// Policies.
    pub policies: Feed<Seen<AccessPolicy>>,
    /// Namespaces.
    pub namespaces: Feed<PartialObjectMeta<Namespace>>,
    /// Service accounts.
    pub accounts: Feed<PartialObjectMeta<ServiceAccount>>,
}

/// The reading halves.
pub(super) struct Stores {
    pub(super) machines: Store<Seen<Machine>>,
    pub(super) secrets: Store<Seen<secret::Secret>>,
    pub(super) grants: Store<Seen<Grant>>,
    pub(super) policies: Store<Seen<AccessPolicy>>,
    pub(super) namespaces: Store<PartialObjectMeta<Namespace>>,
    pub(super) accounts: Store<PartialObjectMeta<ServiceAccount>>,
}

impl Feeds {
    pub(super) fn new(build: impl FnOnce(Stores) -> Index) -> (Arc<Index>, Self) {
        let (machines, machine_writer) = reflector::store();
        let (secrets, secret_writer) = reflector::store();
        let (grants, grant_writer) = reflector::store();
        let (policies, policy_writer) = reflector::store();
        let (namespaces, namespace_writer) = reflector::store();
        let (accounts, account_writer) = reflector::store();
        let index = Arc::new(build(Stores { machines, secrets, grants, policies, namespaces, accounts }));
        let feeds = Self {
            machines: Feed { index: Arc::clone(&index), writer: machine_writer },
            secrets: Feed { index: Arc::clone(&index), writer: secret_writer },
            grants: Feed { index: Arc::clone(&index), writer: grant_writer },
            policies: Feed { index: Arc::clone(&index), writer: policy_writer },
            namespaces: Feed { index: Arc::clone(&index), writer: namespace_writer },
            accounts: Feed { index: Arc::clone(&index), writer: account_writer },
        };
        (index, feeds)
    }
}

impl<K: Indexed> Feed<K> {
    /// Takes one event of a watch.
    pub fn apply(&mut self, event: &Event<K>) {
        match event {
            Event::Apply(after) => {
                let before = self.known(after);
                self.writer.apply_watcher_event(event);
                self.index.changed(before.as_deref(), Some(after));
            }
            Event::Delete(last) => {
                let before = self.known(last);
                self.writer.apply_watcher_event(event);
                self.index.changed(before.as_deref(), None);
            }
            Event::Init | Event::InitApply(_) => self.writer.apply_watcher_event(event),
            Event::InitDone => self.swap(event),
        }
        self.index.moved.notify_waiters();
    }

    fn known(&self, object: &K) -> Option<Arc<K>> {
        self.writer.as_reader().get(&ObjectRef::from_obj(object))
    }

    /// A whole list: what is in it and was not, what was and is not, and what is different.
    fn swap(&mut self, event: &Event<K>) {
        let reader = self.writer.as_reader();
        let by_key = |objects: Vec<Arc<K>>| -> HashMap<ObjectRef<K>, Arc<K>> {
            objects.into_iter().map(|object| (ObjectRef::from_obj(&*object), object)).collect()
        };
        let mut before = by_key(reader.state());
        self.writer.apply_watcher_event(event);
        for (key, after) in by_key(reader.state()) {
            self.index.changed(before.remove(&key).as_deref(), Some(&after));
        }
        for gone in before.into_values() {
            self.index.changed(Some(&*gone), None);
        }
        if let Some(synced) = self.index.synced.get(K::RESOURCE as usize) {
            synced.store(true, Ordering::Release);
        }
    }

    /// Follows a watch for ever. It recovers by itself; until then the store stays as it was.
    async fn follow<W>(mut self, api: Api<W>, metrics: Metrics)
    where
        W: kube::Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
        K: From<W>,
    {
        let mut events = pin!(watcher(api, api_server::watch()).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.apply(&map(event)),
                Err(error) => {
                    metrics.watch_broke(K::RESOURCE.plural());
                    tracing::warn!(resource = K::RESOURCE.plural(), %error, "the watch broke; it resumes by itself");
                }
            }
        }
    }
}

fn map<W, K: From<W> + Indexed>(event: Event<W>) -> Event<K> {
    let kept = |object: W| {
        let mut object = K::from(object);
        slim(K::RESOURCE, object.meta_mut());
        object
    };
    match event {
        Event::Apply(object) => Event::Apply(kept(object)),
        Event::Delete(object) => Event::Delete(kept(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(kept(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// Fills the index from the API server, for as long as the future is polled. It does not end by itself.
pub async fn watch(client: Client, feeds: Feeds, metrics: Metrics) {
    fn all<K>(client: &Client) -> Api<DeserializeGuard<Received<K>>>
    where
        K: sikkerkey_crds::crd::Kind,
    {
        Api::all(client.clone())
    }
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let accounts: Api<PartialObjectMeta<ServiceAccount>> = Api::all(client.clone());
    tokio::join!(
        feeds.machines.follow(all(&client), metrics.clone()),
        feeds.secrets.follow(all(&client), metrics.clone()),
        feeds.grants.follow(all(&client), metrics.clone()),
        feeds.policies.follow(all(&client), metrics.clone()),
        feeds.namespaces.follow(namespaces, metrics.clone()),
        feeds.accounts.follow(accounts, metrics),
    );
}

#[cfg(test)]
mod tests {
    use kube::{Resource, ResourceExt};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_reads_of_an_object_is_not_kept() {
        let metadata = json!({
            "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
            "finalizers": ["sikkerkey.com/cleanup"], "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "web"}, "managedFields": [{"manager": "kubectl"}],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}],
            "annotations": {"argocd.argoproj.io/tracking-id": "shop"},
        });
        let machine = json!({
            "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine", "metadata": metadata,
            "spec": {"workload": {"serviceAccountNames": ["web"]}},
        });
        let sent: DeserializeGuard<Received<Machine>> = serde_json::from_value(machine).unwrap();
        let Event::Apply(kept) = map::<_, Seen<Machine>>(Event::Apply(sent)) else { panic!("another event") };
        let expected = json!({
            "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
            "finalizers": ["sikkerkey.com/cleanup"], "creationTimestamp": "2026-01-01T00:00:00Z",
        });
        assert_eq!(serde_json::to_value(kept.meta()).unwrap(), expected);
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
        let sent: PartialObjectMeta<ServiceAccount> = serde_json::from_value(account).unwrap();
        let Event::InitApply(kept) = map::<_, PartialObjectMeta<ServiceAccount>>(Event::InitApply(sent)) else {
            panic!("another event")
        };
        assert!(kept.labels().is_empty() && kept.managed_fields().is_empty() && kept.uid().is_some());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        let sent: PartialObjectMeta<Namespace> = serde_json::from_value(namespace).unwrap();
        let Event::Apply(kept) = map::<_, PartialObjectMeta<Namespace>>(Event::Apply(sent)) else {
            panic!("another event")
        };
        assert_eq!(kept.labels().len(), 1, "they say whether it is managed");
    }
}
