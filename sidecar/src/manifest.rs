//! What stands in the volume: `..manifest.json`, inside each set of files and swapped in with it.
//!
//! No value is in it, but a checksum of each file, by which a short value can be guessed. So it is as strict as the
//! strictest file beside it: whoever may read it may read them all. Its name is none that a Machine can give a file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::SecretId;

/// Its name, in a set and in the volume.
pub const NAME: &str = "..manifest.json";
/// The largest that is read: 64 files with a few inputs each have less.
pub const MAX_SIZE: u64 = 256 << 10;
/// The sidecar itself goes on from it.
const OWNER_READS: u32 = 0o400;

/// A set of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// When the set was put in place, in RFC 3339.
    pub time: String,
    /// Which delivery it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_revision: Option<String>,
    /// The files, by their paths.
    pub files: Vec<Entry>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Where, below the volume.
    pub path: String,
    /// Permission bits, in octal.
    pub mode: String,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// What it was made of; empty where an earlier version of the sidecar wrote it.
    pub secrets: Vec<SecretVersion>,
}

/// A version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretVersion {
    /// Its id at the server.
    pub id: SecretId,
    /// Namespace of the Secret object.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The one field that was taken of it, if it was not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Which version.
    pub version: u64,
}

/// Something that is taken of a secret, of whichever version: namespace, name and field.
pub type Part<'a> = (&'a str, &'a str, Option<&'a str>);

impl SecretVersion {
    /// What of a secret it is a version of.
    pub fn part(&self) -> Part<'_> {
        (&self.namespace, &self.name, self.field.as_deref())
    }
}

impl Manifest {
    /// Whether it says the same of the files.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (&self.delivery_revision, &self.files) == (&other.delivery_revision, &other.files)
    }

    /// What a file was made of.
    pub fn secrets_of(&self, path: &str) -> Vec<SecretVersion> {
        self.files.iter().find(|entry| entry.path == path).map(|entry| entry.secrets.clone()).unwrap_or_default()
    }

    /// What its files were made of.
    pub fn into_secrets(self) -> Vec<SecretVersion> {
        self.files.into_iter().flat_map(|entry| entry.secrets).collect()
    }

    /// Whether a file was made of these very parts of secrets, of whichever versions.
    pub fn is_made_of(&self, path: &str, parts: &BTreeSet<Part<'_>>) -> bool {
        let entry = self.files.iter().find(|entry| entry.path == path);
        entry.is_some_and(|entry| entry.secrets.iter().map(SecretVersion::part).collect::<BTreeSet<_>>() == *parts)
    }

    /// Its permission bits: those that every file has.
    pub fn mode(&self) -> u32 {
        let modes = self.files.iter().map(|entry| u32::from_str_radix(&entry.mode, 8).unwrap_or(0));
        modes.fold(0o444, |all, mode| all & mode) | OWNER_READS
    }

    /// The file's text.
    pub fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

/// Permission bits as they are written down.
pub fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_strict_as_the_strictest_file() {
        let mode = |modes: &[u32]| {
            let entry = |mode: &u32| Entry {
                path: "a".into(),
                mode: octal(*mode),
                size: 0,
                sha256: String::new(),
                secrets: vec![],
            };
            Manifest { time: String::new(), delivery_revision: None, files: modes.iter().map(entry).collect() }.mode()
        };
        assert_eq!(mode(&[]), 0o444);
        assert_eq!(mode(&[0o444, 0o644]), 0o444);
        assert_eq!(mode(&[0o444, 0o440]), 0o440);
        assert_eq!(mode(&[0o444, 0o400]), 0o400);
        assert_eq!(mode(&[0o440, 0o004]), 0o400);
        assert_eq!(mode(&[0o777]), 0o444, "nobody writes it");
    }

    #[test]
    fn a_file_is_made_of_the_same_parts_whatever_their_order_and_versions() {
        let part = |name: &str, field: Option<&str>, version| SecretVersion {
            id: "sk_a".parse().unwrap(),
            namespace: "shop".into(),
            name: name.into(),
            field: field.map(Into::into),
            version,
        };
        let secrets = vec![part("tls", None, 3), part("db", Some("password"), 7)];
        let entry = Entry { path: "a".into(), mode: octal(0o444), size: 0, sha256: String::new(), secrets };
        let manifest = Manifest { time: String::new(), delivery_revision: None, files: vec![entry] };
        let (db, tls) = (("shop", "db", Some("password")), ("shop", "tls", None));
        for (path, parts, is_made_of) in [
            ("a", vec![db, tls], true),
            ("b", vec![db, tls], false),
            ("a", vec![db], false),
            ("a", vec![tls], false),
            ("a", vec![], false),
            ("a", vec![db, tls, ("shop", "more", None)], false),
            ("a", vec![("shop", "db", None), tls], false),
            ("a", vec![("shop", "db", Some("username")), tls], false),
            ("a", vec![("bank", "db", Some("password")), tls], false),
        ] {
            assert_eq!(manifest.is_made_of(path, &parts.iter().copied().collect()), is_made_of, "{path} {parts:?}");
        }
    }
}
