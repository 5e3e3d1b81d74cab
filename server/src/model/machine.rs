//! Machines: whoever signs.

mod pod;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{FleetId, MachineId, VaultId};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::Guardrails;

pub use self::pod::{Pod, PodOf, PodUid};
use super::millis::Millis;
use crate::audit::digest::Digest;

/// Something that has a key and signs: a host, or one pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// What it signs as.
    pub id: MachineId,
    /// Its vault.
    pub vault: VaultId,
    /// What people call it; of a pod, `namespace/pod`.
    pub name: String,
    /// Its key.
    pub public_key: PublicKey,
    /// How approval stands.
    pub approval: Approval,
    /// Whether it is switched on.
    pub enabled: bool,
    /// When its identity ends; none: never.
    pub expires_at: Option<Millis>,
    /// When it registered.
    pub created_at: Millis,
    /// The fleet it belongs to.
    pub fleet: Option<FleetId>,
    /// Of a pod: which one.
    pub pod: Option<PodOf>,
    /// Host name it gave when it registered; only for people.
    pub hostname: Option<String>,
    /// The enrolment token that let it in, by id: then it is ephemeral and goes when its time is over.
    #[serde(default)]
    pub enrolled_by: Option<String>,
    /// Whether a person approved it, by its id. Its object naming its key is another's word.
    #[serde(default)]
    pub approved_by_person: bool,
    /// Of a pod: the hash of the voucher it came of. The same voucher gets the same answer for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Digest>,
    /// Of one that is no pod: what is known of it beside its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Box<HostOf>>,
}

/// What is known of a machine that is no pod. Kept apart, because almost every machine is a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostOf {
    /// What it said of itself when it registered, and from where; only for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_contact: Option<FirstContact>,
    /// The machine of the same name whose place it takes when it is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<MachineId>,
    /// What it was called before, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_names: Vec<EarlierName>,
    /// Of a temporary machine: for how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporary: Option<Temporary>,
    /// How it was given more time, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// What each of its requests has to keep to; none: nothing but what holds for every machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<Guardrails>,
}

/// What a machine said of itself when it registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstContact {
    /// When.
    pub at: Millis,
    /// From where.
    pub address: IpAddr,
    /// Its operating system, as it calls itself.
    pub os: Option<String>,
}

/// A name that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierName {
    /// The name.
    pub name: String,
    /// Until when it was used.
    pub until: Millis,
}

/// For how long a temporary machine is let in. Its end stands in [`Machine::expires_at`] once it is approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Temporary {
    /// How long it lasts from its approval on, in seconds.
    pub lifetime_seconds: u64,
}

/// How a temporary machine was given more time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// When.
    pub at: Millis,
    /// By whom, for people.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it would have ended.
    pub from: Millis,
    /// When it ends since then.
    pub to: Millis,
    /// When that was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverted_at: Option<Millis>,
}

impl Machine {
    /// To whom grants for this machine are given.
    pub fn grantee(&self) -> Grantee {
        self.fleet.clone().map_or_else(|| Grantee::Machine(self.id.clone()), Grantee::Fleet)
    }

    /// Whether it can read, as far as it alone decides.
    pub fn is_live(&self, now: Millis) -> bool {
        self.approval == Approval::Approved && self.enabled && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Whether a person vouches for it: a host of its own key, approved by one. Only such a machine may approve what a
/// protected policy guards; whoever manages pods or gives out enrolment tokens makes machines of the other kinds at will.
pub fn is_vouched(machine: &Machine) -> bool {
    machine.pod.is_none() && machine.enrolled_by.is_none() && machine.approved_by_person
}

/// To whom a grant is given: a fleet, or a machine that belongs to none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grantee {
    /// All machines of a fleet.
    Fleet(FleetId),
    /// One machine.
    Machine(MachineId),
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet(id) => id.fmt(f),
            Self::Machine(id) => id.fmt(f),
        }
    }
}
