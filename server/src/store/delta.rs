//! What one group changed, for servers that did not write it.
//!
//! Several servers on one database are never ahead of each other: each group begins by taking over what the groups
//! before it have changed, whoever wrote them. The text of a [`Delta`] carries a MAC that binds it to its place, so
//! whoever can only write the database cannot make one.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{MachineId, SecretId};

use super::{StoreError, book};
use crate::ledger::{Dirty, Holding, Seen, Stored, Tally};
use crate::model::millis::Millis;
use crate::model::version::{Sealed, Version};
use crate::model::{Change, EntityKey};

/// An entity as it is stored: kind, id, document, number of its group, MAC in hex.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EntityRow(pub(super) String, pub(super) String, pub(super) String, pub(super) i64, pub(super) String);

/// A version as it is stored: secret, number, vault, project, time, field names in JSON, wrapped key and ciphertext in
/// hex.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct VersionRow(
    pub(super) String,
    pub(super) i64,
    pub(super) String,
    pub(super) String,
    pub(super) Millis,
    pub(super) String,
    pub(super) String,
    pub(super) String,
);

/// What one group changed.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Delta {
    /// The end of the audit before it, in hex: whoever saw another end saw another past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) entities: Vec<EntityRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) removed: Vec<EntityKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) versions: Vec<VersionRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tallies: Vec<(SecretId, String, Option<Tally>)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    delivered: Vec<(MachineId, SecretId, Option<u64>)>,
    /// Those of `delivered` that stand in no file yet, by their places. Beside them, so that a server of an earlier release
    /// can follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    not_in_files: Vec<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    last_seen: Vec<(MachineId, Millis, Option<IpAddr>)>,
}

/// What another server has done, ready to be taken over.
pub struct Foreign {
    /// Steps of the state, in their order.
    pub changes: Vec<Change>,
    /// Rows of the ledger; none for removed ones.
    pub ledger: Vec<Stored>,
}

impl Delta {
    /// What a group changes.
    pub(super) fn new(
        entities: Vec<EntityRow>,
        removed: Vec<EntityKey>,
        versions: Vec<VersionRow>,
        dirty: &Dirty,
        last_seen: &[(MachineId, Seen)],
    ) -> Self {
        let tallies = dirty.tallies.iter();
        let delivered = dirty.delivered.iter();
        let not_in_files = delivered.clone().enumerate().filter(|(_, (_, it))| it.is_some_and(|it| !it.in_files));
        Self {
            after: None,
            entities,
            removed,
            versions,
            tallies: tallies.map(|((secret, reader), it)| (secret.clone(), reader.to_string(), it.clone())).collect(),
            not_in_files: not_in_files.map(|(place, _)| place).collect(),
            delivered: delivered
                .map(|((machine, secret), it)| (machine.clone(), secret.clone(), it.map(|it| it.version)))
                .collect(),
            last_seen: last_seen.iter().map(|(machine, it)| (machine.clone(), it.at, it.address)).collect(),
        }
    }

    /// Into what a server takes over. The rows' own MACs are checked by the [`book`].
    pub(super) fn into_foreign(self) -> Result<Foreign, StoreError> {
        let tampered = |what: &str| StoreError::Tampered(format!("what another server wrote about {what}"));
        let mut changes: Vec<_> = self.removed.into_iter().map(Change::Remove).collect();
        for row in &self.entities {
            let entity = serde_json::from_str(&row.2).map_err(|_| tampered(&row.1))?;
            changes.push(Change::put(entity));
        }
        for row in self.versions {
            let secret = row.0.clone();
            let version = version(row).ok_or_else(|| tampered(&secret))?;
            changes.push(Change::PutVersion(version));
        }
        let mut ledger = Vec::with_capacity(self.tallies.len() + self.delivered.len() + self.last_seen.len());
        for (secret, reader, tally) in self.tallies {
            let reader = reader.parse().map_err(|_| tampered(secret.as_str()))?;
            ledger.push(Stored::Tally(secret, reader, tally));
        }
        let not_in_files: HashSet<usize> = self.not_in_files.into_iter().collect();
        ledger.extend(self.delivered.into_iter().enumerate().map(|(place, (machine, secret, version))| {
            let in_files = !not_in_files.contains(&place);
            Stored::Delivered(machine, secret, version.map(|version| Holding { version, in_files }))
        }));
        let seen = self.last_seen.into_iter();
        ledger.extend(seen.map(|(machine, at, address)| Stored::LastSeen(machine, Seen { at, address })));
        Ok(Foreign { changes, ledger })
    }
}

fn version(row: VersionRow) -> Option<Version> {
    let VersionRow(secret, number, vault, project, time, field_names, wrapped_key, ciphertext) = row;
    Some(Version {
        secret: secret.parse().ok()?,
        version: u64::try_from(number).ok()?,
        vault: vault.parse().ok()?,
        project: project.parse().ok()?,
        time,
        field_names: serde_json::from_str(&field_names).ok()?,
        sealed: Arc::new(Sealed { wrapped_key: book::unhex(&wrapped_key)?, ciphertext: book::unhex(&ciphertext)? }),
    })
}
