//! Approvals that policies with a co-signer ask for.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::co_sign::CoSignVerdict;
use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId, VaultId};

use super::machine::Grantee;
use super::millis::Millis;
use super::policy::Policy;

/// A read that was refused because nobody had approved it, and what was answered. There is one for each reader and
/// secret: the next replaces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoSignRequest {
    /// A UUID: what the co-signer answers. Another one each time.
    pub id: String,
    /// The vault.
    pub vault: VaultId,
    /// The secret's project.
    pub project: ProjectId,
    /// What is to be read.
    pub secret: SecretId,
    /// Who is to read.
    pub reader: Grantee,
    /// The policy, by id.
    pub policy: String,
    /// What the policy said: another revision voids the request and its answer.
    pub revision: u64,
    /// Which of the reader's machines asked.
    pub asked_by: MachineId,
    /// What that is called: its row may be gone when a person looks.
    pub asked_as: String,
    /// From where.
    pub asked_from: IpAddr,
    /// When.
    pub asked_at: Millis,
    /// What the co-signer answered.
    pub answer: Option<Answer>,
}

/// What a co-signer answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// By which machine. An approval is worth nothing once that is no longer in good standing.
    pub by: MachineId,
    /// When.
    pub at: Millis,
    /// What.
    pub verdict: CoSignVerdict,
    /// Until when it stands, not included.
    pub until: Millis,
}

impl CoSignRequest {
    /// The entity's id.
    pub fn key(secret: &SecretId, reader: &Grantee) -> String {
        format!("{secret}/{reader}")
    }

    /// Whether it is about what `policy` says now.
    pub fn is_under(&self, policy: &Policy) -> bool {
        self.policy == policy.id && self.revision == policy.revision
    }
}
