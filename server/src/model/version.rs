//! Values, sealed.

use std::sync::Arc;

use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};

use super::millis::Millis;

/// One version of a secret's value, as it is stored (see [`crate::crypto::envelope`]).
#[derive(Clone, PartialEq)]
pub struct Version {
    /// The vault.
    pub vault: VaultId,
    /// The project whose key wraps the data key.
    pub project: ProjectId,
    /// The secret.
    pub secret: SecretId,
    /// 1 and up.
    pub version: u64,
    /// When it was made.
    pub time: Millis,
    /// Names of the fields of this version; empty for a plain value.
    pub field_names: Vec<String>,
    /// The sealed value.
    pub sealed: Arc<Sealed>,
}

/// That a version is kept, without what is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub version: u64,
    /// When it was made.
    pub time: Millis,
    /// Names of its fields; empty for a plain value.
    pub field_names: Vec<String>,
}

/// A data key wrapped by the project's key, and the value under that data key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Nonce, wrapped data key and tag.
    pub wrapped_key: Vec<u8>,
    /// Nonce, ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Version({} v{})", self.secret, self.version)
    }
}
