//! The embedded database.

pub(super) mod audit;
mod load;
mod meta;
pub(super) mod save;

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::data_directory::DataDirectory;
use super::head::Head;
use super::{Loaded, StoreError};
use crate::crypto::keyring::Keyring;
use crate::crypto::root_key::RootKey;
use crate::entropy::Entropy;
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
    /// Opens the database, makes it when there is none, brings it up to date, opens its master key with `root` and reads it.
    pub async fn open(
        directory: &DataDirectory,
        root: &RootKey,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Loaded), StoreError> {
        let mut connection = options(directory).create_if_missing(true).connect().await.map_err(StoreError::Open)?;
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => StoreError::NewerSchema,
            other => StoreError::Migrate(other),
        })?;
        let keyring = Arc::new(meta::open_master(&mut connection, root, entropy).await?);
        let mut store = Self { connection, keyring, head: Head::default(), macs: HashMap::new(), is_open: false };
        let loaded = store.load().await?;
        Ok((store, loaded))
    }

    /// The keys that follow from the master key.
    pub fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring)
    }

    /// A way to look at the audit beside the writer.
    pub async fn records(directory: &DataDirectory) -> Result<Records, StoreError> {
        let connection = options(directory).read_only(true).connect().await.map_err(StoreError::Open)?;
        Ok(Records::new(connection))
    }

    /// Lets go of the database, and leaves it as one file.
    pub async fn close(mut self) -> Result<(), StoreError> {
        // Whoever looks at the audit may still have it open: then the log stays, which is as safe and only less tidy.
        drop(sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut self.connection).await);
        self.connection.close().await.map_err(StoreError::Write)
    }
}

fn options(directory: &DataDirectory) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(directory.database())
        .journal_mode(SqliteJournalMode::Wal)
        // A commit that was answered survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}
