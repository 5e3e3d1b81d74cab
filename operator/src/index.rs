//! What the cluster holds of the four kinds, of namespaces and of service accounts, in memory.
//!
//! One watch for each of them feeds one store. A store is changed first and whoever depends on the object is told
//! afterwards, so a pass over an object that a change has caused always sees that change.
//!
//! Objects of namespaces that the operator does not manage are in the stores, for they are told so. For whoever looks at an
//! object by its name they are not there.

pub mod feed;
pub mod grants;
mod held;
mod readiness;
pub mod references;
pub mod seen;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures::channel::mpsc;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret;
use sikkerkey_protocol::kubernetes::ObjectKey;
use tokio::sync::Notify;

pub use self::feed::{Feed, Feeds, watch};
pub use self::grants::{Given, Until};
use self::held::Held;
use self::references::{Look, References, Resource, Target};
use self::seen::{Indexed, IndexedKind, Seen};
use crate::api_server;
use crate::namespaces::NamespaceSelector;

/// An object that has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Which one.
    pub key: ObjectKey,
    /// How soon.
    pub urgency: Urgency,
}

/// How soon an object is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// At once.
    Now,
    /// Within a second, once for all that comes until then.
    Soon,
    /// After what has changed: nobody waits for it.
    InTurn,
}

/// The stores, and who depends on what.
pub struct Index {
    machines: Store<Seen<Machine>>,
    secrets: Store<Seen<secret::Secret>>,
    grants: Store<Seen<Grant>>,
    policies: Store<Seen<AccessPolicy>>,
    namespaces: Store<PartialObjectMeta<Namespace>>,
    accounts: Store<PartialObjectMeta<ServiceAccount>>,
    managed: NamespaceSelector,
    /// Namespaces that were managed, and are no longer.
    let_go: Mutex<BTreeSet<String>>,
    synced: [AtomicBool; Resource::ALL.len()],
    references: RwLock<References>,
    held: Mutex<Held>,
    listeners: Mutex<Vec<(Resource, mpsc::UnboundedSender<Touch>)>>,
    moved: Notify,
}

/// How an object stands in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which object of that name it is.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
}

impl Index {
    /// An empty index of a cluster in which every namespace is managed, and what fills it.
    pub fn new() -> (Arc<Self>, Feeds) {
        Self::of(NamespaceSelector::default())
    }

    /// An empty index, and what fills it.
    pub fn of(managed: NamespaceSelector) -> (Arc<Self>, Feeds) {
        Feeds::new(|stores| Self {
            managed,
            let_go: Mutex::default(),
            machines: stores.machines,
            secrets: stores.secrets,
            grants: stores.grants,
            policies: stores.policies,
            namespaces: stores.namespaces,
            accounts: stores.accounts,
            synced: Default::default(),
            references: RwLock::default(),
            held: Mutex::default(),
            listeners: Mutex::default(),
            moved: Notify::new(),
        })
    }

    /// Whether every watch has delivered a whole list. Before that, what is missing here may well exist.
    pub fn is_synced(&self) -> bool {
        self.synced.iter().all(|synced| synced.load(Ordering::Acquire))
    }

    /// Waits until [`is_synced`](Self::is_synced).
    pub async fn wait_until_synced(&self) {
        let synced = tokio::try_join!(
            self.machines.wait_until_ready(),
            self.secrets.wait_until_ready(),
            self.grants.wait_until_ready(),
            self.policies.wait_until_ready(),
            self.namespaces.wait_until_ready(),
            self.accounts.wait_until_ready(),
        );
        if synced.is_err() {
            // A store whose writer is gone never gets ready; the watch that owns the writer ends the process.
            std::future::pending::<()>().await;
        }
    }

    /// The Machine, unless it is absent or does not parse.
    pub fn machine(&self, namespace: &str, name: &str) -> Option<Arc<Received<Machine>>> {
        self.object(namespace, name)
    }

    /// The Secret (sks), unless it is absent or does not parse.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Received<secret::Secret>>> {
        self.object(namespace, name)
    }

    /// The Grant, unless it is absent or does not parse.
    pub fn grant(&self, namespace: &str, name: &str) -> Option<Arc<Received<Grant>>> {
        self.object(namespace, name)
    }

    /// The access policy, unless it is absent or does not parse.
    pub fn policy(&self, namespace: &str, name: &str) -> Option<Arc<Received<AccessPolicy>>> {
        self.object(namespace, name)
    }

    fn object<K>(&self, namespace: &str, name: &str) -> Option<Arc<Received<K>>>
    where
        K: IndexedKind,
    {
        if !self.manages(namespace) {
            return None;
        }
        let store = K::store(self);
        let seen = store.get(&ObjectRef::new(name).within(namespace))?;
        seen.0.as_ref().ok().map(Arc::clone)
    }

    /// Uid of a namespace.
    pub fn namespace_uid(&self, name: &str) -> Option<String> {
        self.namespaces.get(&ObjectRef::new(name))?.uid()
    }

    /// Which namespaces are managed.
    pub fn managed(&self) -> &NamespaceSelector {
        &self.managed
    }

    /// Whether the namespace is managed. One that is not known yet may be.
    pub fn manages(&self, namespace: &str) -> bool {
        let known = self.namespaces.get(&ObjectRef::new(namespace));
        known.is_none_or(|namespace| self.managed.matches(namespace.labels()))
    }

    /// Whether this process has seen the namespace managed, and then no longer.
    pub fn has_let_go_of(&self, namespace: &str) -> bool {
        self.let_go.lock().unwrap_or_else(PoisonError::into_inner).contains(namespace)
    }

    /// Whether the service account exists.
    pub fn service_account_exists(&self, namespace: &str, name: &str) -> bool {
        self.accounts.get(&ObjectRef::new(name).within(namespace)).is_some()
    }

    /// The objects of `resource` that refer to `target`.
    pub fn referrers(&self, target: &Target, resource: Resource) -> Vec<ObjectKey> {
        let references = self.references();
        references.referrers(target).filter(|from| from.resource == resource).map(|from| from.key.clone()).collect()
    }

    fn references(&self) -> RwLockReadGuard<'_, References> {
        self.references.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of every object of `resource` that has to be looked at, from now on.
    pub fn subscribe(&self, resource: Resource) -> mpsc::UnboundedReceiver<Touch> {
        let (sender, receiver) = mpsc::unbounded();
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push((resource, sender));
        receiver
    }

    /// Has the object looked at although it has not changed.
    pub fn look_again(&self, target: &Target) {
        self.touch_all([target.clone()], Urgency::InTurn);
    }

    fn touch_all(&self, targets: impl IntoIterator<Item = Target>, urgency: Urgency) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for target in targets {
            listeners.retain(|(resource, sender)| {
                *resource != target.resource
                    || sender.unbounded_send(Touch { key: target.key.clone(), urgency }).is_ok()
            });
        }
    }

    /// Keys of all objects of `resource`, those included that do not parse.
    pub fn keys(&self, resource: Resource) -> Vec<ObjectKey> {
        fn keys<K: Indexed>(store: &Store<K>) -> Vec<ObjectKey> {
            store.state().iter().map(|object| object.target().key).collect()
        }
        match resource {
            Resource::Machine => keys(&self.machines),
            Resource::Secret => keys(&self.secrets),
            Resource::Grant => keys(&self.grants),
            Resource::AccessPolicy => keys(&self.policies),
            Resource::ServiceAccount => keys(&self.accounts),
            Resource::Namespace => keys(&self.namespaces),
        }
    }

    /// How an object stands, also one that does not parse.
    pub fn standing(&self, target: &Target) -> Option<Standing> {
        fn standing<K: Indexed>(store: &Store<K>, target: &Target) -> Option<Standing> {
            let object = store.get(&ObjectRef::new(&target.key.name).within(&target.key.namespace))?;
            let generation = object.meta().generation.unwrap_or_default();
            Some(Standing { uid: object.uid().unwrap_or_default(), generation })
        }
        match target.resource {
            Resource::Machine => standing(&self.machines, target),
            Resource::Secret => standing(&self.secrets, target),
            Resource::Grant => standing(&self.grants, target),
            Resource::AccessPolicy => standing(&self.policies, target),
            Resource::ServiceAccount => standing(&self.accounts, target),
            Resource::Namespace => standing(&self.namespaces, target),
        }
    }

    /// Waits until the store has the object as of `version` or later, or not at all, but no longer than `bound`.
    pub async fn catch_up<K: Indexed>(&self, key: &ObjectKey, version: u64, bound: Duration) {
        let object = ObjectRef::new(&key.name).within(&key.namespace);
        let is_there = || {
            let known = K::store(self).get(&object).and_then(|object| api_server::version(object.meta()));
            known.is_none_or(|known| known >= version)
        };
        let wait = async {
            loop {
                let mut moved = pin!(self.moved.notified());
                moved.as_mut().enable();
                if is_there() {
                    return;
                }
                moved.await;
            }
        };
        let _ = tokio::time::timeout(bound, wait).await;
    }

    /// How many objects of the four kinds there are.
    pub fn len(&self) -> usize {
        self.machines.len() + self.secrets.len() + self.grants.len() + self.policies.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// After the store: notes what the object refers to now, and tells those it concerns.
    fn changed<K: Indexed>(&self, before: Option<&K>, after: Option<&K>) {
        let Some(own) = after.or(before).map(Indexed::target) else { return };
        let (mut touched, mut soon) = (BTreeSet::new(), BTreeSet::new());
        let is_to_come = |object: Option<&K>| object.is_some_and(Indexed::is_to_come);
        let is_there = is_to_come(before) && !is_to_come(after);
        let mut all = before.map(Indexed::refers_to).unwrap_or_default();
        {
            let mut references = self.references.write().unwrap_or_else(PoisonError::into_inner);
            let to = after.map(Indexed::refers_to).unwrap_or_default();
            references.replace(&own, &all, &to);
            all.extend(to);
            let is_another = before.map(Indexed::is) != after.map(Indexed::is);
            if before.map(Indexed::shows) != after.map(Indexed::shows) {
                touched.extend(references.referrers(&own).cloned());
                for target in &all {
                    match own.resource.is_looked_at_by(target.resource) {
                        // Below, each when it awaits nothing more.
                        Some(Look::AtWhatItShows) if is_there => {}
                        // What many Grants give together is counted once.
                        Some(Look::AtWhatItShows) => _ = soon.insert(target.clone()),
                        Some(Look::AtItsSpec) if is_another => _ = touched.insert(target.clone()),
                        Some(Look::AtItsSpec) | None => {}
                    }
                }
            }
        }
        if is_there {
            let uid = after.or(before).and_then(ResourceExt::uid).unwrap_or_default();
            if self.held_since(&own, &uid).is_some() {
                // They were told when it was held back, and one that gives all has not waited for this.
                touched.retain(|from| !self.gives_all(from));
            }
            self.release(&own, &all);
        }
        if after.is_none() {
            self.let_through(&own);
        }
        if own.resource == Resource::Namespace {
            let is_managed = |namespace: &K| self.managed.matches(namespace.labels());
            // What stands in it is there for others from now on, or no longer.
            let turns = matches!((before, after), (Some(b), Some(a)) if is_managed(b) != is_managed(a));
            if turns {
                let mut let_go = self.let_go.lock().unwrap_or_else(PoisonError::into_inner);
                if after.is_some_and(is_managed) {
                    let_go.remove(&own.key.name);
                } else {
                    let_go.insert(own.key.name.clone());
                }
            }
            if turns || before.map(Indexed::is) != after.map(Indexed::is) {
                touched.extend(self.inside(&own.key.name, turns));
            }
        }
        if before.map(Indexed::asks) != after.map(Indexed::asks) {
            touched.insert(own);
        }
        soon.retain(|target| !touched.contains(target));
        self.touch_all(touched, Urgency::Now);
        self.touch_all(soon, Urgency::Soon);
    }
}

impl Index {
    /// What an object refers to.
    fn refers_to(&self, own: &Target) -> Vec<Target> {
        fn of<K: Indexed>(store: &Store<K>, own: &Target) -> Vec<Target> {
            let found = store.get(&ObjectRef::new(&own.key.name).within(&own.key.namespace));
            found.map(|object| object.refers_to()).unwrap_or_default()
        }
        match own.resource {
            Resource::Machine => of(&self.machines, own),
            Resource::Secret => of(&self.secrets, own),
            Resource::Grant => of(&self.grants, own),
            Resource::AccessPolicy => of(&self.policies, own),
            Resource::ServiceAccount | Resource::Namespace => Vec::new(),
        }
    }

    /// The objects of a namespace, and if wanted those that look at them.
    fn inside(&self, namespace: &str, with_others: bool) -> BTreeSet<Target> {
        let of = |resource| {
            let inside = self.keys(resource).into_iter().filter(move |key| key.namespace == namespace);
            inside.map(move |key| Target { resource, key })
        };
        let mut all: BTreeSet<Target> = Resource::KINDS.into_iter().flat_map(of).collect();
        if with_others {
            let named: Vec<Target> = all.iter().flat_map(|own| self.refers_to(own)).collect();
            let references = self.references();
            let naming: Vec<Target> = all.iter().flat_map(|own| references.referrers(own)).cloned().collect();
            all.extend(named.into_iter().chain(naming));
        }
        all
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} objects)", self.len())
    }
}

#[cfg(test)]
mod tests;
