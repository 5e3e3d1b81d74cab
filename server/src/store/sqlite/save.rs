//! Writing one group.
//!
//! Each statement crosses to the thread that SQLite runs on, which costs more than the statement itself. So a group is
//! two calls, whatever its size: one that begins and burns the nonces, one that writes the rest and commits. Rows travel
//! as JSON arrays, so the statements are always the same and stay prepared.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::Row;

use super::Store;
use crate::model::spend::{LIFE_SECONDS, Spend};
use crate::model::{Entity, EntityKey};
use crate::store::head::{Head, hex};
use crate::store::{ChainHead, Rows, StoreError, base};

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
    update meta set value = ? where name = 'head';
    commit";

/// A transaction that has begun. Dropped without [`Group::save`], it is taken back before the next begins.
pub struct Group<'s> {
    store: &'s mut Store,
}

impl Store {
    /// Begins a group and burns its nonces. Returns those that were not burnt before, as signer and nonce.
    pub async fn begin(&mut self, spends: &[Spend]) -> Result<(Group<'_>, HashSet<(String, String)>), StoreError> {
        // Of a group that was dropped.
        self.take_back().await;
        self.is_open = true;
        match self.burn(spends).await {
            Ok(burnt) => Ok((Group { store: self }, burnt)),
            Err(error) => {
                self.take_back().await;
                Err(error)
            }
        }
    }

    async fn burn(&mut self, spends: &[Spend]) -> Result<HashSet<(String, String)>, StoreError> {
        let rows: Vec<_> =
            spends.iter().map(|it| (it.timestamp.saturating_add(LIFE_SECONDS), &it.signer, &it.nonce)).collect();
        let burnt = sqlx::query(BEGIN_AND_BURN)
            .bind(json(&rows)?)
            .fetch_all(&mut self.connection)
            .await
            .map_err(StoreError::Write)?;
        let burnt = burnt.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        burnt.collect::<Result<_, sqlx::Error>>().map_err(StoreError::Write)
    }

    /// Takes back what has begun, so that its lock is held no longer.
    async fn take_back(&mut self) {
        if std::mem::take(&mut self.is_open) {
            // There may be nothing left to take back, which is an error and fine.
            drop(sqlx::query("rollback").execute(&mut self.connection).await);
        }
    }
}

impl Group<'_> {
    /// Writes the rest of the group and commits. When this returns `Ok`, all of it survives a power failure.
    pub async fn save(self, rows: Rows) -> Result<(), StoreError> {
        let saved = self.store.save(&rows).await;
        if saved.is_err() {
            self.store.take_back().await;
        }
        saved
    }
}

type Macs = Vec<(EntityKey, Option<[u8; 32]>)>;

impl Store {
    async fn save(&mut self, rows: &Rows) -> Result<(), StoreError> {
        let mut head = self.head;
        head.seq += 1;
        // Never the same number twice, also when this group fails: the mask of the digest depends on it.
        self.head.seq = head.seq;
        let entities = self.save_entities(&mut head, rows).await?;
        self.save_versions(rows).await?;
        self.save_rare(&mut head, rows).await?;
        if let Some(last) = rows.audit.last() {
            head.audit = ChainHead { seq: last.seq, hash: last.hash };
        }
        let tallies: Vec<_> = rows
            .dirty
            .tallies
            .iter()
            .filter_map(|((secret, reader), tally)| {
                Some((secret, reader.to_string(), serde_json::to_string(tally.as_ref()?).ok()?))
            })
            .collect();
        let delivered = rows.dirty.delivered.iter();
        let delivered: Vec<_> =
            delivered.filter_map(|((machine, secret), version)| Some((machine, secret, (*version)?))).collect();
        let activity = rows.dirty.activity.iter();
        let activity: Vec<_> =
            activity.map(|(key, it)| (key.minute, key.kind.as_str(), it.count, &it.first, &it.last)).collect();
        let audit: Vec<_> = rows.audit.iter().map(|row| (row.seq, row.time, &row.entry, hex(&row.hash))).collect();
        sqlx::query(SAVE)
            .bind(json(&tallies)?)
            .bind(json(&delivered)?)
            .bind(json(&activity)?)
            .bind(json(&audit)?)
            .bind(head.encode(self.keyring.rows()).map_err(StoreError::Encode)?)
            .execute(&mut self.connection)
            .await
            .map_err(StoreError::Write)?;
        self.is_open = false;
        self.head = head;
        for (key, mac) in entities {
            match mac {
                Some(mac) => drop(self.macs.insert(key, mac)),
                None => drop(self.macs.remove(&key)),
            }
        }
        Ok(())
    }

    async fn save_entities(&mut self, head: &mut Head, rows: &Rows) -> Result<Macs, StoreError> {
        let mut macs = Vec::with_capacity(rows.entities.len());
        if rows.entities.is_empty() {
            return Ok(macs);
        }
        let key = self.keyring.rows();
        let seq = i64::try_from(head.seq).unwrap_or(i64::MAX);
        let (mut put, mut removed) = (Vec::new(), Vec::new());
        for (id, entity) in &rows.entities {
            if let Some(old) = self.macs.get(id) {
                head.toggle(key, old);
            }
            let kind = format!("{:?}", id.kind);
            let mac = match entity {
                None => {
                    removed.push((kind, &id.id));
                    None
                }
                Some(entity) => {
                    let doc = document(entity)?;
                    let parts: [&[u8]; 5] =
                        [b"entity", kind.as_bytes(), id.id.as_bytes(), &seq.to_be_bytes(), doc.as_bytes()];
                    let mac = key.mac(&parts);
                    head.toggle(key, &mac);
                    put.push((kind, &id.id, doc, seq, hex(&mac)));
                    Some(mac)
                }
            };
            macs.push((id.clone(), mac));
        }
        if !put.is_empty() {
            self.run(
                "insert into entity (kind, id, doc, seq, mac)
                 select value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4)
                 from json_each(?1) where true
                 on conflict (kind, id) do update set doc = excluded.doc, seq = excluded.seq, mac = excluded.mac",
                json(&put)?,
            )
            .await?;
        }
        if !removed.is_empty() {
            self.run(
                "delete from entity where (kind, id) in (select value ->> 0, value ->> 1 from json_each(?1))",
                json(&removed)?,
            )
            .await?;
            let secrets: Vec<_> = removed.iter().filter(|(kind, _)| kind == "Secret").map(|(_, id)| id).collect();
            if !secrets.is_empty() {
                self.run("delete from version where secret in (select value from json_each(?1))", json(&secrets)?)
                    .await?;
            }
        }
        Ok(macs)
    }

    async fn save_versions(&mut self, rows: &Rows) -> Result<(), StoreError> {
        for version in &rows.versions {
            sqlx::query(
                "insert into version (secret, version, vault, project, time, field_names, wrapped_key, ciphertext)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .bind(version.secret.as_str())
            .bind(i64::try_from(version.version).unwrap_or(i64::MAX))
            .bind(version.vault.as_str())
            .bind(version.project.as_str())
            .bind(version.time.0)
            .bind(json(&version.field_names)?)
            .bind(version.sealed.wrapped_key.as_slice())
            .bind(version.sealed.ciphertext.as_slice())
            .execute(&mut self.connection)
            .await
            .map_err(StoreError::Write)?;
        }
        Ok(())
    }

    /// What few groups have.
    async fn save_rare(&mut self, head: &mut Head, rows: &Rows) -> Result<(), StoreError> {
        let gone = rows.dirty.tallies.iter().filter(|(_, it)| it.is_none());
        let gone: Vec<_> = gone.map(|((secret, reader), _)| (secret, reader.to_string())).collect();
        if !gone.is_empty() {
            let sql =
                "delete from tally where (secret, reader) in (select value ->> 0, value ->> 1 from json_each(?1))";
            self.run(sql, json(&gone)?).await?;
        }
        let gone = rows.dirty.delivered.iter().filter(|(_, it)| it.is_none());
        let gone: Vec<_> = gone.map(|(key, _)| key).collect();
        if !gone.is_empty() {
            let sql =
                "delete from delivered where (machine, secret) in (select value ->> 0, value ->> 1 from json_each(?1))";
            self.run(sql, json(&gone)?).await?;
        }
        let machines: Vec<_> = rows.entities.iter().filter(|(key, it)| it.is_none() && key.is_machine()).collect();
        if !machines.is_empty() {
            let ids: Vec<_> = machines.iter().map(|(key, _)| &key.id).collect();
            self.run("delete from last_seen where machine in (select value from json_each(?1))", json(&ids)?).await?;
        }
        if !rows.last_seen.is_empty() {
            let seen = rows.last_seen.iter().map(|(machine, it)| (machine, it.at, it.address));
            self.run(
                "insert into last_seen (machine, time, address)
                 select value ->> 0, value ->> 1, value ->> 2 from json_each(?1) where true
                 on conflict (machine) do update set time = excluded.time, address = excluded.address",
                json(&seen.collect::<Vec<_>>())?,
            )
            .await?;
        }
        if let Some(it) = rows.audit_base {
            // In this order: the table gives up only what lies below its base.
            let base = base::encode(self.keyring.rows(), it).map_err(StoreError::Encode)?;
            let sql = "insert into meta (name, value) values ('audit base', ?1)
                 on conflict (name) do update set value = excluded.value";
            self.run(sql, base).await?;
            sqlx::query("delete from audit where seq <= ?1")
                .bind(i64::try_from(it.seq).unwrap_or_default())
                .execute(&mut self.connection)
                .await
                .map_err(StoreError::Write)?;
        }
        if let Some(floor) = rows.nonce_floor {
            head.nonce_floor = head.nonce_floor.max(floor);
            sqlx::query("delete from nonce where expiry <= ?1")
                .bind(head.nonce_floor.saturating_add(LIFE_SECONDS))
                .execute(&mut self.connection)
                .await
                .map_err(StoreError::Write)?;
        }
        Ok(())
    }

    async fn run(&mut self, sql: &'static str, rows: String) -> Result<(), StoreError> {
        sqlx::query(sql).bind(rows).execute(&mut self.connection).await.map_err(StoreError::Write)?;
        Ok(())
    }
}

fn document(entity: &Entity) -> Result<String, StoreError> {
    serde_json::to_string(entity).map_err(StoreError::Encode)
}

fn json(rows: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(StoreError::Encode)
}
