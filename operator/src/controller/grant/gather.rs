//! What a Grant's plan needs to know of its surroundings.

use kube::ResourceExt;
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::ConsentKind;

use crate::controller::conditions::{is_pending, not_accepted};
use crate::index::Index;

/// The surroundings of a Grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The Machine it names.
    pub machine: Referred,
    /// The Secrets it names that do not exist.
    pub missing: Vec<String>,
    /// Whether one of its Secrets exists and nobody has looked at it yet.
    pub has_pending_secret: bool,
}

/// How a Machine that is named stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referred {
    /// It exists and consents.
    Fine {
        /// Whether it is suspended.
        suspended: bool,
    },
    /// It exists and consents, and nobody has looked at it yet.
    Pending,
    /// It does not exist in the own namespace.
    Missing,
    /// It is of another namespace and does not exist, or does not consent: on purpose one and the same.
    NotPermitted,
    /// It consents, and is not accepted.
    NotAccepted {
        /// Why.
        reason: String,
    },
}

/// Looks around.
pub fn gather(grant: &Grant, index: &Index) -> Facts {
    let own = grant.namespace().unwrap_or_default();
    let mut missing = Vec::new();
    let mut has_pending_secret = false;
    for named in &grant.spec.secret_refs {
        match index.secret(&own, &named.name) {
            Some(secret) if secret.metadata.deletion_timestamp.is_none() => {
                has_pending_secret |= is_pending(secret.conditions());
            }
            _ => missing.push(named.name.clone()),
        }
    }
    let machine = &grant.spec.machine_ref;
    let machine = machine_named(index, &own, machine.namespace_or(&own), &machine.name, ConsentKind::Grant);
    Facts { machine, missing, has_pending_secret }
}

/// How the Machine `name` of `namespace` stands to an object of `own`.
pub fn machine_named(index: &Index, own: &str, namespace: &str, name: &str, kind: ConsentKind) -> Referred {
    let machine = index.machine(namespace, name).filter(|machine| machine.metadata.deletion_timestamp.is_none());
    let foreign = namespace != own;
    match machine {
        None if foreign => Referred::NotPermitted,
        None => Referred::Missing,
        Some(machine) if foreign && !machine.spec.consents_to(own, kind) => Referred::NotPermitted,
        Some(machine) => match not_accepted(machine.conditions()) {
            Some(reason) => Referred::NotAccepted { reason: reason.to_owned() },
            None if is_pending(machine.conditions()) => Referred::Pending,
            None => Referred::Fine { suspended: machine.spec.suspended() },
        },
    }
}
