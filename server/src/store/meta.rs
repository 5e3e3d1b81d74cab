//! The table of single values, and the master key in it.

use super::book::Book;
use super::row::Bind;
use super::{Backend, StoreError};
use crate::crypto::keyring::Keyring;
use crate::crypto::master::{Master, MasterError, WrappedMaster};
use crate::crypto::root_key::RootKey;
use crate::entropy::Entropy;

/// The name of the wrapped master key.
pub(super) const MASTER: &str = "master key";
/// What the first release had instead of a master key.
const OLD_CHECK: &str = "root key check";

/// Opens the master key with the root key. A new database gets one; an old one, which the root key itself sealed, keeps
/// its keys.
pub(super) async fn open_master(
    backend: &mut Backend,
    root: &RootKey,
    entropy: &dyn Entropy,
) -> Result<Keyring, StoreError> {
    if value(backend, MASTER).await?.is_some() {
        return keyring(backend, root).await;
    }
    if let Some(old) = value(backend, OLD_CHECK).await? {
        let (installation, check) = old.split_once(' ').unwrap_or_default();
        let keyring = Master::of_old(installation, check, root)?;
        let wrapped = wrap(&keyring, root, entropy).await?;
        // One statement, so all or nothing: the row gets another name and another value.
        let sql = "update meta set name = $1, value = $2 where name = $3";
        write(backend, sql, &[Bind::Text(MASTER), Bind::Text(&wrapped), Bind::Text(OLD_CHECK)]).await?;
        return Ok(keyring);
    }
    // Making a new one would only hide that the old one is gone, and with it everything that was sealed.
    if has_rows(backend).await? {
        return Err(StoreError::Tampered("the missing master key".to_owned()));
    }
    let keyring = Keyring::new(Master::generate(entropy));
    let head = Book::first_head(&keyring)?;
    let wrapped = wrap(&keyring, root, entropy).await?;
    // Both or neither: a database that has a master key and no head looks tampered with. Of two servers that begin at
    // once, one is first, and the other takes what that one has made.
    let sql = "insert into meta (name, value) values ('master key', $1), ('head', $2) on conflict do nothing";
    write(backend, sql, &[Bind::Text(&wrapped), Bind::Text(&head)]).await?;
    self::keyring(backend, root).await
}

/// The keys that follow from the master key that is there.
pub(super) async fn keyring(backend: &mut Backend, root: &RootKey) -> Result<Keyring, StoreError> {
    let text = value(backend, MASTER).await?.unwrap_or_default();
    Ok(WrappedMaster::decode(&text)?.open(root).await?)
}

/// One value.
pub(super) async fn value(backend: &mut Backend, name: &str) -> Result<Option<String>, StoreError> {
    let rows = backend.fetch("select value from meta where name = $1", &[Bind::Text(name)]).await;
    rows.map_err(StoreError::Read)?.first().map(|row| row.text(0)).transpose()
}

async fn wrap(keyring: &Keyring, root: &RootKey, entropy: &dyn Entropy) -> Result<String, StoreError> {
    let wrapped = keyring.wrap_master(root, entropy).await.map_err(StoreError::RootKey)?;
    wrapped.encode().map_err(StoreError::Encode)
}

async fn write(backend: &mut Backend, sql: &'static str, binds: &[Bind<'_>]) -> Result<(), StoreError> {
    backend.fetch(sql, binds).await.map(drop).map_err(StoreError::Write)
}

/// Whether anything was ever stored.
pub(super) async fn has_rows(backend: &mut Backend) -> Result<bool, StoreError> {
    let sql = "select name from meta union all select kind from entity union all select entry from audit limit 1";
    Ok(!backend.fetch(sql, &[]).await.map_err(StoreError::Read)?.is_empty())
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
