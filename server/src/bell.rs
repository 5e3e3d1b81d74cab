//! Waking those whom a change concerns.
//!
//! Ten thousand sidecars may wait at the same time, and an operator may apply as many objects in a row. Were each change
//! to wake each of them, the server would do nothing else. So a sidecar says what it waits for ([`Topic`]), and a change
//! rings for what it touches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId};
use tokio::sync::Notify;

use crate::model::machine::Grantee;
use crate::model::managed::Managed;
use crate::model::{Change, Entity, EntityKey, EntityKind};
use crate::state::State;

/// What one may wait for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A machine's own identity.
    Machine(MachineId),
    /// A fleet or host, and what it is granted.
    Grantee(Grantee),
    /// Secrets, policies and the project of a namespace: cluster and name.
    Namespace(String, String),
    /// What concerns everybody: accounts and vaults.
    Everybody,
}

/// The bell. One for the whole server.
#[derive(Default)]
pub struct Bell(Mutex<Waiters>);

#[derive(Default)]
struct Waiters {
    next: u64,
    by_topic: HashMap<Topic, HashMap<u64, Arc<Notify>>>,
}

/// Somebody who waits. Hears what rings from the moment it was made, also while it does not listen.
pub struct Subscription<'b> {
    bell: &'b Bell,
    id: u64,
    topics: Vec<Topic>,
    notify: Arc<Notify>,
}

impl Bell {
    /// Waits for these topics, and for what concerns everybody.
    pub fn subscribe(&self, topics: impl IntoIterator<Item = Topic>) -> Subscription<'_> {
        let topics: Vec<_> = topics.into_iter().chain([Topic::Everybody]).collect();
        let notify = Arc::new(Notify::new());
        let mut waiters = self.lock();
        let id = waiters.next;
        waiters.next += 1;
        for topic in &topics {
            waiters.by_topic.entry(topic.clone()).or_default().insert(id, Arc::clone(&notify));
        }
        Subscription { bell: self, id, topics, notify }
    }

    /// Wakes everybody who waits for one of these.
    pub fn ring<'t>(&self, topics: impl IntoIterator<Item = &'t Topic>) {
        let waiters = self.lock();
        for notify in topics.into_iter().filter_map(|topic| waiters.by_topic.get(topic)).flat_map(HashMap::values) {
            notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription<'_> {
    /// Ends when something has rung since the last time.
    pub async fn rung(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        let mut waiters = self.bell.lock();
        for topic in &self.topics {
            let Some(of_topic) = waiters.by_topic.get_mut(topic) else { continue };
            of_topic.remove(&self.id);
            if of_topic.is_empty() {
                waiters.by_topic.remove(topic);
            }
        }
    }
}

/// Whom a change concerns. `state` is that before the change: what is removed or replaced concerns those it concerned.
pub fn topics(state: &State, change: &Change) -> Vec<Topic> {
    match change {
        Change::Put(entity) => {
            let old = state.entity(&entity.key());
            old.iter().chain([&**entity]).filter_map(|it| topics_of(state, it)).collect()
        }
        Change::Remove(key) => removed(state, key),
        Change::PutVersion(version) => of_secret(state, &version.secret).into_iter().collect(),
        Change::ForgetVersion(..) | Change::WrapMaster(_) => Vec::new(),
    }
}

fn removed(state: &State, key: &EntityKey) -> Vec<Topic> {
    match key.kind {
        // Nobody waits for these, and there are many.
        EntityKind::Token
        | EntityKind::GonePod
        | EntityKind::SpentLogin
        | EntityKind::Agent
        | EntityKind::EnrolmentToken
        | EntityKind::Session => Vec::new(),
        _ => state.entity(key).iter().filter_map(|it| topics_of(state, it)).collect(),
    }
}

fn topics_of(state: &State, entity: &Entity) -> Option<Topic> {
    match entity {
        Entity::Account(_) | Entity::Vault(_) | Entity::Allowlist(_) => Some(Topic::Everybody),
        Entity::Membership(it) => Some(Topic::Grantee(Grantee::Machine(it.machine.clone()))),
        Entity::Machine(it) => Some(Topic::Machine(it.id.clone())),
        Entity::Fleet(it) => Some(Topic::Grantee(Grantee::Fleet(it.id.clone()))),
        Entity::Grant(it) => Some(Topic::Grantee(it.grantee.clone())),
        Entity::CoSign(it) => Some(Topic::Grantee(it.reader.clone())),
        Entity::Secret(it) => of_namespace(state, it.managed.as_ref(), &it.project),
        Entity::Policy(it) => of_namespace(state, it.managed.as_ref(), &it.project),
        Entity::Project(it) => it.namespace.as_ref().map(|it| Topic::Namespace(it.cluster.clone(), it.name.clone())),
        Entity::Cluster(_)
        | Entity::Agent(_)
        | Entity::Token(_)
        | Entity::GonePod(_)
        | Entity::SpentLogin(_)
        | Entity::Application(_)
        | Entity::Canary(_)
        | Entity::EnrolmentToken(_)
        | Entity::SealingKey(_)
        | Entity::AgentTrust(_)
        | Entity::Webhook(_)
        | Entity::WebhookProgress(_)
        | Entity::Alerts(_)
        | Entity::Credential(_)
        | Entity::Session(_)
        | Entity::Member(_) => None,
    }
}

fn of_secret(state: &State, secret: &SecretId) -> Option<Topic> {
    let secret = state.secrets.get(secret)?;
    of_namespace(state, secret.managed.as_ref(), &secret.project)
}

fn of_namespace(state: &State, managed: Option<&Managed>, project: &ProjectId) -> Option<Topic> {
    if let Some(it) = managed {
        return Some(Topic::Namespace(it.cluster.clone(), it.object.key.namespace.clone()));
    }
    let namespace = state.projects.get(project)?.namespace.as_ref()?;
    Some(Topic::Namespace(namespace.cluster.clone(), namespace.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Topic {
        Topic::Namespace("prod".into(), "shop".into())
    }

    async fn has_rung(subscription: &Subscription<'_>) -> bool {
        tokio::select! {
            biased;
            () = subscription.rung() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn a_ring_is_heard_by_those_it_concerns_also_when_they_do_not_listen_yet() {
        let bell = Bell::default();
        let (concerned, other) = (bell.subscribe([shop()]), bell.subscribe([]));
        bell.ring(&[shop()]);
        assert!(has_rung(&concerned).await);
        assert!(!has_rung(&concerned).await);
        assert!(!has_rung(&other).await);
        bell.ring(&[Topic::Everybody]);
        assert!(has_rung(&concerned).await && has_rung(&other).await);
    }

    #[tokio::test]
    async fn whoever_is_gone_leaves_nothing_behind() {
        let bell = Bell::default();
        drop((bell.subscribe([shop()]), bell.subscribe([shop()])));
        assert!(bell.lock().by_topic.is_empty());
    }
}
