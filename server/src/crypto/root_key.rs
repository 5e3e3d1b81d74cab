//! The root key: what opens the installation's master key ([`super::master`]), and is never in the database.
//!
//! It is 32 bytes from a file or a file descriptor, or it stays in another place altogether and a command uses it there.

mod command;
mod descriptor;
mod file;

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use self::command::{Command, Operation};
pub(super) use self::file::hex;
use super::CryptoError;
use super::envelope::{self, Key, Place};
use crate::entropy::Entropy;

/// What wraps the master key. Wiped when dropped.
pub struct RootKey(Kind);

enum Kind {
    Local(Key),
    Command(Command),
}

/// Where a root key comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, which may come later than the server.
    File(PathBuf),
    /// A file in the data directory, made at the first start.
    Beside,
    /// It is here: it was read from a file descriptor, or it is a command.
    Given(Arc<RootKey>),
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// Not there, or not yet.
    #[error("the root key file {0} is not there: mount it, or correct --root-key-file")]
    Missing(PathBuf),
    /// There, but nothing is in it yet.
    #[error("the root key file {0} is empty")]
    Empty(PathBuf),
    /// It cannot be read.
    #[error("cannot read the root key file {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// It cannot be made.
    #[error("cannot make the root key file {0}")]
    Write(PathBuf, #[source] std::io::Error),
    /// Others may read it.
    #[error("the root key file {0} can be read by others (mode {1:04o}): chmod 0400 it")]
    Mode(PathBuf, u32),
    /// It holds no key.
    #[error(
        "the root key {0} must hold 32 bytes: raw, as 64 hex digits, or as base64; `openssl rand -hex 32` makes one"
    )]
    Content(String),
    /// The descriptor cannot be read.
    #[error("cannot read the root key from file descriptor {0}")]
    Descriptor(RawFd, #[source] std::io::Error),
    /// The descriptor is something else.
    #[error("file descriptor {0} must be a pipe or a file from which the root key can be read, and 3 or above")]
    DescriptorKind(RawFd),
    /// There is no command.
    #[error("the root key command is empty: give a program, and its arguments after it")]
    NoCommand,
    /// The command does not start.
    #[error("cannot run the root key command {0}")]
    CommandStart(String, #[source] std::io::Error),
    /// The command takes too long.
    #[error("the root key command {0} did not answer within {1} seconds")]
    CommandTime(String, u64),
    /// The command failed.
    #[error("the root key command {0} {1} failed ({2}): the log has what it said")]
    CommandFailed(String, &'static str, String),
    /// The command answered something else.
    #[error("the root key command {0} {1} answered something else than base64 of what it was asked for")]
    CommandAnswer(String, &'static str),
    /// What was wrapped does not open again.
    #[error("{0} does not open what it has just wrapped: nothing was changed")]
    OneWay(String),
    /// It cannot be sealed.
    #[error("cannot seal the master key")]
    Seal(#[source] CryptoError),
}

impl RootKeyError {
    /// Whether waiting may help: the key is not there, rather than wrong.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Missing(_)
            | Self::Empty(_)
            | Self::Read(..)
            | Self::CommandStart(..)
            | Self::CommandTime(..)
            | Self::CommandFailed(..)
            | Self::CommandAnswer(..) => true,
            Self::Write(..)
            | Self::Mode(..)
            | Self::Content(_)
            | Self::Descriptor(..)
            | Self::DescriptorKind(_)
            | Self::NoCommand
            | Self::OneWay(_)
            | Self::Seal(_) => false,
        }
    }
}

impl RootKey {
    /// Takes 32 random bytes for the key.
    pub fn from_bytes(bytes: Key) -> Self {
        Self(Kind::Local(bytes))
    }

    /// Reads a key file: 32 bytes raw, as hex, or as base64. Nobody but the owner and the group may read it.
    pub fn read(path: &Path) -> Result<Self, RootKeyError> {
        file::read(path).map(Self::from_bytes)
    }

    /// Reads the key file, or makes it when there is none. Says whether it was made.
    pub fn read_or_make(path: &Path, entropy: &dyn Entropy) -> Result<(Self, bool), RootKeyError> {
        match Self::read(path) {
            Err(RootKeyError::Missing(_)) => Ok((Self::from_bytes(file::make(path, entropy)?), true)),
            read => Ok((read?, false)),
        }
    }

    /// Reads a descriptor that was inherited, and closes it. Has to be called before the process opens files.
    pub fn from_descriptor(fd: RawFd) -> Result<Self, RootKeyError> {
        descriptor::read(fd).map(Self::from_bytes)
    }

    /// A program and its arguments, split at white space, that wraps and unwraps.
    pub fn command(line: &str) -> Result<Self, RootKeyError> {
        Command::parse(line).map(|it| Self(Kind::Command(it))).ok_or(RootKeyError::NoCommand)
    }

    /// Which key it is, without giving anything of it away.
    pub fn describe(&self) -> String {
        match &self.0 {
            Kind::Local(key) => {
                let name: String = hex(&*derive(key, "name the root key")).chars().take(16).collect();
                format!("root key {name}")
            }
            Kind::Command(command) => format!("root key command {}", command.program().display()),
        }
    }

    /// The key itself, of one that is here: what databases of earlier releases were sealed with.
    pub(super) fn bytes(&self) -> Option<&Key> {
        match &self.0 {
            Kind::Local(key) => Some(key),
            Kind::Command(_) => None,
        }
    }

    /// Whether a description tells this key from every other.
    pub(super) fn has_name(&self) -> bool {
        matches!(self.0, Kind::Local(_))
    }

    /// Wraps the master key of an installation.
    pub(super) async fn wrap(
        &self,
        installation: &str,
        master: &Key,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, RootKeyError> {
        match &self.0 {
            Kind::Local(key) => envelope::seal(&wrapping(key), Place::Master(installation), &**master, entropy)
                .map_err(RootKeyError::Seal),
            Kind::Command(command) => Ok(command.run(Operation::Wrap, &**master).await?.to_vec()),
        }
    }

    /// Unwraps the master key of an installation. None: this key did not wrap it, or it was changed since.
    pub(super) async fn unwrap(&self, installation: &str, wrapped: &[u8]) -> Result<Option<Key>, RootKeyError> {
        match &self.0 {
            Kind::Local(key) => Ok(envelope::open_key(&wrapping(key), Place::Master(installation), wrapped).ok()),
            Kind::Command(command) => {
                let opened = command.run(Operation::Unwrap, wrapped).await?;
                let mut key: Key = Zeroizing::new([0; 32]);
                if opened.len() != key.len() {
                    return Ok(None);
                }
                key.copy_from_slice(&opened);
                Ok(Some(key))
            }
        }
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey")
    }
}

fn wrapping(key: &Key) -> Key {
    derive(key, "wrap the master key")
}

/// Under another salt than what follows from a master key: of old databases the two have the same bytes.
fn derive(key: &Key, purpose: &str) -> Key {
    let mut derived = Zeroizing::new([0; 32]);
    // 32 bytes are far below what HKDF can expand to, so this cannot fail.
    let expanded =
        Hkdf::<Sha256>::new(Some(b"sikkerkey-root-key-v2"), &**key).expand(purpose.as_bytes(), &mut *derived);
    debug_assert!(expanded.is_ok());
    derived
}
