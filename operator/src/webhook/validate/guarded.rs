//! What the index knows around a policy: the Secrets that it guards, and who may read them.

use k8s_openapi::jiff::Timestamp;
use sikkerkey_crds::secret::Secret;
use sikkerkey_protocol::kubernetes::ObjectKey;

use super::policy::{Guarded, Reader, set_by};
use crate::index::Index;
use crate::index::references::{Resource, Target};

/// The Secrets that name the policy.
pub fn by_policy(index: &Index, namespace: &str, policy: &str, now: Timestamp) -> Vec<Guarded> {
    let named = index.referrers(&Target::new(Resource::AccessPolicy, namespace, policy), Resource::Secret);
    let secrets = named.into_iter().filter_map(|key| {
        let secret = index.secret(&key.namespace, &key.name)?;
        Some(guarded(index, &secret, &key, now))
    });
    secrets.collect()
}

/// The Secret `key`, as it is or as it shall be.
pub fn guarded(index: &Index, secret: &Secret, key: &ObjectKey, now: Timestamp) -> Guarded {
    let readers = index.readers_of(key, now).into_iter().map(|machine| reader(index, machine)).collect();
    let is_set_by = secret.spec.source.origin().ok().and_then(|origin| set_by(&origin));
    Guarded { name: key.name.clone(), is_set_by, readers }
}

/// A Machine as a reader.
pub fn reader(index: &Index, machine: ObjectKey) -> Reader {
    let found = index.machine(&machine.namespace, &machine.name);
    let alive = found.and_then(|found| found.status.as_ref()?.pods.as_ref()?.alive);
    Reader { machine, alive: alive.map(i64::from).unwrap_or_default() }
}
