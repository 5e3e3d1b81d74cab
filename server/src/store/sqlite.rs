//! The embedded database.

pub(super) mod audit;
mod load;
pub(super) mod save;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::data_directory::DataDirectory;
use super::head::{Head, hex};
use super::{Loaded, StoreError};
use crate::crypto::keyring::Keyring;
use crate::entropy::{self, Entropy};
use crate::model::EntityKey;
use audit::Records;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The database, in the hands of the one who writes.
pub struct Store {
    connection: SqliteConnection,
    keyring: Arc<Keyring>,
    head: Head,
    macs: HashMap<EntityKey, [u8; 32]>,
    /// Whether a transaction has begun that was neither committed nor taken back.
    is_open: bool,
}

impl Store {
    /// Opens the database, makes it when there is none, brings it up to date and reads it.
    pub async fn open(
        directory: &DataDirectory,
        keyring: Arc<Keyring>,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Loaded), StoreError> {
        let mut connection = options(directory).create_if_missing(true).connect().await.map_err(StoreError::Open)?;
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => StoreError::NewerSchema,
            other => StoreError::Migrate(other),
        })?;
        check_root_key(&mut connection, &keyring, entropy).await?;
        let mut store = Self { connection, keyring, head: Head::default(), macs: HashMap::new(), is_open: false };
        let loaded = store.load().await?;
        Ok((store, loaded))
    }

    /// A way to look at the audit beside the writer.
    pub async fn records(directory: &DataDirectory) -> Result<Records, StoreError> {
        let connection = options(directory).read_only(true).connect().await.map_err(StoreError::Open)?;
        Ok(Records::new(connection))
    }

    /// The same without the lock on the data, beside a server that runs or not.
    pub async fn records_beside(directory: &Path) -> Result<Records, StoreError> {
        let database = directory.join("sikkerkey.db");
        let options = configured(SqliteConnectOptions::new().filename(&database).read_only(true));
        let opened = match options.clone().connect().await {
            // A copy on a medium that cannot be written has no place for what readers share, and nobody to share it with.
            Err(_) if !directory.join("sikkerkey.db-wal").exists() => options.immutable(true).connect().await,
            opened => opened,
        };
        opened.map(Records::new).map_err(StoreError::Open)
    }

    /// Lets go of the database, and leaves it as one file.
    pub async fn close(mut self) -> Result<(), StoreError> {
        // Whoever looks at the audit may still have it open: then the log stays, which is as safe and only less tidy.
        drop(sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut self.connection).await);
        self.connection.close().await.map_err(StoreError::Write)
    }
}

fn options(directory: &DataDirectory) -> SqliteConnectOptions {
    configured(SqliteConnectOptions::new().filename(directory.database()))
}

fn configured(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        // A commit that was answered survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

/// Ties a new database to the root key, or checks that an old one is tied to it.
async fn check_root_key(
    connection: &mut SqliteConnection,
    keyring: &Keyring,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let stored: Option<String> = sqlx::query_scalar("select value from meta where name = 'root key check'")
        .fetch_optional(&mut *connection)
        .await
        .map_err(StoreError::Read)?;
    let Some(stored) = stored else {
        let installation = entropy::uuid(entropy);
        let check = format!("{installation} {}", hex(&keyring.check_value(&installation)));
        let head = Head::default().encode(keyring.rows()).map_err(StoreError::Encode)?;
        // Both or neither: a database that is tied to a root key and has no head looks tampered with.
        sqlx::query("insert into meta (name, value) values ('root key check', ?1), ('head', ?2)")
            .bind(check)
            .bind(head)
            .execute(connection)
            .await
            .map_err(StoreError::Write)?;
        return Ok(());
    };
    let (installation, check) = stored.split_once(' ').unwrap_or_default();
    if hex(&keyring.check_value(installation)) == check { Ok(()) } else { Err(StoreError::WrongRootKey) }
}
