//! How many objects stand how, for whoever watches the operator.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::runtime::reflector::Store;
use kube::{Resource as _, ResourceExt as _};
use sikkerkey_crds::condition::{ConditionStatus, ConditionType, find};
use sikkerkey_crds::crd;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::Kind;

use super::Index;
use super::seen::{IndexedKind, Seen};
use crate::metrics::Ready;

impl Index {
    /// How many objects of each kind stand how, those in namespaces that are not managed and those being deleted apart.
    pub fn readiness(&self) -> Vec<(Kind, Ready, usize)> {
        let kinds = [
            (Kind::Machine, self.count(&self.machines)),
            (Kind::Secret, self.count(&self.secrets)),
            (Kind::Grant, self.count(&self.grants)),
            (Kind::AccessPolicy, self.count(&self.policies)),
        ];
        let each = |(kind, counts): (Kind, BTreeMap<Ready, usize>)| {
            // What has gone to nothing is said as well.
            [Ready::True, Ready::False, Ready::Unknown]
                .map(|ready| (kind, ready, counts.get(&ready).copied().unwrap_or_default()))
        };
        kinds.into_iter().flat_map(each).collect()
    }

    fn count<K: IndexedKind>(&self, store: &Store<Seen<K>>) -> BTreeMap<Ready, usize> {
        let mut counts = BTreeMap::new();
        for object in store.state() {
            let is_ours = self.manages(&object.namespace().unwrap_or_default());
            if is_ours && object.meta().deletion_timestamp.is_none() {
                *counts.entry(ready(&object)).or_default() += 1;
            }
        }
        counts
    }
}

fn ready<K: crd::Kind>(object: &Seen<K>) -> Ready {
    // One that does not parse says nothing that can be read, and is refused.
    let Ok(received): &Result<Arc<Received<K>>, _> = &object.0 else { return Ready::False };
    match find(received.object.conditions(), ConditionType::Ready).map(|ready| ready.status) {
        Some(ConditionStatus::True) => Ready::True,
        Some(ConditionStatus::False) => Ready::False,
        Some(ConditionStatus::Unknown) | None => Ready::Unknown,
    }
}
