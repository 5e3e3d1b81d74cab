//! Reading everything when the server starts, or has been away for too long.

use std::sync::Arc;

use super::book::Book;
use super::head::Head;
use super::macs::Macs;
use super::row::{Bind, Row};
use super::{Backend, ChainHead, StoreError, meta};
use crate::audit::entry::{Action, Entry};
use crate::ledger::{Holding, Seen, Stored};
use crate::live::World;
use crate::model::Change;
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::model::spend::{LIFE_SECONDS, Spend};
use crate::model::version::{Sealed, Version};

impl Backend {
    /// Reads everything, checks it, and begins the book with it.
    pub(super) async fn load(&mut self, book: &mut Book) -> Result<World, StoreError> {
        let head = self.rows("select value from meta where name = 'head'").await?;
        let head = head.first().map(|row| row.text(0)).transpose()?.unwrap_or_default();
        let head = book.read_head(&head)?;
        let mut world = World::default();
        self.load_entities(book, head, &mut world).await?;
        self.load_values(&mut world).await?;
        self.load_ledger(&mut world).await?;
        self.check_audit_head(head).await?;
        self.recount(&mut world).await?;
        Ok(world)
    }

    /// Nonces that can still matter.
    pub(super) async fn nonces(&mut self) -> Result<Vec<Spend>, StoreError> {
        let rows = self.rows("select expiry, signer, nonce from nonce").await?;
        let spend = |row: &Row| {
            Ok(Spend {
                timestamp: row.integer(0)?.saturating_sub(LIFE_SECONDS),
                signer: row.text(1)?,
                nonce: row.text(2)?,
                address: None,
            })
        };
        rows.iter().map(spend).collect()
    }

    async fn load_entities(&mut self, book: &mut Book, head: Head, world: &mut World) -> Result<(), StoreError> {
        let rows = self.rows("select kind, id, doc, seq, mac from entity").await?;
        let mut macs = Macs::default();
        for row in &rows {
            let (kind, id, doc) = (row.text(0)?, row.text(1)?, row.text(2)?);
            let (entity, mac) = book.entity(&kind, &id, &doc, row.integer(3)?, &row.bytes(4)?)?;
            macs.set(&entity.key(), Some(mac));
            world.state.apply(Change::put(entity));
        }
        book.open(head, macs)
    }

    /// The newest version of each secret. Whatever does not open there is found when it is read.
    async fn load_values(&mut self, world: &mut World) -> Result<(), StoreError> {
        let newest =
            "select v.secret, v.version, v.vault, v.project, v.time, v.field_names, v.wrapped_key, v.ciphertext
             from version v join (select secret, max(version) as version from version group by secret) n
             on v.secret = n.secret and v.version = n.version";
        for row in &self.rows(newest).await? {
            let version = version(row)?;
            let known = world.state.secrets.get(&version.secret).map(|it| it.version);
            if known != Some(version.version) {
                return Err(StoreError::Tampered(format!("the value of {}", version.secret)));
            }
            world.state.apply(Change::PutVersion(version));
        }
        let lost = world.state.secrets.values().find(|it| it.version > 0 && world.state.value(&it.id).is_none());
        lost.map_or(Ok(()), |it| Err(StoreError::Tampered(format!("the missing value of {}", it.id))))
    }

    async fn load_ledger(&mut self, world: &mut World) -> Result<(), StoreError> {
        for row in self.rows("select secret, reader, doc from tally").await? {
            let (secret, reader, doc) = (row.text(0)?, row.text(1)?, row.text(2)?);
            let tampered = || StoreError::Tampered(format!("the tally of {secret} by {reader}"));
            world.ledger.restore(Stored::Tally(
                secret.parse().map_err(|_| tampered())?,
                reader.parse().map_err(|_| tampered())?,
                Some(serde_json::from_str(&doc).map_err(|_| tampered())?),
            ));
        }
        for row in self.rows("select machine, secret, version from delivered").await? {
            let (machine, secret) = (row.text(0)?, row.text(1)?);
            let tampered = |_| StoreError::Tampered(format!("the delivery of {secret} to {machine}"));
            world.ledger.restore(Stored::Delivered(
                machine.parse().map_err(tampered)?,
                secret.parse().map_err(tampered)?,
                Some(Holding::restored(row.integer(2)?)),
            ));
        }
        for row in self.rows("select machine, time, address from last_seen").await? {
            let machine = row.text(0)?;
            let machine =
                machine.parse().map_err(|_| StoreError::Tampered(format!("the last request of {machine}")))?;
            let address = row.optional_text(2)?.and_then(|it| it.parse().ok());
            world.ledger.restore(Stored::LastSeen(machine, Seen { at: Millis(row.integer(1)?), address }));
        }
        world.ledger.settle_restored();
        Ok(())
    }

    /// Counts what the audit holds and the tallies do not.
    async fn recount(&mut self, world: &mut World) -> Result<(), StoreError> {
        const PAGE: i64 = 10_000;
        let counted = meta::value(self, "counted").await?;
        let mut at = counted.and_then(|it| it.parse().ok()).unwrap_or(0);
        loop {
            let sql = "select seq, time, entry from audit where seq > $1 order by seq limit $2";
            let rows = self.fetch(sql, &[Bind::Integer(at), Bind::Integer(PAGE)]).await.map_err(StoreError::Read)?;
            for row in &rows {
                at = row.integer(0)?;
                let text = row.text(2)?;
                // A row of a newer release counts nothing that this one knows; one that was changed is for verify-audit.
                let Ok(entry) = serde_json::from_str::<Entry>(&text) else { continue };
                let (Action::SecretRead, Some(machine), Some(secret)) = (entry.action, entry.machine, entry.secret)
                else {
                    continue;
                };
                // One that is deleted meanwhile has no tally.
                if world.state.secrets.contains_key(&secret) {
                    let grantee = entry.fleet.map_or(Grantee::Machine(machine), Grantee::Fleet);
                    world.ledger.recount(&secret, &grantee, row.count(0)?, Millis(row.integer(1)?));
                }
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }

    async fn check_audit_head(&mut self, head: Head) -> Result<(), StoreError> {
        let last = self.rows("select seq, hash from audit order by seq desc limit 1").await?;
        let found = match last.first() {
            None => ChainHead::default(),
            Some(row) => ChainHead { seq: row.count(0)?, hash: row.hash(1)? },
        };
        if found == head.audit {
            Ok(())
        } else {
            Err(StoreError::Tampered(format!(
                "the end of the audit (row {} where row {} was written last)",
                found.seq, head.audit.seq
            )))
        }
    }

    async fn rows(&mut self, sql: &'static str) -> Result<Vec<Row>, StoreError> {
        self.fetch(sql, &[]).await.map_err(StoreError::Read)
    }
}

/// A row of the table of versions.
pub(super) fn version(row: &Row) -> Result<Version, StoreError> {
    let secret = row.text(0)?;
    let tampered = || StoreError::Tampered(format!("the value of {secret}"));
    Ok(Version {
        secret: secret.parse().map_err(|_| tampered())?,
        version: row.count(1)?,
        vault: row.text(2)?.parse().map_err(|_| tampered())?,
        project: row.text(3)?.parse().map_err(|_| tampered())?,
        time: Millis(row.integer(4)?),
        field_names: serde_json::from_str(&row.text(5)?).map_err(|_| tampered())?,
        sealed: Arc::new(Sealed { wrapped_key: row.bytes(6)?, ciphertext: row.bytes(7)? }),
    })
}
