//! Machines and Secrets that are in force, and whose first status is held back.
//!
//! They often come together with the Grants that name them. A status that is written before those are in force says that there
//! are none, and is written once more when there are: of ten thousand objects that come at once, half would have two. So the
//! first good status waits until nobody is left who will change it, and whoever waits for that object goes by this memory.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::ObjectKey;

use super::references::{Resource, Target};
use super::seen::{IndexedKind, is_pending};
use super::{Index, Urgency};

/// Who is held back, and who does not come.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By object: its uid, and since when.
    back: HashMap<Target, (String, Timestamp)>,
    /// Objects whose last pass failed: nobody knows when they have a status.
    failing: HashSet<Target>,
}

impl Index {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object is in force, and its first status is held back. Whoever refers to it is told.
    pub fn hold_back(&self, target: &Target, uid: &str, now: Timestamp) {
        let is_new = {
            let mut held = self.held();
            let is_new = held.back.get(target).is_none_or(|(of, _)| of != uid);
            if is_new {
                held.back.insert(target.clone(), (uid.to_owned(), now));
            }
            is_new
        };
        if is_new {
            let referrers: Vec<Target> = self.references().referrers(target).cloned().collect();
            self.touch_all(referrers, Urgency::Now);
        }
    }

    /// Since when the object of that uid is held back, if it is.
    pub fn held_since(&self, target: &Target, uid: &str) -> Option<Timestamp> {
        self.held().back.get(target).filter(|(of, _)| of == uid).map(|(_, since)| *since)
    }

    /// It has been looked at: it is held back no longer, and nothing fails.
    pub fn let_through(&self, target: &Target) {
        let mut held = self.held();
        held.back.remove(target);
        held.failing.remove(target);
        if held.back.is_empty() {
            // The room that thousands took at a start is given back.
            held.back = HashMap::new();
        }
    }

    /// A pass over it failed: nobody waits for its first status until one does not.
    pub fn fails(&self, target: &Target) {
        if self.held().failing.insert(target.clone()) {
            self.release(target, &self.refers_to(target));
        }
    }

    /// Forgets who is held back: another leader may have worked in between.
    pub fn forget_held(&self) {
        *self.held() = Held::default();
    }

    /// Whether nobody has looked at the object yet.
    pub fn is_unseen<K: IndexedKind>(&self, object: &Received<K>) -> bool {
        let meta = object.object.meta();
        let own =
            || Target::new(K::RESOURCE, &object.object.namespace().unwrap_or_default(), &object.object.name_any());
        is_pending(object.object.conditions())
            && self.held_since(&own(), meta.uid.as_deref().unwrap_or_default()).is_none()
    }

    /// Whether what the status of a Machine or Secret counts is about to change: a Grant that names it is still to be looked at,
    /// or a Secret that the Machine is granted.
    pub fn awaits(&self, target: &Target) -> bool {
        let is_machine = target.resource == Resource::Machine;
        if !is_machine && target.resource != Resource::Secret {
            return false;
        }
        let grants = self.referrers(target, Resource::Grant).into_iter();
        let mut grants = grants.filter_map(|key| self.grant(&key.namespace, &key.name));
        grants.any(|grant| self.is_to_come(&grant) || is_machine && self.has_secret_to_come(&grant))
    }

    fn has_secret_to_come(&self, grant: &Grant) -> bool {
        let namespace = grant.namespace().unwrap_or_default();
        let mut secrets = grant.spec.secret_refs.iter().filter_map(|named| self.secret(&namespace, &named.name));
        secrets.any(|secret| self.is_to_come(&secret))
    }

    /// The first status of a Grant or Secret is there, or will never be. Has those looked at that awaited it and now await
    /// nothing more: what it refers to, which is `named`, and the Machines that are given a Secret. Those that have a status
    /// already take their time.
    pub(super) fn release(&self, own: &Target, named: &[Target]) {
        let mut concerned = match own.resource {
            Resource::Grant => named.to_vec(),
            Resource::Secret => self.machines_given(own),
            _ => return,
        };
        concerned.sort_unstable();
        concerned.dedup();
        for target in concerned {
            let ObjectKey { namespace, name } = &target.key;
            let is_to_come = match target.resource {
                Resource::Machine => self.machine(namespace, name).is_some_and(|it| self.is_to_come(&it)),
                Resource::Secret => self.secret(namespace, name).is_some_and(|it| self.is_to_come(&it)),
                _ => continue,
            };
            if !is_to_come {
                self.touch_all([target], Urgency::Soon);
            } else if !self.awaits(&target) {
                self.touch_all([target], Urgency::Now);
            }
        }
    }

    /// The Machines of the Grants that name a Secret.
    fn machines_given(&self, secret: &Target) -> Vec<Target> {
        let grants = self.referrers(secret, Resource::Grant).into_iter();
        let machine = |key: ObjectKey| {
            let grant = self.grant(&key.namespace, &key.name)?;
            let named = &grant.spec.machine_ref;
            Some(Target::new(Resource::Machine, named.namespace_or(&key.namespace), &named.name))
        };
        grants.filter_map(machine).collect()
    }

    /// Whether a first status is still to come, and soon.
    fn is_to_come<K: IndexedKind>(&self, object: &Received<K>) -> bool {
        let own =
            || Target::new(K::RESOURCE, &object.object.namespace().unwrap_or_default(), &object.object.name_any());
        object.object.meta().deletion_timestamp.is_none()
            && is_pending(object.object.conditions())
            && !self.held().failing.contains(&own())
    }
}

#[cfg(test)]
mod tests;
