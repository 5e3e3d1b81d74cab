//! Reading everything when the server starts.

use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Store;
use crate::ledger::{Seen, Stored};
use crate::live::World;
use crate::model::millis::Millis;
use crate::model::spend::Spend;
use crate::model::version::{Sealed, Version};
use crate::model::{Change, Entity};
use crate::store::head::Head;
use crate::store::{ChainHead, Loaded, StoreError};

impl Store {
    pub(super) async fn load(&mut self) -> Result<Loaded, StoreError> {
        let head: String = self.fetch("select value from meta where name = 'head'").await?.pop().unwrap_or_default();
        self.head =
            Head::decode(self.keyring.rows(), &head).ok_or_else(|| StoreError::Tampered("the head".to_owned()))?;
        let mut world = World::default();
        self.load_entities(&mut world).await?;
        self.load_values(&mut world).await?;
        self.load_ledger(&mut world).await?;
        let audit_head = self.check_audit_head().await?;
        let nonces = self.rows("select expiry, signer, nonce from nonce").await?;
        let nonces = nonces.iter().map(|row| {
            Ok(Spend {
                timestamp: column::<i64>(row, 0)?,
                signer: column(row, 1)?,
                nonce: column(row, 2)?,
                address: None,
            })
        });
        let nonces = nonces.collect::<Result<_, StoreError>>()?;
        Ok(Loaded { world, nonces, nonce_floor: self.head.nonce_floor, audit_head })
    }

    async fn load_entities(&mut self, world: &mut World) -> Result<(), StoreError> {
        let rows = self.rows("select kind, id, doc, seq, mac from entity").await?;
        let mut left = self.head;
        for row in &rows {
            let (kind, id, doc): (String, String, String) = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
            let seq: i64 = column(row, 3)?;
            let mac: Vec<u8> = column(row, 4)?;
            let tampered = || StoreError::Tampered(format!("the {kind} {id}"));
            let parts: [&[u8]; 5] = [b"entity", kind.as_bytes(), id.as_bytes(), &seq.to_be_bytes(), doc.as_bytes()];
            if !self.keyring.rows().verifies(&parts, &mac) {
                return Err(tampered());
            }
            let entity: Entity = serde_json::from_str(&doc).map_err(|_| tampered())?;
            let key = entity.key();
            if format!("{:?}", key.kind) != kind || key.id != id {
                return Err(tampered());
            }
            let mac = mac.try_into().map_err(|_| tampered())?;
            left.toggle(self.keyring.rows(), &mac);
            self.macs.insert(key, mac);
            world.state.apply(Change::put(entity));
        }
        if left.digest == [0; 32] {
            Ok(())
        } else {
            Err(StoreError::Tampered("a row that was removed or put back as it was before".to_owned()))
        }
    }

    /// The newest version of each secret. Whatever does not open there is found when it is read.
    async fn load_values(&mut self, world: &mut World) -> Result<(), StoreError> {
        let newest =
            "select v.secret, v.version, v.vault, v.project, v.time, v.field_names, v.wrapped_key, v.ciphertext
             from version v join (select secret, max(version) as version from version group by secret) n
             on v.secret = n.secret and v.version = n.version";
        for row in self.rows(newest).await? {
            let secret: String = column(&row, 0)?;
            let tampered = |_| StoreError::Tampered(format!("the value of {secret}"));
            let version = Version {
                secret: secret.parse().map_err(tampered)?,
                version: u64::try_from(column::<i64>(&row, 1)?).unwrap_or_default(),
                vault: column::<String>(&row, 2)?.parse().map_err(tampered)?,
                project: column::<String>(&row, 3)?.parse().map_err(tampered)?,
                time: Millis(column(&row, 4)?),
                field_names: serde_json::from_str(&column::<String>(&row, 5)?)
                    .map_err(|_| StoreError::Tampered(format!("the value of {secret}")))?,
                sealed: Arc::new(Sealed { wrapped_key: column(&row, 6)?, ciphertext: column(&row, 7)? }),
            };
            let known = world.state.secrets.get(&version.secret).map(|it| it.version);
            if known != Some(version.version) {
                return Err(StoreError::Tampered(format!("the value of {secret}")));
            }
            world.state.apply(Change::PutVersion(version));
        }
        let lost = world.state.secrets.values().find(|it| it.version > 0 && world.state.value(&it.id).is_none());
        lost.map_or(Ok(()), |it| Err(StoreError::Tampered(format!("the missing value of {}", it.id))))
    }

    async fn load_ledger(&mut self, world: &mut World) -> Result<(), StoreError> {
        for row in self.rows("select secret, reader, doc from tally").await? {
            let (secret, reader, doc): (String, String, String) =
                (column(&row, 0)?, column(&row, 1)?, column(&row, 2)?);
            let tampered = || StoreError::Tampered(format!("the tally of {secret} by {reader}"));
            let row = Stored::Tally(
                secret.parse().map_err(|_| tampered())?,
                reader.parse().map_err(|_| tampered())?,
                serde_json::from_str(&doc).map_err(|_| tampered())?,
            );
            world.ledger.restore(row);
        }
        for row in self.rows("select machine, secret, version from delivered").await? {
            let (machine, secret): (String, String) = (column(&row, 0)?, column(&row, 1)?);
            let tampered = |_| StoreError::Tampered(format!("the delivery of {secret} to {machine}"));
            world.ledger.restore(Stored::Delivered(
                machine.parse().map_err(tampered)?,
                secret.parse().map_err(tampered)?,
                u64::try_from(column::<i64>(&row, 2)?).unwrap_or_default(),
            ));
        }
        for row in self.rows("select machine, time, address from last_seen").await? {
            let machine: String = column(&row, 0)?;
            let machine =
                machine.parse().map_err(|_| StoreError::Tampered(format!("the last request of {machine}")))?;
            let address = column::<Option<String>>(&row, 2)?.and_then(|it| it.parse().ok());
            world.ledger.restore(Stored::LastSeen(machine, Seen { at: Millis(column(&row, 1)?), address }));
        }
        Ok(())
    }

    async fn check_audit_head(&mut self) -> Result<ChainHead, StoreError> {
        let last = self.rows("select seq, hash from audit order by seq desc limit 1").await?;
        let found = match last.first() {
            None => ChainHead::default(),
            Some(row) => ChainHead {
                seq: u64::try_from(column::<i64>(row, 0)?).unwrap_or_default(),
                hash: column::<Vec<u8>>(row, 1)?.try_into().unwrap_or_default(),
            },
        };
        if found == self.head.audit {
            Ok(found)
        } else {
            Err(StoreError::Tampered(format!(
                "the end of the audit (row {} where row {} was written last)",
                found.seq, self.head.audit.seq
            )))
        }
    }

    async fn rows(&mut self, sql: &'static str) -> Result<Vec<SqliteRow>, StoreError> {
        sqlx::query(sql).fetch_all(&mut self.connection).await.map_err(StoreError::Read)
    }

    async fn fetch(&mut self, sql: &'static str) -> Result<Vec<String>, StoreError> {
        self.rows(sql).await?.iter().map(|row| column(row, 0)).collect()
    }
}

fn column<'r, T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
    row: &'r SqliteRow,
    index: usize,
) -> Result<T, StoreError> {
    row.try_get(index).map_err(StoreError::Read)
}
