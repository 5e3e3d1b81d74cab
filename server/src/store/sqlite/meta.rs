//! The table of single values, and the master key in it.

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::crypto::keyring::Keyring;
use crate::crypto::master::{Master, MasterError, WrappedMaster};
use crate::crypto::root_key::RootKey;
use crate::entropy::Entropy;
use crate::store::StoreError;
use crate::store::head::Head;

/// The name of the wrapped master key.
pub(super) const MASTER: &str = "master key";
const HEAD: &str = "head";
/// What the first release had instead of a master key.
const OLD_CHECK: &str = "root key check";

/// Opens the master key with the root key. A new database gets one; an old one, which the root key itself sealed, keeps
/// its keys.
pub(super) async fn open_master(
    connection: &mut SqliteConnection,
    root: &RootKey,
    entropy: &dyn Entropy,
) -> Result<Keyring, StoreError> {
    if let Some(text) = value(connection, MASTER).await? {
        return Ok(WrappedMaster::decode(&text)?.open(root).await?);
    }
    let (keyring, head) = if let Some(old) = value(connection, OLD_CHECK).await? {
        let (installation, check) = old.split_once(' ').unwrap_or_default();
        (Master::of_old(installation, check, root)?, None)
    } else {
        // Making a new one would only hide that the old one is gone, and with it everything that was sealed.
        if has_rows(connection).await? {
            return Err(StoreError::Tampered("the missing master key".to_owned()));
        }
        let keyring = Keyring::new(Master::generate(entropy));
        let head = Head::default().encode(keyring.rows()).map_err(StoreError::Encode)?;
        (keyring, Some(head))
    };
    let wrapped = keyring.wrap_master(root, entropy).await.map_err(StoreError::RootKey)?;
    let wrapped = wrapped.encode().map_err(StoreError::Encode)?;
    // All or nothing: a database that has a master key and no head looks tampered with.
    let mut tx = connection.begin().await.map_err(StoreError::Write)?;
    put(&mut tx, MASTER, &wrapped).await?;
    if let Some(head) = head {
        put(&mut tx, HEAD, &head).await?;
    }
    remove(&mut tx, OLD_CHECK).await?;
    tx.commit().await.map_err(StoreError::Write)?;
    Ok(keyring)
}

/// One value.
pub(super) async fn value(connection: &mut SqliteConnection, name: &str) -> Result<Option<String>, StoreError> {
    let sql = "select value from meta where name = ?1";
    sqlx::query_scalar(sql).bind(name).fetch_optional(connection).await.map_err(StoreError::Read)
}

/// Sets one value.
pub(super) async fn put(connection: &mut SqliteConnection, name: &str, value: &str) -> Result<(), StoreError> {
    let sql = "insert into meta (name, value) values (?1, ?2) on conflict (name) do update set value = excluded.value";
    sqlx::query(sql).bind(name).bind(value).execute(connection).await.map_err(StoreError::Write)?;
    Ok(())
}

async fn remove(connection: &mut SqliteConnection, name: &str) -> Result<(), StoreError> {
    sqlx::query("delete from meta where name = ?1").bind(name).execute(connection).await.map_err(StoreError::Write)?;
    Ok(())
}

/// Whether anything was ever stored.
async fn has_rows(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let sql = "select exists (select 1 from meta) or exists (select 1 from entity) or exists (select 1 from audit)";
    sqlx::query_scalar(sql).fetch_one(connection).await.map_err(StoreError::Read)
}

impl From<MasterError> for StoreError {
    fn from(error: MasterError) -> Self {
        match error {
            MasterError::RootKey(error) => Self::RootKey(error),
            MasterError::WrongRootKey => Self::WrongRootKey,
            MasterError::Damaged => Self::Tampered("the master key".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
