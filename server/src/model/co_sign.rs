//! Approvals that policies with a co-signer ask for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::co_sign::CoSignVerdict;
use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId, VaultId};

use super::fleet::Fleet;
use super::grant::Grant;
use super::machine::Grantee;
use super::millis::Millis;
use super::policy::Policy;
use super::secret::Secret;

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
    /// [`Secret::bindings`](super::secret::Secret::bindings) of the secret.
    pub bindings: u64,
    /// The live grants of the pair, by id: an approval ends with the last of them.
    pub grants: BTreeSet<String>,
    /// [`Fleet::who`](super::fleet::Fleet::who) of the reader's fleet: who may be it changes whom was approved.
    pub who: Option<String>,
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

    /// Whether nothing has changed of what it is about: what the policy says, that it guards the secret, who the reader is,
    /// and that it is granted. `grants` are the live ones of the pair.
    pub fn stands<'g>(
        &self,
        policy: &Policy,
        secret: &Secret,
        fleet: Option<&Fleet>,
        mut grants: impl Iterator<Item = &'g Grant>,
    ) -> bool {
        self.policy == policy.id
            && self.revision == policy.revision
            && self.bindings == secret.bindings
            && self.who == fleet.map(Fleet::who)
            && grants.any(|it| self.grants.contains(&it.id))
    }
}
