//! What is durable. The only place that knows SQL.
//!
//! The writer owns the one [`Store`] and is alone in writing. A group is [`Store::begin`], [`Group::burn`],
//! [`Group::save`]; dropping a [`Group`] takes it back. People who look at the audit use [`Records`], which can only
//! read.

mod base;
mod data_directory;
mod head;
mod sqlite;

use std::collections::HashMap;

use sikkerkey_protocol::id::MachineId;

use crate::ledger::{Dirty, Seen};
use crate::live::World;
use crate::model::millis::Millis;
use crate::model::spend::Spend;
use crate::model::version::Version;
use crate::model::{Entity, EntityKey};

pub use data_directory::DataDirectory;
pub use sqlite::Store;
pub use sqlite::audit::Records;
pub use sqlite::save::Group;

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {0}")]
    Directory(String, #[source] std::io::Error),
    /// Another process has the data.
    #[error("another sikkerkey-server is using {0}: stop it first, or give this one a directory of its own")]
    InUse(String),
    /// The database cannot be opened.
    #[error("cannot open the database")]
    Open(#[source] sqlx::Error),
    /// A later release has changed the schema.
    #[error("the database was written by a newer release of sikkerkey-server: run that one")]
    NewerSchema,
    /// The schema cannot be brought up to date.
    #[error("cannot bring the database up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The root key is another than the one the data was made with.
    #[error("this root key is not the one the data was sealed with: give the right one with --root-key-file")]
    WrongRootKey,
    /// A row was changed, removed or added by somebody else.
    #[error("{0} in the database was not written by this server: restore a backup, or find out who changed it")]
    Tampered(String),
    /// Rows cannot be read.
    #[error("cannot read from the database")]
    Read(#[source] sqlx::Error),
    /// A group cannot be written.
    #[error("cannot write to the database")]
    Write(#[source] sqlx::Error),
    /// A value has no JSON form.
    #[error("cannot write a value as JSON")]
    Encode(#[source] serde_json::Error),
}

/// What the database held when the server started.
pub struct Loaded {
    /// What is known and what has happened.
    pub world: World,
    /// Nonces that can still matter.
    pub nonces: Vec<Spend>,
    /// Timestamps at or below it are refused.
    pub nonce_floor: i64,
    /// The last row of the audit.
    pub audit_head: ChainHead,
}

/// The end of the audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainHead {
    /// Number of the last row; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// A row of the audit, chained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// 1 and up, without a gap.
    pub seq: u64,
    /// When it was written.
    pub time: Millis,
    /// An [`Entry`](crate::audit::entry::Entry) in JSON.
    pub entry: String,
    /// See [`crate::audit::chain`].
    pub hash: [u8; 32],
}

impl Rows {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let Dirty { tallies, delivered, activity } = &self.dirty;
        self.entities.is_empty()
            && self.versions.is_empty()
            && (tallies.is_empty() && delivered.is_empty() && activity.is_empty())
            && self.last_seen.is_empty()
            && (self.audit.is_empty() && self.audit_base.is_none())
            && self.nonce_floor.is_none()
    }
}

/// What one group writes.
#[derive(Default)]
pub struct Rows {
    /// Changed entities; none for removed ones.
    pub entities: HashMap<EntityKey, Option<Entity>>,
    /// New versions of values.
    pub versions: Vec<Version>,
    /// Changed counters.
    pub dirty: Dirty,
    /// Last requests.
    pub last_seen: Vec<(MachineId, Seen)>,
    /// New rows of the audit.
    pub audit: Vec<AuditRow>,
    /// Rows of the audit up to this one are dropped.
    pub audit_base: Option<ChainHead>,
    /// Nonces of timestamps at or below this are forgotten, and such timestamps are refused from now on.
    pub nonce_floor: Option<i64>,
}
