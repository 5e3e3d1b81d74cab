//! The root key: 32 bytes from outside the database.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

use crate::entropy::{self, Entropy};

/// The root key. Wiped when dropped.
pub struct RootKey(Zeroizing<[u8; 32]>);

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
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
        "the root key file {0} must hold 32 bytes: raw, as 64 hex digits, or as base64; `openssl rand -hex 32` makes one"
    )]
    Content(PathBuf),
}

impl RootKey {
    /// Takes 32 random bytes for the key.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    /// Reads a key file: 32 bytes raw, as hex, or as base64. Nobody but the owner and the group may read it.
    pub fn read(path: &Path) -> Result<Self, RootKeyError> {
        let failed = |error| RootKeyError::Read(path.to_owned(), error);
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        // A Secret volume with an fsGroup is 0440: the group is the pod's own. Pipes and the like have no say.
        if mode & 0o037 != 0 && file.metadata().map_err(failed)?.is_file() {
            return Err(RootKeyError::Mode(path.to_owned(), mode));
        }
        let mut content = Zeroizing::new(Vec::with_capacity(128));
        Read::take(file, 128).read_to_end(&mut content).map_err(failed)?;
        parse(&content).map(Self).ok_or_else(|| RootKeyError::Content(path.to_owned()))
    }

    /// Reads the key file, or makes it when there is none. Says whether it was made.
    pub fn read_or_make(path: &Path, entropy: &dyn Entropy) -> Result<(Self, bool), RootKeyError> {
        if path.exists() {
            return Ok((Self::read(path)?, false));
        }
        let failed = |error| RootKeyError::Write(path.to_owned(), error);
        let key = Self(entropy::bytes(entropy));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let text = Zeroizing::new(hex(&*key.0));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|it| it.sync_all()).map_err(failed)?;
        }
        Ok((key, true))
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey")
    }
}

fn parse(content: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if let Ok(raw) = <[u8; 32]>::try_from(content) {
        return Some(Zeroizing::new(raw));
    }
    let text = std::str::from_utf8(content).ok()?.trim();
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() == 64 {
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        return Some(bytes);
    }
    let mut decoded = STANDARD.decode(text).ok()?;
    let fits = decoded.len() == 32;
    if fits {
        bytes.copy_from_slice(&decoded);
    }
    decoded.zeroize();
    fits.then_some(bytes)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn raw_hex_and_base64_are_the_same_key() {
        let raw: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        let hex = hex(&raw);
        for content in [raw.to_vec(), format!("{hex}\n").into_bytes(), STANDARD.encode(raw).into_bytes()] {
            assert_eq!(*parse(&content).unwrap(), raw);
        }
        for bad in ["", "short", &hex[1..], &format!("{hex}00"), &"z".repeat(64)] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        let (_, made) = RootKey::read_or_make(&path, &SystemEntropy).unwrap();
        assert!(made);
        assert!(!RootKey::read_or_make(&path, &SystemEntropy).unwrap().1);
        for mode in [0o644, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(RootKey::read(&path), Err(RootKeyError::Mode(_, it)) if it == mode), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        RootKey::read(&path).unwrap();
    }
}
