//! What is durable. The only place that knows SQL.
//!
//! The writer owns the one [`Store`] of a server and is alone in writing. A group is [`Store::begin`] and
//! [`Store::save`], or [`Store::take_back`]. People who look at the audit use [`Records`], which can only read.
//!
//! Two kinds of databases hold the same tables: SQLite embedded in the server ([`sqlite`]), and a PostgreSQL database
//! that several servers share ([`postgres`]). What makes rows trustworthy is the same for both ([`book`]). On a shared
//! database a group begins by taking over what the groups of other servers have done since ([`delta`]), so every server
//! decides with all that was acknowledged by any.

pub mod backup;
mod base;
mod book;
mod data_directory;
mod delta;
mod head;
mod load;
mod macs;
mod meta;
mod postgres;
mod records;
mod row;
mod sqlite;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use sikkerkey_protocol::id::{MachineId, SecretId, VaultId};
use sqlx::SqlSafeStr;
use sqlx::migrate::MigrateError;

use self::book::Book;
use self::postgres::Postgres;
use self::row::{Bind, Row};
use self::sqlite::Sqlite;
use crate::crypto::keyring::Keyring;
use crate::crypto::master::WrappedMaster;
use crate::crypto::root_key::{RootKey, RootKeyError};
use crate::entropy::Entropy;
use crate::ledger::{Dirty, LateTallies, Seen, Stored};
use crate::live::World;
use crate::model::millis::Millis;
use crate::model::spend::Spend;
use crate::model::version::Version;
use crate::model::{Entity, EntityKey};

pub use data_directory::DataDirectory;
pub use delta::Foreign;
pub use postgres::Listener;
pub use records::{HourOfReads, Order, ReadFilter, Records, RowFilter};

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
    Migrate(#[source] MigrateError),
    /// The root key is another than the one the data was made with.
    #[error("this root key is not the one the data was sealed with: give the right one with --root-key-file")]
    WrongRootKey,
    /// The root key is not there, or cannot be used.
    #[error("cannot open the master key")]
    RootKey(#[source] RootKeyError),
    /// A row was changed, removed or added by somebody else.
    #[error("{0} in the database was not written by this server: restore a backup, or find out who changed it")]
    Tampered(String),
    /// The database has lost groups that were acknowledged.
    #[error(
        "the database is at group {found}, and this server has seen group {seen}: it was restored, or a standby that \
         lacks the newest groups has taken over; start the server again when that is what you want"
    )]
    WentBack {
        /// What the database holds.
        found: u64,
        /// What was there before.
        seen: u64,
    },
    /// The database has lost groups that were acknowledged, and others have been written since.
    #[error(
        "the database has another past than this server has seen up to group {0}: it was restored, or a standby that \
         lacks the newest groups has taken over; start the server again when that is what you want"
    )]
    AnotherPast(u64),
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

impl StoreError {
    /// Whether going on would be wrong, however often it is tried.
    ///
    /// After a sync that failed nobody knows what is on the disk: the kernel has forgotten which pages it could not
    /// write, so the next sync would succeed without them. Only reading everything again tells.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Tampered(_)
            | Self::WentBack { .. }
            | Self::AnotherPast(_)
            | Self::WrongRootKey
            | Self::NewerSchema => true,
            Self::Write(sqlx::Error::Database(error)) => error.code().is_some_and(|code| SYNC_FAILED.contains(&&*code)),
            _ => false,
        }
    }
}

/// SQLite's extended codes for a sync that failed: of a file, of its directory.
const SYNC_FAILED: [&str; 2] = ["1034", "1290"];

/// Where the data is.
#[derive(Debug)]
pub enum Database {
    /// Embedded, in a directory that belongs to this process.
    Directory(DataDirectory),
    /// A PostgreSQL database, by URL, that several servers may share.
    Postgres(String),
}

/// A connection to either kind of database.
enum Backend {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// The database, in the hands of the one who writes.
pub struct Store {
    backend: Backend,
    book: Book,
    news: Vec<News>,
}

/// What a group begins with.
pub struct Begun {
    /// Nonces that were not burnt before, as signer and nonce.
    pub burnt: HashSet<(String, String)>,
    /// The time by the clock of a shared database.
    pub now: Option<Millis>,
}

/// What other servers have done.
pub enum News {
    /// Group by group.
    Groups(Vec<Foreign>),
    /// Too much to follow: this is how everything stands now.
    Everything(Box<World>),
}

impl News {
    /// From where machines have authenticated.
    pub fn addresses(&self) -> Vec<(MachineId, IpAddr)> {
        match self {
            Self::Groups(groups) => {
                let rows = groups.iter().flat_map(|it| &it.ledger);
                let seen = rows.filter_map(|row| match row {
                    Stored::LastSeen(machine, seen) => Some((machine.clone(), seen.address?)),
                    _ => None,
                });
                seen.collect()
            }
            Self::Everything(world) => {
                world.ledger.last_addresses().map(|(machine, address)| (machine.clone(), address)).collect()
            }
        }
    }
}

impl Database {
    /// Whether several servers may use it at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Whether something was ever stored here, as far as can be told without opening it.
    pub fn has_data(&self) -> bool {
        match self {
            Self::Directory(directory) => directory.has_data(),
            Self::Postgres(_) => true,
        }
    }

    /// A way to look at the audit beside the writer.
    pub async fn records(&self) -> Result<Records, StoreError> {
        Ok(Records::new(match self {
            Self::Directory(directory) => Backend::Sqlite(Sqlite::read_only(directory.path()).await?),
            Self::Postgres(url) => Backend::Postgres(Postgres::connect(url)?),
        }))
    }

    /// Hears of what other servers do; none when nobody else can.
    pub async fn listener(&self) -> Result<Option<Listener>, StoreError> {
        match self {
            Self::Directory(_) => Ok(None),
            Self::Postgres(url) => Listener::connect(url).await.map(Some),
        }
    }
}

impl Backend {
    async fn fetch(&mut self, sql: impl SqlSafeStr, binds: &[Bind<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(it) => it.fetch(sql, binds).await,
            Self::Postgres(it) => it.fetch(sql, binds).await,
        }
    }
}

impl Store {
    /// Opens the database, makes it when there is none, brings it up to date, opens its master key with `root` and reads
    /// it.
    pub async fn open(
        database: &Database,
        root: &RootKey,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Loaded), StoreError> {
        let mut backend = match database {
            Database::Directory(directory) => Backend::Sqlite(Sqlite::open(directory).await?),
            Database::Postgres(url) => Backend::Postgres(Postgres::open(url).await?),
        };
        let keyring = Arc::new(meta::open_master(&mut backend, root, entropy).await?);
        let mut book = Book::new(keyring, database.is_shared());
        if let Backend::Postgres(postgres) = &mut backend {
            postgres.begin_reading().await.map_err(StoreError::Read)?;
        }
        let world = backend.load(&mut book).await?;
        // On a shared database the table itself answers, whoever burnt a nonce.
        let nonces = match &mut backend {
            Backend::Sqlite(_) => backend.nonces().await?,
            Backend::Postgres(postgres) => {
                postgres.take_back().await;
                Vec::new()
            }
        };
        let nonce_floor = book.nonce_floor();
        Ok((Self { backend, book, news: Vec::new() }, Loaded { world, nonces, nonce_floor }))
    }

    /// The keys that follow from the master key.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.book.keyring()
    }

    /// Whether other servers write to the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.backend, Backend::Postgres(_))
    }

    /// The end of the audit.
    pub fn audit_head(&self) -> ChainHead {
        self.book.audit_head()
    }

    /// Timestamps at or below it are refused.
    pub fn nonce_floor(&self) -> i64 {
        self.book.nonce_floor()
    }

    /// Begins a group: waits until no other server is in one, takes over what they have done ([`Store::take_news`]) and
    /// burns nonces.
    pub async fn begin(&mut self, spends: &[Spend]) -> Result<Begun, StoreError> {
        let begun = self.try_begin(spends).await;
        if begun.is_err() {
            self.take_back().await;
        }
        begun
    }

    async fn try_begin(&mut self, spends: &[Spend]) -> Result<Begun, StoreError> {
        let nonces = book::nonces(spends)?;
        let postgres = match &mut self.backend {
            Backend::Sqlite(it) => {
                let burnt = it.begin(nonces).await.map_err(StoreError::Write)?;
                return Ok(Begun { burnt, now: None });
            }
            Backend::Postgres(it) => it,
        };
        let locked = postgres.lock().await.map_err(StoreError::Write)?;
        self.catch_up(&locked.head).await?;
        let burnt = match &mut self.backend {
            Backend::Postgres(it) if !spends.is_empty() => it.burn(nonces).await.map_err(StoreError::Write)?,
            _ => HashSet::new(),
        };
        Ok(Begun { burnt, now: Some(locked.now) })
    }

    /// What other servers had done when a group began. To be taken also when [`Store::begin`] failed: the book has it.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Writes the rest of the group and commits. When this returns `Ok`, all of it survives a power failure. When it
    /// does not, the group is to be taken back in memory as well; should it have been committed all the same, the next
    /// group learns it like the work of another server.
    pub async fn save(&mut self, rows: Rows, time: Millis) -> Result<(), StoreError> {
        let saved = self.try_save(rows, time).await;
        if saved.is_err() {
            self.take_back().await;
        }
        saved
    }

    async fn try_save(&mut self, rows: Rows, time: Millis) -> Result<(), StoreError> {
        let is_news = !rows.entities.is_empty() || !rows.versions.is_empty();
        let is_empty = rows.is_empty();
        let page = match &mut self.backend {
            Backend::Postgres(it) if is_empty => return it.commit().await.map_err(StoreError::Write),
            _ => self.book.prepare(rows, time.0)?,
        };
        match &mut self.backend {
            Backend::Sqlite(it) => it.save(&page).await,
            Backend::Postgres(it) => it.save(&page, is_news).await,
        }
        .map_err(StoreError::Write)?;
        self.book.settle(page);
        Ok(())
    }

    /// Raises the floor of the nonces in a database that went back, where the nonces of the lost groups are unknown. It
    /// leaves this store of no use: what it had seen is not what there is.
    pub async fn raise_floor_after_loss(&mut self, floor: i64) -> Result<(), StoreError> {
        let raised = self.try_raise_floor(floor).await;
        self.take_back().await;
        raised
    }

    async fn try_raise_floor(&mut self, floor: i64) -> Result<(), StoreError> {
        let Backend::Postgres(postgres) = &mut self.backend else { return Ok(()) };
        let now = postgres.lock().await.map_err(StoreError::Write)?.now;
        self.book = Book::new(self.book.keyring(), true);
        self.backend.load(&mut self.book).await?;
        let rows = Rows { nonce_floor: Some(floor.max(now.seconds())), ..Rows::default() };
        self.try_save(rows, now).await
    }

    /// Takes back what has begun.
    pub async fn take_back(&mut self) {
        match &mut self.backend {
            Backend::Sqlite(it) => it.take_back().await,
            Backend::Postgres(it) => it.take_back().await,
        }
    }

    /// Lets go of the database.
    pub async fn close(self) -> Result<(), StoreError> {
        match self.backend {
            Backend::Sqlite(it) => it.close().await,
            Backend::Postgres(it) => it.close().await,
        }
        .map_err(StoreError::Write)
    }

    /// Takes over what the groups since the last one have done. Nobody else writes meanwhile.
    async fn catch_up(&mut self, head: &str) -> Result<(), StoreError> {
        let head = self.book.read_head(head)?;
        let (seen, found) = (self.book.seq(), head.seq);
        if found == seen {
            return if self.book.is_at(&head) { Ok(()) } else { Err(StoreError::AnotherPast(seen)) };
        }
        if found < seen {
            return Err(StoreError::WentBack { found, seen });
        }
        let Backend::Postgres(postgres) = &mut self.backend else { return Ok(()) };
        let rows = postgres.log_after(seen).await.map_err(StoreError::Read)?;
        let (mut at, mut deltas) = (seen, Vec::with_capacity(rows.len()));
        for row in &rows {
            let (seq, prev, body) = (row.integer(0)?, row.integer(1)?, row.text(2)?);
            // What came before was forgotten already, or somebody took it out.
            if u64::try_from(prev) != Ok(at) {
                break;
            }
            let delta = self.book.delta(seq, prev, &body, &row.bytes(3)?)?;
            if deltas.is_empty() && !self.book.is_followed_by(&delta) {
                return Err(StoreError::AnotherPast(seen));
            }
            deltas.push(delta);
            at = u64::try_from(seq).unwrap_or_default();
        }
        if at != found {
            let world = self.backend.load(&mut self.book).await?;
            self.news.push(News::Everything(Box::new(world)));
            return Ok(());
        }
        self.book.absorb(head, &deltas)?;
        let groups = deltas.into_iter().map(delta::Delta::into_foreign).collect::<Result<_, _>>()?;
        self.news.push(News::Groups(groups));
        Ok(())
    }
}

fn migrate_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => StoreError::NewerSchema,
        other => StoreError::Migrate(other),
    }
}

/// What the database held when the server started.
pub struct Loaded {
    /// What is known and what has happened.
    pub world: World,
    /// Nonces that can still matter.
    pub nonces: Vec<Spend>,
    /// Timestamps at or below it are refused.
    pub nonce_floor: i64,
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
            && self.forgotten.is_empty()
            && (tallies.is_empty() && delivered.is_empty() && activity.is_empty())
            && (self.late.rows.is_empty() && self.late.counted.is_none())
            && self.last_seen.is_empty()
            && self.audit.is_empty()
            && self.nonce_floor.is_none()
            && self.master.is_none()
            && self.audit_base.is_none()
    }
}

/// Reads and denials of a vault to be added to those of an hour since the epoch: vault, hour, delivered, denied.
pub type ReadsOfHour = (VaultId, i64, u64, u64);

/// What one group writes.
#[derive(Default)]
pub struct Rows {
    /// Changed entities; none for removed ones.
    pub entities: HashMap<EntityKey, Option<Entity>>,
    /// New versions of values, and old ones under another project key.
    pub versions: Vec<Version>,
    /// Versions that are kept no longer.
    pub forgotten: Vec<(SecretId, u64)>,
    /// Changed counters.
    pub dirty: Dirty,
    /// Counters that are stored later than what they count.
    pub late: LateTallies,
    /// Last requests.
    pub last_seen: Vec<(MachineId, Seen)>,
    /// New rows of the audit.
    pub audit: Vec<AuditRow>,
    /// How many of them are reads and denials, by vault and hour.
    pub reads: Vec<ReadsOfHour>,
    /// Nonces of timestamps at or below this are forgotten, and such timestamps are refused from now on.
    pub nonce_floor: Option<i64>,
    /// The master key, wrapped by another root key.
    pub master: Option<WrappedMaster>,
    /// Rows of the audit up to this one, which were exported, are dropped.
    pub audit_base: Option<ChainHead>,
}
