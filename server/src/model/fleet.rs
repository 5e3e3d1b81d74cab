//! Fleets: the pods (or the one host) of a `Machine` object.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{FleetId, ProjectId, VaultId};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::sync::Delivery;

use super::managed::Managed;

/// A `Machine` object: grants, caps and approvals belong to it; identity and audit belong to each of its machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// Its id.
    pub id: FleetId,
    /// Its vault.
    pub vault: VaultId,
    /// The namespace's project.
    pub project: ProjectId,
    /// The object.
    pub managed: Managed,
    /// How approval stands.
    pub approval: Approval,
    /// Whether nobody reads as it for now.
    pub suspended: bool,
    /// Pods or a host.
    pub subject: FleetSubject,
}

impl Fleet {
    /// Who may be it, as text that changes with that: the service accounts of its pods, or the key of its host.
    pub fn who(&self) -> String {
        match &self.subject {
            FleetSubject::Workload { service_accounts, .. } => {
                let mut accounts = service_accounts.clone();
                accounts.sort_unstable();
                accounts.join(",")
            }
            FleetSubject::Host { public_key, .. } => public_key.map(|it| it.to_string()).unwrap_or_default(),
        }
    }

    /// Whether somebody who may be the one may be the other: pods of one namespace with one service account.
    pub fn shares_pods_with(&self, other: &Self) -> bool {
        let accounts = |fleet: &Self| match &fleet.subject {
            FleetSubject::Workload { service_accounts, .. } => service_accounts.clone(),
            FleetSubject::Host { .. } => Vec::new(),
        };
        let theirs = accounts(other);
        self.project == other.project && accounts(self).iter().any(|it| theirs.contains(it))
    }

    /// Whether pods of this service account may belong to it.
    pub fn admits(&self, service_account: &str) -> bool {
        match &self.subject {
            FleetSubject::Workload { service_accounts, .. } => service_accounts.iter().any(|it| it == service_account),
            FleetSubject::Host { .. } => false,
        }
    }

    /// Whether its object says that its host has this key.
    pub fn names(&self, key: &PublicKey) -> bool {
        matches!(&self.subject, FleetSubject::Host { public_key: Some(it), .. } if it == key)
    }
}

/// Whom a fleet consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FleetSubject {
    /// Pods.
    Workload {
        /// Names of the service accounts whose pods may assume it.
        service_accounts: Vec<String>,
        /// How long one pod's identity lasts before it renews, in seconds.
        lifetime_seconds: u64,
        /// What the sidecars write.
        delivery: Arc<Delivery>,
        /// Changes with `delivery`: hex of a hash of it.
        delivery_revision: String,
    },
    /// One host.
    Host {
        /// The key it must have.
        public_key: Option<PublicKey>,
        /// How long its identity lasts, in seconds.
        lifetime_seconds: Option<u64>,
    },
}
