//! Encryption at rest, and proof that what was stored is what is read.
//!
//! One root key comes from outside the database ([`root_key`]). It wraps the installation's master key ([`master`]). From
//! that follow, by HKDF, the keys that wrap projects' keys, that authenticate rows and that chain the audit
//! ([`keyring`]). Each project has a key of its own, wrapped by the master's; each version of a value has a data key of
//! its own, wrapped by the project's ([`envelope`]). The private halves of vaults' sealing keys are wrapped by a key of their
//! own, which follows from the master key as well: changing the root key or a project's leaves them readable.
//!
//! What people log in with hangs on the master key as well: passwords are hashed with a pepper ([`password`]), seeds of
//! second factors are sealed ([`totp`]), recovery codes are kept as MACs.
//!
//! # What changing keys protects from
//!
//! * **The root key** (`rotate-root-key`): the same master key is wrapped anew. From then on a stolen old root key opens
//!   no copy of the database that is made later. It goes on opening every copy that was made before, and as the master
//!   key in there is still in use, whoever has both an old root key and an old copy has everything, now as before: then
//!   change the secrets themselves. A database of the first release has its first root key for its master key: there
//!   the old root key alone goes on being enough.
//! * **A project's key** (`rotate-project-key`): the data keys are wrapped anew. A project key that leaked opens nothing
//!   that is written from then on; a copy of the database from before it goes on opening. Data keys and values stay as
//!   they are; a value that may have been read has to be replaced by another.
//! * Neither reaches backups, replicas that were taken away, or pages that the disk has not overwritten yet.

pub mod envelope;
pub mod keyring;
pub mod master;
pub mod password;
pub mod root_key;
pub mod row_mac;
pub mod totp;
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
