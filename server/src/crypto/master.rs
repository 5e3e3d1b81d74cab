//! The master key: 32 random bytes that every other key of the installation follows from.
//!
//! It is stored wrapped by the root key. Another root key wraps the same master key, so that changing the root key is
//! one row, and nothing that follows from the master key changes with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::envelope::Key;
use super::keyring::Keyring;
use super::root_key::{RootKey, RootKeyError, hex};
use crate::entropy::{self, Entropy};

/// The master key of one installation. Wiped when dropped.
pub struct Master {
    pub(super) installation: String,
    pub(super) key: Key,
}

/// The master key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedMaster {
    /// The installation, a UUID. It is bound in.
    pub installation: String,
    /// What the root key made of the master key, in base64.
    wrapped: String,
    /// Which root key did.
    pub by: String,
    /// Tells whether what comes out is what went in, whoever unwraps.
    check: String,
}

/// Why the master key does not open.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The root key is not there, or cannot be used.
    #[error("cannot use the root key")]
    RootKey(#[source] RootKeyError),
    /// It is another one.
    #[error("this is not the root key that wraps the master key")]
    WrongRootKey,
    /// The stored form was changed.
    #[error("the stored master key was changed")]
    Damaged,
}

impl Master {
    /// Takes 32 random bytes for the key.
    pub fn new(installation: String, key: Key) -> Self {
        Self { installation, key }
    }

    /// The master key of a new installation.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::new(entropy::uuid(entropy), entropy::bytes(entropy))
    }

    /// What an earlier release, which knew no master key, sealed with `root` for `installation`: there the root key
    /// itself was what everything followed from, and its bytes stay it.
    pub fn of_old(installation: &str, check: &str, root: &RootKey) -> Result<Keyring, MasterError> {
        let key = root.bytes().ok_or(MasterError::WrongRootKey)?;
        let keyring = Keyring::new(Self::new(installation.to_owned(), key.clone()));
        if keyring.agrees_with(check) { Ok(keyring) } else { Err(MasterError::WrongRootKey) }
    }
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Master")
    }
}

impl Keyring {
    /// Wraps the master key by `root`, and sees that `root` opens it again.
    pub async fn wrap_master(&self, root: &RootKey, entropy: &dyn Entropy) -> Result<WrappedMaster, RootKeyError> {
        let Master { installation, key } = self.master();
        let wrapped = root.wrap(installation, key, entropy).await?;
        let opened = root.unwrap(installation, &wrapped).await?;
        if !opened.is_some_and(|it| it.ct_eq(&**key).into()) {
            return Err(RootKeyError::OneWay(root.describe()));
        }
        Ok(WrappedMaster {
            installation: installation.clone(),
            wrapped: STANDARD.encode(wrapped),
            by: root.describe(),
            check: hex(&self.check_value(installation)),
        })
    }

    fn agrees_with(&self, check: &str) -> bool {
        hex(&self.check_value(&self.master().installation)).as_bytes().ct_eq(check.as_bytes()).into()
    }
}

impl WrappedMaster {
    /// Reads the stored form.
    pub fn decode(text: &str) -> Result<Self, MasterError> {
        serde_json::from_str(text).map_err(|_| MasterError::Damaged)
    }

    /// The stored form.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Opens it.
    pub async fn open(&self, root: &RootKey) -> Result<Keyring, MasterError> {
        let wrapped = STANDARD.decode(&self.wrapped).map_err(|_| MasterError::Damaged)?;
        let key = root.unwrap(&self.installation, &wrapped).await.map_err(MasterError::RootKey)?;
        let opened = key.map(|key| Keyring::new(Master::new(self.installation.clone(), key)));
        match opened.filter(|it| it.agrees_with(&self.check)) {
            Some(keyring) => Ok(keyring),
            None if root.has_name() && self.by == root.describe() => Err(MasterError::Damaged),
            None => Err(MasterError::WrongRootKey),
        }
    }
}

#[cfg(test)]
mod tests;
