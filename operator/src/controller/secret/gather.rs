//! What a Secret's plan needs to know of its surroundings.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::secret::Secret;
use sikkerkey_protocol::kubernetes::ObjectKey;

use super::original::Original;
use crate::controller::conditions::not_accepted;
use crate::index::{Given, Index};

/// The surroundings of a Secret.
#[derive(Debug)]
pub struct Facts {
    /// The policy it names.
    pub policy: Policy,
    /// The Grants that are in force for it.
    pub grants: Given,
    /// The core Secret that it takes from. The index has none: [`take::look`](super::take::look) fills it in.
    pub original: Original,
    /// When to look at that again.
    pub look_at: Option<Timestamp>,
}

/// How the policy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// None is named, or the one that is named is accepted.
    Fine,
    /// It exists, and nobody has looked at it yet.
    Pending,
    /// It does not exist.
    Missing,
    /// It is not accepted.
    NotAccepted {
        /// Why.
        reason: String,
    },
}

/// Looks around.
pub fn gather(secret: &Secret, index: &Index, now: Timestamp) -> Facts {
    let key = ObjectKey { namespace: secret.namespace().unwrap_or_default(), name: secret.name_any() };
    Facts {
        policy: policy(secret, &key.namespace, index),
        grants: index.grants_of(&key, now),
        original: Original::NotLooked,
        look_at: None,
    }
}

fn policy(secret: &Secret, own: &str, index: &Index) -> Policy {
    let Some(named) = &secret.spec.policy_ref else { return Policy::Fine };
    match index.policy(own, &named.name) {
        None => Policy::Missing,
        Some(policy) if policy.metadata.deletion_timestamp.is_some() => Policy::Missing,
        Some(policy) => match not_accepted(policy.conditions()) {
            Some(reason) => Policy::NotAccepted { reason: reason.to_owned() },
            None if index.is_unseen(&policy) => Policy::Pending,
            None => Policy::Fine,
        },
    }
}
