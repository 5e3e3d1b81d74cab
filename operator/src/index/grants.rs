//! What Grants give, as far as the cluster tells.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::{ConsentKind, Machine};
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::ObjectKey;

use super::Index;
use super::references::{Resource, Target};

/// How long access lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// An instant.
    Instant(Timestamp),
    /// Until somebody revokes it.
    Revoked,
}

/// A figure that Grants make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// How many.
    pub count: usize,
    /// When the first of the Grants that make it ends.
    pub changes_at: Option<Timestamp>,
}

impl Index {
    /// Until when Grants of this cluster give the Secret to `machine`, if they do at `now`: Grants that are not being deleted,
    /// from the Machine's own namespace or from one it consents to, and a Secret that exists.
    pub fn granted_until(&self, machine: &Machine, secret: &ObjectKey, now: Timestamp) -> Option<Until> {
        let own = machine.namespace().unwrap_or_default();
        let name = machine.name_any();
        let namespace = &secret.namespace;
        let consents = *namespace == own || machine.spec.consents_to(namespace, ConsentKind::Grant);
        if !consents {
            return None;
        }
        self.secret(namespace, &secret.name)?;
        // By the Machine: a Secret may be granted to thousands of them.
        let grants = self.referrers(&Target::new(Resource::Machine, &own, &name), Resource::Grant);
        let ends = grants.iter().filter(|key| key.namespace == *namespace).filter_map(|key| {
            let grant = self.grant(&key.namespace, &key.name)?;
            let gives = grant.spec.secret_refs.iter().any(|named| named.name == secret.name);
            lasts_until(&grant, now).filter(|_| gives)
        });
        ends.max()
    }

    /// The Machines that Grants of this cluster give the Secret to at `now`, as far as those of other namespaces consent.
    /// Whether the server knows of it does not matter.
    pub fn readers_of(&self, secret: &ObjectKey, now: Timestamp) -> BTreeSet<ObjectKey> {
        let own = &secret.namespace;
        let target = Target { resource: Resource::Secret, key: secret.clone() };
        let grants = self.referrers(&target, Resource::Grant).into_iter();
        let grants = grants.filter_map(|key| self.grant(&key.namespace, &key.name));
        let machines = grants.filter(|grant| lasts_until(grant, now).is_some()).map(|grant| {
            let named = &grant.spec.machine_ref;
            ObjectKey { namespace: named.namespace_or(own).to_owned(), name: named.name.clone() }
        });
        let consents = |machine: &ObjectKey| {
            let found = self.machine(&machine.namespace, &machine.name);
            machine.namespace == *own || found.is_some_and(|found| found.spec.consents_to(own, ConsentKind::Grant))
        };
        machines.filter(consents).collect()
    }

    /// Whether this is a Grant that the server has put in force as its generation says, with all its Secrets.
    pub(super) fn gives_all(&self, target: &Target) -> bool {
        let grant = Some(target).filter(|target| target.resource == Resource::Grant);
        grant.and_then(|target| self.grant(&target.key.namespace, &target.key.name)).is_some_and(|grant| {
            grant.status.as_ref().is_some_and(|status| {
                let all = status.secrets.as_ref().is_some_and(|it| it.granted.is_some() && it.granted == it.total);
                all && status.machine_id.is_some() && status.observed_generation == grant.metadata.generation
            })
        })
    }

    /// How many Grants are in force for the Secret at `now`.
    pub fn grants_of(&self, secret: &ObjectKey, now: Timestamp) -> Given {
        let grants = self.in_force(Resource::Secret, secret, now);
        Given { count: grants.len(), changes_at: first_end(&grants) }
    }

    /// How many Secrets the Machine is granted at `now` by Grants that are in force.
    pub fn secrets_granted_to(&self, machine: &ObjectKey, now: Timestamp) -> Given {
        let grants = self.in_force(Resource::Machine, machine, now);
        let secrets: BTreeSet<(String, &String)> = grants
            .iter()
            .flat_map(|grant| grant.spec.secret_refs.iter().map(|secret| (grant.namespace(), &secret.name)))
            .filter_map(|(namespace, name)| Some((namespace?, name)))
            .filter(|(namespace, name)| self.is_in_force_at_server(namespace, name))
            .collect();
        Given { count: secrets.len(), changes_at: first_end(&grants) }
    }

    /// The Grants that name the object and that the server has put in force: it named the machine they are for.
    fn in_force(&self, resource: Resource, key: &ObjectKey, now: Timestamp) -> Vec<Arc<Received<Grant>>> {
        let named = Target { resource, key: key.clone() };
        let grants = self.referrers(&named, Resource::Grant).into_iter();
        let grants = grants.filter_map(|key| self.grant(&key.namespace, &key.name));
        grants
            .filter(|grant| lasts_until(grant, now).is_some())
            .filter(|grant| grant.status.as_ref().is_some_and(|status| status.machine_id.is_some()))
            .collect()
    }

    /// Whether the Secret is there to stay, and known to the server.
    fn is_in_force_at_server(&self, namespace: &str, name: &str) -> bool {
        self.secret(namespace, name).is_some_and(|secret| {
            let is_known = secret.status.as_ref().is_some_and(|status| status.secret_id.is_some());
            is_known && secret.metadata.deletion_timestamp.is_none()
        })
    }
}

/// Until when a Grant gives anything, if it does at `now`.
fn lasts_until(grant: &Grant, now: Timestamp) -> Option<Until> {
    let end = grant.spec.expires_at.as_ref().map_or(Until::Revoked, |end| Until::Instant(end.0));
    (grant.metadata.deletion_timestamp.is_none() && end > Until::Instant(now)).then_some(end)
}

fn first_end(grants: &[Arc<Received<Grant>>]) -> Option<Timestamp> {
    grants.iter().filter_map(|grant| grant.spec.expires_at.as_ref()).map(|end| end.0).min()
}
