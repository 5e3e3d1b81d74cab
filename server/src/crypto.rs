//! Encryption at rest, and proof that what was stored is what is read.
//!
//! One root key comes from outside the database ([`root_key`]). From it follow, by HKDF, the keys that wrap projects'
//! keys, that authenticate rows and that chain the audit ([`keyring`]). Each project has a key of its own, wrapped by
//! the root's; each version of a value has a data key of its own, wrapped by the project's ([`envelope`]).

pub mod envelope;
pub mod keyring;
pub mod root_key;
pub mod row_mac;
pub mod withheld;

/// What can go wrong. Says nothing about keys or values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// It was not sealed under this key for this place, or it was changed.
    #[error("a sealed value or key does not open here: it was changed, or it belongs to another place or key")]
    Open,
    /// It is larger than the cipher takes.
    #[error("a value is too large to seal")]
    Seal,
}
