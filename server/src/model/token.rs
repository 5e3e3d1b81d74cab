//! One-time tokens. Only their hashes are stored.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::enrolment::Registered;
use sikkerkey_protocol::id::{FleetId, MachineId, ProjectId, VaultId};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::management::Scope;

use super::machine::PodOf;
use super::millis::Millis;
use crate::audit::digest::Digest;

/// A one-time token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Hex SHA-256 of the token's text.
    pub hash: Digest,
    /// The vault.
    pub vault: VaultId,
    /// When it ends, not included.
    pub expires_at: Millis,
    /// What it is good for.
    pub purpose: TokenPurpose,
    /// Who used it: the same key gets the same answer again until `expires_at`, any other is refused.
    pub used: Option<Box<Used>>,
    /// Whether its row is filed by time; rows that were written before there was an order are filed by hash.
    #[serde(default)]
    pub in_order: bool,
}

impl Token {
    /// The id of its row: tokens that are made together are neighbours in the database, and are written together.
    pub fn id(&self) -> String {
        if self.in_order { format!("{:013}.{}", self.expires_at.0, self.hash) } else { self.hash.to_string() }
    }

    /// The hash in such an id.
    pub fn hash_of(id: &str) -> Option<Digest> {
        id.rsplit_once('.').map_or(id, |(_, hash)| hash).parse().ok()
    }
}

/// What a one-time token is good for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TokenPurpose {
    /// A host registers; a person approves its key afterwards.
    Host(Box<ForHost>),
    /// One key of one pod becomes a machine of a fleet.
    Pod(Box<Voucher>),
    /// An agent registers; a person approves it afterwards.
    Agent(Box<ForAgent>),
    /// For a pod, and spent, as an earlier release kept it: good for nothing, and forgotten within an hour.
    SpentByPod {
        /// That machine.
        machine: MachineId,
    },
}

/// What a host's token is good for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForHost {
    /// The machine's name; none: its host name, or that of its object.
    pub name: Option<String>,
    /// The `Machine` object of a host that it is for.
    #[serde(default)]
    pub fleet: Option<FleetId>,
    /// Of a temporary machine: how long it lasts from its approval on, in seconds.
    #[serde(default)]
    pub lifetime_seconds: Option<u64>,
}

/// What an agent's token is good for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForAgent {
    /// Its name; none: as it says.
    pub name: Option<String>,
    /// The cluster it is going to speak for.
    pub cluster: Option<String>,
    /// What it may do on the management plane; none of a token that is older than scopes: everything there.
    #[serde(default)]
    pub scopes: Option<BTreeSet<Scope>>,
    /// The projects it may see; none: every project of its vault.
    #[serde(default)]
    pub projects: Option<BTreeSet<ProjectId>>,
}

/// What a pod's token is good for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Voucher {
    /// The fleet.
    pub fleet: FleetId,
    /// The pod.
    pub pod: PodOf,
    /// The key.
    pub public_key: PublicKey,
}

/// The one use of a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// By which key.
    pub public_key: PublicKey,
    /// What it was answered; none for an agent.
    pub registered: Option<Registered>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_filed_by_time_and_one_from_before_stays_where_it_is() {
        let token = |in_order| Token {
            hash: Digest([0xab; 32]),
            vault: "vault_v".parse().unwrap(),
            expires_at: Millis(1_792_204_561_123),
            purpose: TokenPurpose::Host(Box::default()),
            used: None,
            in_order,
        };
        let hash = "ab".repeat(32);
        assert_eq!(token(true).id(), format!("1792204561123.{hash}"));
        assert_eq!(Token::hash_of(&token(true).id()), Some(token(true).hash));
        let mut before = serde_json::to_value(token(true)).unwrap();
        before.as_object_mut().unwrap().remove("in_order");
        let before: Token = serde_json::from_value(before).unwrap();
        assert_eq!((before.id(), Token::hash_of(&before.id())), (hash, Some(before.hash)));
    }

    #[test]
    fn a_voucher_is_stored_as_it_always_was() {
        let key = crate::usecase::fixture::key(1).public_key();
        let pod = PodOf { cluster: "prod".into(), pod: crate::usecase::fixture::pod("u").into() };
        let fleet = "00000000-0000-4000-8000-0000000000ff";
        let voucher =
            TokenPurpose::Pod(Box::new(Voucher { fleet: fleet.parse().unwrap(), pod: pod.clone(), public_key: key }));
        let stored = serde_json::json!({"Pod": {"fleet": fleet, "pod": pod, "public_key": key}});
        assert_eq!(serde_json::to_value(&voucher).unwrap(), stored);
        assert_eq!(serde_json::from_value::<TokenPurpose>(stored).unwrap(), voucher);
    }
}
