//! A machine's identity on disk, where the official SDKs keep and look for it (`protocol.md` 1.1 to 1.6): a host that was
//! bootstrapped has one, and the commands that sign as a host use it.

mod private_key;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sikkerkey_protocol::id::{IdError, MachineId, VaultId};
use sikkerkey_protocol::key::MachineKey;
use zeroize::Zeroizing;

pub use self::private_key::PrivateKeyError;
use crate::client::{Origin, OriginError, Signer};

/// The name of the file in a vault's directory, and what tells a path from a vault id.
const FILE: &str = "identity.json";
/// The largest file that is read. Both have less than a KiB.
const MAX_FILE: u64 = 64 << 10;

/// Why there is no identity. Each names the file and says what to do; none tells what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// Nothing says where to look.
    #[error("neither SIKKERKEY_HOME nor HOME is set: name the identity with --identity /path/to/{FILE}")]
    NoHome,
    /// The argument names nothing.
    #[error("{0:?} names no identity: give the path of an {FILE}, or a vault id such as vault_a1b2c3d4e5")]
    NotAVault(String),
    /// The directory of vaults cannot be listed.
    #[error("cannot look for identities in {directory}: name one with --identity /path/to/{FILE}")]
    List {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This host was never bootstrapped.
    #[error(
        "there is no identity in {0}: bootstrap this machine first, or name an identity with --identity /path/to/{FILE}"
    )]
    None(PathBuf),
    /// This host is a machine of several vaults.
    #[error("there are identities of several vaults in {directory}: choose with --identity one of {}", vaults.join(", "))]
    Several {
        /// Where.
        directory: PathBuf,
        /// Whose.
        vaults: Vec<String>,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The identity is not JSON.
    #[error("{path} is not a JSON object (line {line}, column {column}): bootstrap this machine anew")]
    NotJson {
        /// Which.
        path: PathBuf,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// A key is missing, or is no text.
    #[error(
        "{path} has no text under {key}: an identity has machineId, machineName, vaultId, apiUrl and privateKeyPath"
    )]
    NoText {
        /// Which.
        path: PathBuf,
        /// Under which key.
        key: &'static str,
    },
    /// An id is none.
    #[error("{path}: its {key} is refused")]
    Id {
        /// Which.
        path: PathBuf,
        /// Under which key.
        key: &'static str,
        /// Why.
        source: IdError,
    },
    /// There is no server there.
    #[error("{path}: its apiUrl is refused")]
    Url {
        /// Which.
        path: PathBuf,
        /// Why.
        source: OriginError,
    },
    /// Plain HTTP that the SDKs would refuse.
    #[error("{0}: its apiUrl is refused: write https://…, or http://localhost[:PORT] for a server on this machine")]
    NotLocalhost(PathBuf),
    /// The key cannot be used.
    #[error("{path} cannot be used")]
    PrivateKey {
        /// Which.
        path: PathBuf,
        /// Why.
        source: PrivateKeyError,
    },
}

/// A machine's identity as it stood on disk, with its key in memory that is wiped.
#[derive(Debug)]
pub struct IdentityFile {
    machine_id: MachineId,
    machine_name: String,
    vault_id: VaultId,
    server: Origin,
    key: MachineKey,
    /// What its owner should know.
    warning: Option<String>,
}

impl IdentityFile {
    /// Finds and reads the identity that `which` names, as the SDKs do it: a path; a vault id; else what the environment
    /// names; else the only one there is.
    pub fn open(which: Option<&str>, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, IdentityFileError> {
        Self::read(&find(which, variable)?)
    }

    fn read(path: &Path) -> Result<Self, IdentityFileError> {
        let text = read_file(path)?.1;
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text).map_err(|error| {
            IdentityFileError::NotJson { path: path.to_owned(), line: error.line(), column: error.column() }
        })?;
        let field = |key: &'static str| {
            let text = object.get(key).and_then(serde_json::Value::as_str).map(str::trim);
            text.filter(|text| !text.is_empty()).ok_or(IdentityFileError::NoText { path: path.to_owned(), key })
        };
        let bad_id = |key| move |source| IdentityFileError::Id { path: path.to_owned(), key, source };
        let machine_id = field("machineId")?.parse().map_err(bad_id("machineId"))?;
        let machine_name = crate::client::printable(field("machineName")?);
        let vault_id = field("vaultId")?.parse().map_err(bad_id("vaultId"))?;
        let server = Origin::parse(field("apiUrl")?)
            .map_err(|source| IdentityFileError::Url { path: path.to_owned(), source })?;
        if !server.is_encrypted() && server.host() != "localhost" {
            return Err(IdentityFileError::NotLocalhost(path.to_owned()));
        }
        let key_path = Path::new(field("privateKeyPath")?);
        let (mode, pem) = read_file(key_path)?;
        let key = private_key::parse(&pem)
            .map_err(|source| IdentityFileError::PrivateKey { path: key_path.to_owned(), source })?;
        let warning = (mode & 0o066 != 0).then(|| {
            let key_path = key_path.display();
            format!("others can read or write the private key {key_path} (mode {mode:04o}): chmod 600 {key_path}")
        });
        Ok(Self { machine_id, machine_name, vault_id, server, key, warning })
    }

    /// Which machine it is.
    pub fn machine_id(&self) -> &MachineId {
        &self.machine_id
    }

    /// Its name, for a person.
    pub fn machine_name(&self) -> &str {
        &self.machine_name
    }

    /// Of which vault.
    pub fn vault_id(&self) -> &VaultId {
        &self.vault_id
    }

    /// Its server.
    pub fn server(&self) -> &Origin {
        &self.server
    }

    /// Signs as this machine.
    pub fn signer(&self) -> Signer<'_> {
        Signer { machine_id: &self.machine_id, key: &self.key }
    }

    /// What its owner should know.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

/// Where the identity is that `which` names.
fn find(which: Option<&str>, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, IdentityFileError> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    match which {
        Some(path) if path.starts_with('/') || path.contains(FILE) => return Ok(path.into()),
        Some(vault) => {
            let prefixed = if vault.starts_with("vault_") { vault.to_owned() } else { format!("vault_{vault}") };
            // Parsed, because it becomes part of a path.
            let id: VaultId = prefixed.parse().map_err(|_| IdentityFileError::NotAVault(vault.to_owned()))?;
            return Ok(vaults(set)?.join(id.as_str()).join(FILE));
        }
        None => {}
    }
    if let Some(path) = set("SIKKERKEY_IDENTITY") {
        return Ok(path.into());
    }
    let directory = vaults(set)?;
    let mut found = identities(&directory)?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(IdentityFileError::None(directory)),
        (Some(only), true) => Ok(directory.join(only).join(FILE)),
        (Some(last), false) => {
            found.push(last);
            let mut vaults: Vec<_> = found.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            vaults.sort_unstable();
            Err(IdentityFileError::Several { directory, vaults })
        }
    }
}

fn vaults(set: impl Fn(&'static str) -> Option<OsString>) -> Result<PathBuf, IdentityFileError> {
    let base = set("SIKKERKEY_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".sikkerkey")))
        .ok_or(IdentityFileError::NoHome)?;
    Ok(base.join("vaults"))
}

/// The names of the directories that hold an identity.
fn identities(directory: &Path) -> Result<Vec<OsString>, IdentityFileError> {
    let failed = |source| IdentityFileError::List { directory: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(failed)?,
    };
    let has_identity = |name: &OsStr| directory.join(name).join(FILE).is_file();
    let mut names = vec![];
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if has_identity(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The permission bits of a file and what it holds, in memory that is wiped.
fn read_file(path: &Path) -> Result<(u32, Zeroizing<Vec<u8>>), IdentityFileError> {
    let failed = |source| IdentityFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    // As large as it can become: a buffer that grows leaves its old self behind unwiped.
    let size = usize::try_from(metadata.len().min(MAX_FILE)).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + 64));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok((metadata.permissions().mode() & 0o7777, bytes))
}

#[cfg(test)]
mod tests;
