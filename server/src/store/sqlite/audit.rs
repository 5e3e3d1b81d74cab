//! Looking at the audit, beside the writer.

use sikkerkey_protocol::id::MachineId;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::sync::Mutex;

use crate::crypto::row_mac::MacKey;
use crate::ledger::{Activity, ActivityKey, ActivityKind};
use crate::model::millis::Millis;
use crate::store::head::Head;
use crate::store::{AuditRow, ChainHead, StoreError, base};

/// A view of the audit that cannot write.
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

    /// Up to `limit` rows after `seq`, oldest first.
    pub async fn after(&self, seq: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let query = sqlx::query("select seq, time, entry, hash from audit where seq > ?1 order by seq limit ?2")
            .bind(i64::try_from(seq).unwrap_or(i64::MAX))
            .bind(i64::from(limit));
        let rows = query.fetch_all(&mut *self.connection.lock().await).await.map_err(StoreError::Read)?;
        rows.iter().map(row).collect()
    }

    /// What stands in `meta` under a name.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("select value from meta where name = ?1").bind(name);
        query.fetch_optional(&mut *self.connection.lock().await).await.map_err(StoreError::Read)
    }

    /// The end of the audit, by the database's own word; none when nobody with this key wrote it.
    pub async fn audit_end(&self, key: &MacKey) -> Result<Option<ChainHead>, StoreError> {
        let head = self.meta("head").await?;
        Ok(head.and_then(|it| Head::decode(key, &it)).map(|it| it.audit))
    }

    /// The last row that was exported and dropped.
    pub async fn audit_base(&self, key: &MacKey) -> Result<ChainHead, StoreError> {
        let Some(text) = self.meta("audit base").await? else { return Ok(ChainHead::default()) };
        base::decode(key, &text).ok_or_else(|| StoreError::Tampered("the beginning of the audit".to_owned()))
    }

    /// Counters of requests of the minutes from `from` to before `to`, oldest first.
    pub async fn activity(&self, from: i64, to: i64) -> Result<Vec<(ActivityKey, Activity)>, StoreError> {
        let sql = "select minute, kind, count, first_of, last_of from activity
             where minute >= ?1 and minute < ?2 order by minute, kind";
        let query = sqlx::query(sql).bind(from).bind(to);
        let rows = query.fetch_all(&mut *self.connection.lock().await).await.map_err(StoreError::Read)?;
        let activity = rows.iter().filter_map(|row| {
            let read = || {
                let Some(kind) = ActivityKind::named(&row.try_get::<String, _>(1)?) else { return Ok(None) };
                let count = u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or_default();
                let activity = Activity { count, first: row.try_get(3)?, last: row.try_get(4)? };
                Ok(Some((ActivityKey { minute: row.try_get(0)?, kind }, activity)))
            };
            read().transpose()
        });
        activity.collect::<Result<_, _>>().map_err(StoreError::Read)
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
