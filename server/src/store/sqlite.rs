//! The embedded database.
//!
//! Each statement crosses to the thread that SQLite runs on, which costs more than the statement itself. So an ordinary
//! group is two calls, whatever its size: one that begins and burns the nonces, one that writes the rest and commits.
//! Rows travel as JSON arrays, so the statements are always the same and stay prepared.

use std::collections::HashSet;
use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Row as _, SqlSafeStr};

use super::book::{Argument, Page, Rarely};
use super::data_directory::{DATABASE, DataDirectory};
use super::row::{Bind, Row};
use super::{StoreError, migrate_error};

/// A commit writes whole pages, and of most of those it touches it changes a few bytes: where few requests come at once, the
/// size of a page is what each of them costs. One that is smaller still would hold no more than one row. A database keeps the
/// size that it was made with.
const PAGE: u32 = 1024;
/// The log is brought into the database when it is about as large, in bytes.
const LOG: i64 = 4 * 1024 * 1024;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const BEGIN_AND_BURN: &str = "begin immediate;
    insert into nonce (expiry, signer, nonce)
        select value ->> 0, value ->> 1, value ->> 2 from json_each(?1) where true
        on conflict do nothing returning signer, nonce";

// Parameters without numbers: they are counted through from one statement to the next.
const SAVE: &str = "
    insert into tally (secret, reader, doc)
        select value ->> 0, value ->> 1, value ->> 2 from json_each(?) where true
        on conflict (secret, reader) do update set doc = excluded.doc;
    insert into delivered (machine, secret, version)
        select value ->> 0, value ->> 1, value ->> 2 from json_each(?) where true
        on conflict (machine, secret) do update set version = excluded.version;
    insert into activity (minute, kind, count, first_of, last_of)
        select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 from json_each(?) where true
        on conflict (minute, kind) do update set count = count + excluded.count, last_of = excluded.last_of;
    insert into audit (seq, time, entry, hash)
        select value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3) from json_each(?);
    insert into reads (vault, hour, delivered, denied)
        select value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_each(?) where true
        on conflict (vault, hour) do update
            set delivered = delivered + excluded.delivered, denied = denied + excluded.denied;
    update meta set value = ? where name = 'head';
    commit";

/// A connection to the embedded database.
pub(super) struct Sqlite {
    options: SqliteConnectOptions,
    connection: SqliteConnection,
    /// Whether a transaction has begun that was neither committed nor taken back.
    is_open: bool,
}

impl Sqlite {
    /// Opens the database, makes it when there is none, and brings it up to date.
    pub(super) async fn open(directory: &DataDirectory) -> Result<Self, StoreError> {
        let options = options(&directory.database()).create_if_missing(true);
        let mut connection = options.connect().await.map_err(StoreError::Open)?;
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(migrate_error)?;
        bound_log(&mut connection).await.map_err(StoreError::Open)?;
        Ok(Self { options, connection, is_open: false })
    }

    /// A connection that cannot write, and needs no lock on the data.
    pub(super) async fn read_only(directory: &Path) -> Result<Self, StoreError> {
        let mut options = options(&directory.join(DATABASE)).read_only(true);
        let opened = match options.connect().await {
            // A copy on a medium that cannot be written has no place for what readers share, and nobody to share it with.
            Err(_) if !directory.join(format!("{DATABASE}-wal")).exists() => {
                options = options.immutable(true);
                options.connect().await
            }
            opened => opened,
        };
        Ok(Self { connection: opened.map_err(StoreError::Open)?, options, is_open: false })
    }

    /// Another connection of the same kind.
    pub(super) async fn again(&self) -> Result<Self, StoreError> {
        let connection = self.options.connect().await.map_err(StoreError::Open)?;
        Ok(Self { options: self.options.clone(), connection, is_open: false })
    }

    /// What is read until [`Sqlite::take_back`] is of one moment, beside whoever writes.
    pub(super) async fn begin_reading(&mut self) -> Result<(), sqlx::Error> {
        self.is_open = true;
        sqlx::query("begin").execute(&mut self.connection).await.map(drop)
    }

    pub(super) async fn fetch(&mut self, sql: impl SqlSafeStr, binds: &[Bind<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        let mut query = sqlx::query(sql);
        for bind in binds {
            query = match *bind {
                Bind::Text(text) => query.bind(text.to_owned()),
                Bind::OptionalText(text) => query.bind(text.map(str::to_owned)),
                Bind::Integer(number) => query.bind(number),
            };
        }
        Ok(query.fetch_all(&mut self.connection).await?.into_iter().map(Row::Sqlite).collect())
    }

    /// Begins a group and burns its nonces, see [`super::book::nonces`]. Returns those that were not burnt before.
    pub(super) async fn begin(&mut self, nonces: String) -> Result<HashSet<(String, String)>, sqlx::Error> {
        self.is_open = true;
        let burnt = sqlx::query(BEGIN_AND_BURN).bind(nonces).fetch_all(&mut self.connection).await?;
        burnt.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Writes the rest of the group and commits. When this returns `Ok`, all of it survives a power failure.
    pub(super) async fn save(&mut self, page: &Page) -> Result<(), sqlx::Error> {
        for (what, argument) in &page.rare {
            let query = sqlx::query(rarely(*what));
            let query = match argument {
                Argument::Text(text) => query.bind(text.clone()),
                Argument::Integer(number) => query.bind(*number),
            };
            query.execute(&mut self.connection).await?;
        }
        sqlx::query(SAVE)
            .bind(page.tallies.clone())
            .bind(page.delivered.clone())
            .bind(page.activity.clone())
            .bind(page.audit.clone())
            .bind(page.reads.clone())
            .bind(page.head.clone())
            .execute(&mut self.connection)
            .await?;
        self.is_open = false;
        Ok(())
    }

    /// Takes back what has begun, so that its lock is held no longer.
    pub(super) async fn take_back(&mut self) {
        if std::mem::take(&mut self.is_open) {
            // There may be nothing left to take back, which is an error and fine.
            drop(sqlx::query("rollback").execute(&mut self.connection).await);
        }
    }

    /// Lets go of the database, and leaves it as one file.
    pub(super) async fn close(mut self) -> Result<(), sqlx::Error> {
        // Whoever looks at the audit may still have it open: then the log stays, which is as safe and only less tidy.
        drop(sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut self.connection).await);
        self.connection.close().await
    }
}

/// SQLite counts its log in pages.
async fn bound_log(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let page: i64 = sqlx::query_scalar("pragma page_size").fetch_one(&mut *connection).await?;
    let pages = LOG / page.max(1);
    sqlx::query(AssertSqlSafe(format!("pragma wal_autocheckpoint = {pages}"))).execute(connection).await.map(drop)
}

/// What few groups do, as a statement.
fn rarely(what: Rarely) -> &'static str {
    match what {
        Rarely::PutEntities => {
            "insert into entity (kind, id, doc, seq, mac)
    select value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4) from json_each(?1) where true
    on conflict (kind, id) do update set doc = excluded.doc, seq = excluded.seq, mac = excluded.mac"
        }
        Rarely::RemoveEntities => {
            "delete from entity where (kind, id) in (select value ->> 0, value ->> 1 from json_each(?1))"
        }
        Rarely::RemoveVersions => {
            "delete from version where secret in (select value from json_each(?1))"
        }
        Rarely::PutVersions => {
            "insert into version (secret, version, vault, project, time, field_names, wrapped_key, ciphertext)
    select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, unhex(value ->> 6), unhex(value ->> 7)
    from json_each(?1) where true
    on conflict (secret, version) do update set wrapped_key = excluded.wrapped_key, ciphertext = excluded.ciphertext"
        }
        Rarely::ForgetVersions => {
            "delete from version where (secret, version) in (select value ->> 0, value ->> 1 from json_each(?1))"
        }
        Rarely::RemoveTallies => {
            "delete from tally where (secret, reader) in (select value ->> 0, value ->> 1 from json_each(?1))"
        }
        Rarely::RemoveDelivered => {
            "delete from delivered where (machine, secret) in (select value ->> 0, value ->> 1 from json_each(?1))"
        }
        Rarely::RemoveLastSeen => {
            "delete from last_seen where machine in (select value from json_each(?1))"
        }
        Rarely::PutLastSeen => {
            "insert into last_seen (machine, time, address)
    select value ->> 0, value ->> 1, value ->> 2 from json_each(?1) where true
    on conflict (machine) do update set time = excluded.time, address = excluded.address"
        }
        Rarely::PutMaster => {
            "update meta set value = $1 where name = 'master key'"
        }
        Rarely::PutCounted => {
            "insert into meta (name, value) values ('counted', $1)
    on conflict (name) do update set value = excluded.value"
        }
        Rarely::PutAuditBase => {
            "insert into meta (name, value) values ('audit base', $1)
    on conflict (name) do update set value = excluded.value"
        }
        Rarely::DropAudit => {
            "delete from audit where seq <= $1"
        }
        Rarely::ForgetNonces => "delete from nonce where expiry <= ?1",
        // Nobody follows.
        Rarely::ForgetLog => "select ?1",
        Rarely::ForgetReads => "delete from reads where hour < ?1",
    }
}

fn options(database: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(database)
        .page_size(PAGE)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit that was answered survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        // What a statement needs to be taken back by itself would be written to a file, and is small.
        .pragma("temp_store", "MEMORY")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}
