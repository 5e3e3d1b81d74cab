//! Looking at what is stored, beside the writer.

use sikkerkey_protocol::id::{MachineId, ProjectId};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::sync::Mutex;

use super::{load, meta};
use crate::crypto::master::WrappedMaster;
use crate::model::millis::Millis;
use crate::model::version::Version;
use crate::store::{AuditRow, StoreError};

/// A view of what is stored that cannot write.
pub struct Records {
    connection: Mutex<SqliteConnection>,
}

impl Records {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self { connection: Mutex::new(connection) }
    }

    /// The newest rows, newest first; of one machine, as actor or as target, or of all.
    pub async fn newest(&self, limit: u32, machine: Option<&MachineId>) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "select seq, time, entry, hash from audit
             where ?1 is null or entry ->> '$.machine' = ?1 order by seq desc limit ?2";
        let query = sqlx::query(sql).bind(machine.map(MachineId::as_str)).bind(i64::from(limit));
        let rows = query.fetch_all(&mut *self.connection.lock().await).await.map_err(StoreError::Read)?;
        rows.iter().map(row).collect()
    }

    /// The master key as it is stored.
    pub async fn master(&self) -> Result<WrappedMaster, StoreError> {
        let text = meta::value(&mut *self.connection.lock().await, meta::MASTER).await?;
        Ok(WrappedMaster::decode(&text.unwrap_or_default())?)
    }

    /// Every version of every secret of a project, oldest first.
    pub async fn versions(&self, project: &ProjectId) -> Result<Vec<Version>, StoreError> {
        let sql = "select secret, version, vault, project, time, field_names, wrapped_key, ciphertext from version
             where project = ?1 order by secret, version";
        let query = sqlx::query(sql).bind(project.as_str());
        let rows = query.fetch_all(&mut *self.connection.lock().await).await.map_err(StoreError::Read)?;
        rows.iter().map(load::version).collect()
    }

    /// Up to `limit` rows after `seq`, oldest first.
    pub async fn after(&self, seq: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let query = sqlx::query("select seq, time, entry, hash from audit where seq > ?1 order by seq limit ?2")
            .bind(i64::try_from(seq).unwrap_or(i64::MAX))
            .bind(i64::from(limit));
        let rows = query.fetch_all(&mut *self.connection.lock().await).await.map_err(StoreError::Read)?;
        rows.iter().map(row).collect()
    }
}

fn row(row: &SqliteRow) -> Result<AuditRow, StoreError> {
    let read = || {
        Ok(AuditRow {
            seq: u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default(),
            time: Millis(row.try_get(1)?),
            entry: row.try_get(2)?,
            // A hash of another length is no hash: it verifies as nothing.
            hash: row.try_get::<Vec<u8>, _>(3)?.try_into().unwrap_or_default(),
        })
    };
    read().map_err(StoreError::Read)
}
