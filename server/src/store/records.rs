//! Looking at what was written, beside the writer.

use std::net::IpAddr;
use std::path::Path;

use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId, VaultId};
use sqlx::AssertSqlSafe;
use tokio::sync::Mutex;

use super::head::Head;
use super::postgres::Postgres;
use super::row::{Bind, Row};
use super::sqlite::Sqlite;
use super::{AuditRow, Backend, ChainHead, StoreError, base, load, meta};
use crate::audit::entry::{Action, Actor};
use crate::crypto::keyring::Keyring;
use crate::crypto::master::WrappedMaster;
use crate::crypto::root_key::RootKey;
use crate::crypto::row_mac::MacKey;
use crate::ledger::{Activity, ActivityKey, ActivityKind};
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::model::version::{Kept, Version};

/// Which reads and denials are looked for.
#[derive(Clone, Debug)]
pub struct ReadFilter {
    /// Only by these machines; none: by any.
    pub reader: Option<Grantee>,
    /// Only of these secrets; none: of any.
    pub secrets: Option<Vec<SecretId>>,
}

/// Which rows are looked for. What is none restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowFilter {
    /// Of this vault.
    pub vault: Option<VaultId>,
    /// Of one of these projects.
    pub projects: Option<Vec<ProjectId>>,
    /// With one of these actions.
    pub actions: Option<Vec<Action>>,
    /// From this address.
    pub source_ip: Option<IpAddr>,
    /// With this somewhere in its JSON, where capitals of ASCII are small ones.
    pub text: Option<String>,
    /// By an actor whose JSON begins with this.
    pub actor_kind: Option<&'static str>,
    /// By one of these.
    pub actors: Option<Vec<Actor>>,
    /// About or by one of these machines.
    pub machines: Option<Vec<MachineId>>,
    /// About one of these secrets.
    pub secrets: Option<Vec<SecretId>>,
}

/// In which order rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

/// Reads of one vault in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourOfReads {
    /// Hours since the epoch.
    pub hour: i64,
    /// Values that were delivered.
    pub delivered: u64,
    /// Reads that were denied.
    pub denied: u64,
}

/// A view of the audit that cannot write.
pub struct Records {
    backend: Mutex<Backend>,
}

impl Records {
    pub(super) fn new(backend: Backend) -> Self {
        Self { backend: Mutex::new(backend) }
    }

    /// Another connection to the same database.
    pub(super) async fn again(&self) -> Result<Backend, StoreError> {
        Ok(match &*self.backend.lock().await {
            Backend::Sqlite(it) => Backend::Sqlite(it.again().await?),
            Backend::Postgres(it) => Backend::Postgres(it.again()),
        })
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

    /// Reads and denials among the rows after `lower` up to `upper`, newest first, `limit` at most. Every row between the two is
    /// looked at: nothing in the audit is indexed but its order.
    pub async fn reads(
        &self,
        filter: &ReadFilter,
        lower: u64,
        upper: u64,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let sql = match &*self.backend.lock().await {
            Backend::Sqlite(_) => {
                "select seq, time, entry, hash from audit where seq > $1 and seq <= $2
                 and entry ->> '$.action' in ('secret_read', 'secret_read_denied')
                 and ($3 is null or entry ->> '$.fleet' = $3) and ($4 is null or entry ->> '$.machine' = $4)
                 and ($5 is null or entry ->> '$.secret' in (select value from json_each($5)))
                 order by seq desc limit $6"
            }
            Backend::Postgres(_) => {
                "select seq, time, entry, hash from audit where seq > $1 and seq <= $2
                 and entry::json ->> 'action' in ('secret_read', 'secret_read_denied')
                 and ($3::text is null or entry::json ->> 'fleet' = $3)
                 and ($4::text is null or entry::json ->> 'machine' = $4)
                 and ($5::text is null or entry::json ->> 'secret' in (select json_array_elements_text($5::json)))
                 order by seq desc limit $6"
            }
        };
        let (fleet, machine) = match &filter.reader {
            Some(Grantee::Fleet(fleet)) => (Some(fleet.as_str()), None),
            Some(Grantee::Machine(machine)) => (None, Some(machine.as_str())),
            None => (None, None),
        };
        let secrets = filter
            .secrets
            .as_ref()
            .map(|ids| serde_json::Value::from(ids.iter().map(SecretId::as_str).collect::<Vec<_>>()).to_string());
        let [lower, upper] = [lower, upper].map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
        let binds = [
            Bind::Integer(lower),
            Bind::Integer(upper),
            Bind::OptionalText(fleet),
            Bind::OptionalText(machine),
            Bind::OptionalText(secrets.as_deref()),
            Bind::Integer(limit.into()),
        ];
        self.rows(sql, &binds).await
    }

    /// Rows among those after `lower` up to `upper`, `limit` at most. Every row between the two is looked at.
    pub async fn matching(
        &self,
        filter: &RowFilter,
        (lower, upper): (u64, u64),
        order: Order,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let wanted = match &*self.backend.lock().await {
            Backend::Sqlite(_) => {
                "($3 is null or entry ->> '$.vault' = $3)
                 and ($4 is null or entry ->> '$.project' in (select value from json_each($4)))
                 and ($5 is null or entry ->> '$.action' in (select value from json_each($5)))
                 and ($6 is null or entry ->> '$.source_ip' = $6)
                 and ($7 is null or instr(lower(entry), $7) > 0)
                 and ($8 is null or instr(entry -> '$.actor', $8) = 1)
                 and ($9 is null or entry -> '$.actor' in (select value from json_each($9)))
                 and ($10 is null or entry ->> '$.machine' in (select value from json_each($10))
                      or entry ->> '$.actor.Machine' in (select value from json_each($10)))
                 and ($11 is null or entry ->> '$.secret' in (select value from json_each($11)))"
            }
            Backend::Postgres(_) => {
                r#"($3::text is null or entry::json ->> 'vault' = $3)
                 and ($4::text is null or entry::json ->> 'project' in (select json_array_elements_text($4::json)))
                 and ($5::text is null or entry::json ->> 'action' in (select json_array_elements_text($5::json)))
                 and ($6::text is null or entry::json ->> 'source_ip' = $6)
                 and ($7::text is null or strpos(lower(entry collate "C"), $7) > 0)
                 and ($8::text is null or strpos((entry::json -> 'actor')::text, $8) = 1)
                 and ($9::text is null
                      or (entry::json -> 'actor')::text in (select json_array_elements_text($9::json)))
                 and ($10::text is null or entry::json ->> 'machine' in (select json_array_elements_text($10::json))
                      or entry::json #>> '{actor,Machine}' in (select json_array_elements_text($10::json)))
                 and ($11::text is null or entry::json ->> 'secret' in (select json_array_elements_text($11::json)))"#
            }
        };
        let direction = match order {
            Order::NewestFirst => "desc",
            Order::OldestFirst => "asc",
        };
        let sql = format!(
            "select seq, time, entry, hash from audit where seq > $1 and seq <= $2 and {wanted}
             order by seq {direction} limit $12"
        );
        let list = |it: Option<serde_json::Result<String>>| it.transpose().map_err(StoreError::Encode);
        let projects = list(filter.projects.as_ref().map(serde_json::to_string))?;
        let actions = list(filter.actions.as_ref().map(serde_json::to_string))?;
        let machines = list(filter.machines.as_ref().map(serde_json::to_string))?;
        let secrets = list(filter.secrets.as_ref().map(serde_json::to_string))?;
        // Each as it stands in the row: a text of JSON.
        let of_actor =
            |them: &Vec<Actor>| them.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>();
        let actors = filter.actors.as_ref().map(|them| of_actor(them).and_then(|it| serde_json::to_string(&it)));
        let actors = list(actors)?;
        let address = filter.source_ip.map(|it| it.to_string());
        let [lower, upper] = [lower, upper].map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
        let binds = [
            Bind::Integer(lower),
            Bind::Integer(upper),
            Bind::OptionalText(filter.vault.as_ref().map(VaultId::as_str)),
            Bind::OptionalText(projects.as_deref()),
            Bind::OptionalText(actions.as_deref()),
            Bind::OptionalText(address.as_deref()),
            Bind::OptionalText(filter.text.as_deref()),
            Bind::OptionalText(filter.actor_kind),
            Bind::OptionalText(actors.as_deref()),
            Bind::OptionalText(machines.as_deref()),
            Bind::OptionalText(secrets.as_deref()),
            Bind::Integer(limit.into()),
        ];
        let rows = self.backend.lock().await.fetch(AssertSqlSafe(sql), &binds).await.map_err(StoreError::Read)?;
        rows.iter().map(row).collect()
    }

    /// Reads of a vault in the hours from `from` to before `to`, oldest first. An hour without any has none.
    pub async fn hours_of_reads(&self, vault: &VaultId, from: i64, to: i64) -> Result<Vec<HourOfReads>, StoreError> {
        let sql =
            "select hour, delivered, denied from reads where vault = $1 and hour >= $2 and hour < $3 order by hour";
        let binds = [Bind::Text(vault.as_str()), Bind::Integer(from), Bind::Integer(to)];
        let rows = self.backend.lock().await.fetch(sql, &binds).await.map_err(StoreError::Read)?;
        rows.iter().map(hour).collect()
    }

    /// Reads and denials of one vault among the rows after `lower` up to `upper`, by the hour, oldest first; of one secret,
    /// by one machine, or both. Every row between the two is looked at.
    pub async fn hours_of(
        &self,
        vault: &VaultId,
        (secret, machine): (Option<&SecretId>, Option<&MachineId>),
        (lower, upper): (u64, u64),
    ) -> Result<Vec<HourOfReads>, StoreError> {
        let sql = match &*self.backend.lock().await {
            Backend::Sqlite(_) => {
                "select time / 3600000 as hour, sum(entry ->> '$.action' = 'secret_read'),
                        sum(entry ->> '$.action' = 'secret_read_denied')
                 from audit where seq > $1 and seq <= $2
                 and entry ->> '$.action' in ('secret_read', 'secret_read_denied') and entry ->> '$.vault' = $3
                 and ($4 is null or entry ->> '$.secret' = $4) and ($5 is null or entry ->> '$.machine' = $5)
                 group by hour order by hour"
            }
            Backend::Postgres(_) => {
                "select time / 3600000 as hour, count(*) filter (where entry::json ->> 'action' = 'secret_read'),
                        count(*) filter (where entry::json ->> 'action' = 'secret_read_denied')
                 from audit where seq > $1 and seq <= $2
                 and entry::json ->> 'action' in ('secret_read', 'secret_read_denied') and entry::json ->> 'vault' = $3
                 and ($4::text is null or entry::json ->> 'secret' = $4)
                 and ($5::text is null or entry::json ->> 'machine' = $5)
                 group by hour order by hour"
            }
        };
        let [lower, upper] = [lower, upper].map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
        let binds = [
            Bind::Integer(lower),
            Bind::Integer(upper),
            Bind::Text(vault.as_str()),
            Bind::OptionalText(secret.map(SecretId::as_str)),
            Bind::OptionalText(machine.map(MachineId::as_str)),
        ];
        let rows = self.backend.lock().await.fetch(sql, &binds).await.map_err(StoreError::Read)?;
        rows.iter().map(hour).collect()
    }

    /// Since when reads are counted by the hour; none: since ever.
    pub async fn reads_counted_since(&self) -> Result<Option<Millis>, StoreError> {
        Ok(self.meta("reads counted since").await?.and_then(|it| it.parse().ok()).map(Millis))
    }

    /// Whether several servers may use it at the same time.
    pub async fn is_shared(&self) -> bool {
        matches!(&*self.backend.lock().await, Backend::Postgres(_))
    }

    /// Another view of the same data. Whoever looks through one holds up nobody who looks through another.
    pub async fn another(&self) -> Result<Self, StoreError> {
        Ok(Self::new(self.again().await?))
    }

    /// Those of the data in a directory, beside a server that runs there or not.
    pub async fn beside(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self::new(Backend::Sqlite(Sqlite::read_only(directory).await?)))
    }

    /// Those of a shared database.
    pub fn shared(url: &str) -> Result<Self, StoreError> {
        Ok(Self::new(Backend::Postgres(Postgres::connect(url)?)))
    }

    /// What stands in `meta` under a name.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        meta::value(&mut *self.backend.lock().await, name).await
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
             where minute >= $1 and minute < $2 order by minute, kind";
        let rows = self.backend.lock().await.fetch(sql, &[Bind::Integer(from), Bind::Integer(to)]).await;
        let mut activity = Vec::new();
        for row in rows.map_err(StoreError::Read)? {
            // A kind of a newer release is not for this one to name.
            let Some(kind) = ActivityKind::named(&row.text(1)?) else { continue };
            let it = Activity { count: row.count(2)?, first: row.text(3)?, last: row.text(4)? };
            activity.push((ActivityKey { minute: row.integer(0)?, kind }, it));
        }
        Ok(activity)
    }

    /// The wrapped master key.
    pub async fn master(&self) -> Result<WrappedMaster, StoreError> {
        let text = self.meta(meta::MASTER).await?;
        Ok(WrappedMaster::decode(&text.unwrap_or_default())?)
    }

    /// The keys that follow from the master key.
    pub async fn keyring(&self, root: &RootKey) -> Result<Keyring, StoreError> {
        meta::keyring(&mut *self.backend.lock().await, root).await
    }

    /// Every version of every secret of a project, as it is sealed.
    pub async fn versions(&self, project: &ProjectId) -> Result<Vec<Version>, StoreError> {
        let sql = "select secret, version, vault, project, time, field_names, wrapped_key, ciphertext from version
             where project = $1 order by secret, version";
        let rows = self.backend.lock().await.fetch(sql, &[Bind::Text(project.as_str())]).await;
        rows.map_err(StoreError::Read)?.iter().map(load::version).collect()
    }

    /// The versions of a secret that are kept, newest first.
    pub async fn kept(&self, secret: &SecretId) -> Result<Vec<Kept>, StoreError> {
        let sql = "select version, time, field_names from version where secret = $1 order by version desc";
        let rows = self.backend.lock().await.fetch(sql, &[Bind::Text(secret.as_str())]).await;
        let tampered = || StoreError::Tampered(format!("a version of {secret}"));
        let kept = |row: &Row| {
            Ok(Kept {
                version: row.count(0)?,
                time: Millis(row.integer(1)?),
                field_names: serde_json::from_str(&row.text(2)?).map_err(|_| tampered())?,
            })
        };
        rows.map_err(StoreError::Read)?.iter().map(kept).collect()
    }

    /// One version of a secret, as it is sealed.
    pub async fn version(&self, secret: &SecretId, number: u64) -> Result<Option<Version>, StoreError> {
        let sql = "select secret, version, vault, project, time, field_names, wrapped_key, ciphertext from version
             where secret = $1 and version = $2";
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let rows = self.backend.lock().await.fetch(sql, &[Bind::Text(secret.as_str()), Bind::Integer(number)]).await;
        rows.map_err(StoreError::Read)?.first().map(load::version).transpose()
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

fn hour(row: &Row) -> Result<HourOfReads, StoreError> {
    Ok(HourOfReads { hour: row.integer(0)?, delivered: row.count(1)?, denied: row.count(2)? })
}

fn row(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow { seq: row.count(0)?, time: Millis(row.integer(1)?), entry: row.text(2)?, hash: row.hash(3)? })
}
