//! A root key in a file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

use super::RootKeyError;
use crate::crypto::envelope::Key;
use crate::entropy::{self, Entropy};

/// No way of writing 32 bytes takes more.
const LONGEST: u64 = 128;

/// Reads 32 bytes raw, as hex, or as base64. Nobody but the owner and the group may read the file.
pub(super) fn read(path: &Path) -> Result<Key, RootKeyError> {
    let failed = |error| RootKeyError::Read(path.to_owned(), error);
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => RootKeyError::Missing(path.to_owned()),
        _ => failed(error),
    })?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    // A Secret volume with an fsGroup is 0440: the group is the pod's own. Pipes and the like have no say.
    if mode & 0o037 != 0 && metadata.is_file() {
        return Err(RootKeyError::Mode(path.to_owned(), mode));
    }
    let content = content(file).map_err(failed)?;
    // Somebody is about to write it.
    if content.is_empty() {
        return Err(RootKeyError::Empty(path.to_owned()));
    }
    parse(&content).ok_or_else(|| RootKeyError::Content(format!("file {}", path.display())))
}

/// Makes a key file. One that is there stays as it is, and this fails.
pub(super) fn make(path: &Path, entropy: &dyn Entropy) -> Result<Key, RootKeyError> {
    let failed = |error| RootKeyError::Write(path.to_owned(), error);
    let key = entropy::bytes::<32>(entropy);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let text = Zeroizing::new(hex(&*key));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    if let Some(directory) = path.parent() {
        File::open(directory).and_then(|it| it.sync_all()).map_err(failed)?;
    }
    Ok(key)
}

/// All of a key, and little more of what is none.
pub(super) fn content(file: File) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::with_capacity(256));
    Read::take(file, LONGEST).read_to_end(&mut content)?;
    Ok(content)
}

pub(super) fn parse(content: &[u8]) -> Option<Key> {
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

pub(in crate::crypto) fn hex(bytes: &[u8]) -> String {
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
        assert!(matches!(read(&path), Err(RootKeyError::Missing(_))));
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(read(&path), Err(RootKeyError::Empty(_))));
        assert!(matches!(make(&path, &SystemEntropy), Err(RootKeyError::Write(..))));
        std::fs::remove_file(&path).unwrap();
        let made = make(&path, &SystemEntropy).unwrap();
        assert_eq!(*read(&path).unwrap(), *made);
        for mode in [0o644, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path), Err(RootKeyError::Mode(_, it)) if it == mode), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        read(&path).unwrap();
    }
}
