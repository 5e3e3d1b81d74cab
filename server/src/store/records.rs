//! Looking at what was written, beside the writer.

use sikkerkey_protocol::id::{MachineId, ProjectId};
use tokio::sync::Mutex;

use super::row::{Bind, Row};
use super::{AuditRow, Backend, StoreError, load, meta};
use crate::crypto::master::WrappedMaster;
use crate::model::millis::Millis;
use crate::model::version::Version;

/// A view of the audit that cannot write.
pub struct Records {
    backend: Mutex<Backend>,
}

impl Records {
    pub(super) fn new(backend: Backend) -> Self {
        Self { backend: Mutex::new(backend) }
    }

    /// The newest rows, newest first; of one machine, as actor or as target, or of all.
    pub async fn newest(&self, limit: u32, machine: Option<&MachineId>) -> Result<Vec<AuditRow>, StoreError> {
        let sql = match &*self.backend.lock().await {
            Backend::Sqlite(_) => {
                "select seq, time, entry, hash from audit
                 where $1 is null or entry ->> '$.machine' = $1 order by seq desc limit $2"
            }
            Backend::Postgres(_) => {
                "select seq, time, entry, hash from audit
                 where $1::text is null or entry::json ->> 'machine' = $1 order by seq desc limit $2"
            }
        };
        let machine = machine.map(MachineId::as_str);
        self.rows(sql, &[Bind::OptionalText(machine), Bind::Integer(limit.into())]).await
    }

    /// The wrapped master key.
    pub async fn master(&self) -> Result<WrappedMaster, StoreError> {
        let text = meta::value(&mut *self.backend.lock().await, meta::MASTER).await?;
        Ok(WrappedMaster::decode(&text.unwrap_or_default())?)
    }

    /// Every version of every secret of a project, as it is sealed.
    pub async fn versions(&self, project: &ProjectId) -> Result<Vec<Version>, StoreError> {
        let sql = "select secret, version, vault, project, time, field_names, wrapped_key, ciphertext from version
             where project = $1 order by secret, version";
        let rows = self.backend.lock().await.fetch(sql, &[Bind::Text(project.as_str())]).await;
        rows.map_err(StoreError::Read)?.iter().map(load::version).collect()
    }

    /// Up to `limit` rows after `seq`, oldest first.
    pub async fn after(&self, seq: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "select seq, time, entry, hash from audit where seq > $1 order by seq limit $2";
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        self.rows(sql, &[Bind::Integer(seq), Bind::Integer(limit.into())]).await
    }

    async fn rows(&self, sql: &'static str, binds: &[Bind<'_>]) -> Result<Vec<AuditRow>, StoreError> {
        let rows = self.backend.lock().await.fetch(sql, binds).await.map_err(StoreError::Read)?;
        rows.iter().map(row).collect()
    }
}

fn row(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow { seq: row.count(0)?, time: Millis(row.integer(1)?), entry: row.text(2)?, hash: row.hash(3)? })
}
