//! What a policy's plan needs to know of its surroundings.

use kube::ResourceExt;
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::machine::ConsentKind;

use crate::controller::grant::gather::{Referred, machine_named};
use crate::index::Index;
use crate::index::references::{Resource, Target};

/// The surroundings of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The co-signer, if one is named.
    pub approver: Option<Referred>,
    /// How many Secrets name the policy.
    pub bound: usize,
}

/// Looks around.
pub fn gather(policy: &AccessPolicy, index: &Index) -> Facts {
    let own = policy.namespace().unwrap_or_default();
    let approver = policy.spec.co_sign.as_ref().map(|co_sign| {
        let machine = &co_sign.machine_ref;
        machine_named(index, &own, machine.namespace_or(&own), &machine.name, ConsentKind::AccessPolicy)
    });
    let itself = Target::new(Resource::AccessPolicy, &own, &policy.name_any());
    Facts { approver, bound: index.referrers(&itself, Resource::Secret).len() }
}
