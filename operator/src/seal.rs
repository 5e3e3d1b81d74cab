//! `sikkerkey-operator seal`: encrypts a value that is to stand in Git. Works with a public key alone, away from server and
//! cluster.
//!
//! The value comes from standard input or a file, never from an argument, which every process of the machine could see and
//! a shell would remember. What holds it is wiped.

mod value;

use std::fs;
use std::io::{IsTerminal, stderr, stdin};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgGroup, Args, ValueEnum};
use serde_json::json;
use sikkerkey_crds::names::{GROUP, VERSION};
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::sealed::{self, Binding, Content, PublishedKey, SUITE, SealError};
use sikkerkey_protocol::secret_text::SecretText;

pub use self::value::FieldFile;
use self::value::{Sources, Value, ValueError};
use crate::clock::Clock;
use crate::dns::{is_label, is_name};
use crate::server::ServerUrl;
use crate::server::published_key::{self, PublishedKeyError};
use crate::yaml;

/// The largest key file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What is sealed, and for what.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("from").required(true)), group(ArgGroup::new("where").required(true)))]
pub struct SealOptions {
    /// File with the public key, which sikkerkey-server admin sealing-key show prints
    #[arg(long, value_name = "FILE", group = "from")]
    pub key: Option<PathBuf>,
    /// Origin of the server, which publishes the key; needs --vault
    #[arg(long, value_name = "URL", group = "from", requires = "vault")]
    pub server: Option<ServerUrl>,
    /// Certificate authority of the server, PEM; left out: those that this system trusts
    #[arg(long, value_name = "FILE", requires = "server")]
    pub ca: Option<PathBuf>,
    /// The vault; with --key it is in the file, and only compared
    #[arg(long, value_name = "ID")]
    pub vault: Option<VaultId>,
    /// Name of the cluster at the server: the value opens there alone
    #[arg(long, value_name = "NAME", group = "where")]
    pub cluster: Option<String>,
    /// The value opens in every cluster of the vault
    #[arg(long, group = "where")]
    pub any_cluster: bool,
    /// Namespace of the Secret
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: String,
    /// Name of the Secret, as it is in the cluster: with the prefix that Kustomize adds, if one does
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Whether the value opens under that name only, or under any name of the namespace
    #[arg(long, value_name = "SCOPE", value_enum, default_value_t = Scope::Name)]
    pub scope: Scope,
    /// A field of a structured value, from a file (- for standard input); repeatable. Left out: one value without fields
    #[arg(long = "field", value_name = "NAME=FILE", conflicts_with = "value_file")]
    pub fields: Vec<FieldFile>,
    /// File with the value, or - for standard input even if that is a terminal
    #[arg(long, value_name = "FILE")]
    pub value_file: Option<PathBuf>,
    /// What to print
    #[arg(long, value_name = "OUTPUT", value_enum, default_value_t = Output::Yaml)]
    pub output: Output,
}

/// For what a value is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// One name in one namespace.
    #[value(name = "Name", alias = "name")]
    Name,
    /// Any name in one namespace.
    #[value(name = "Namespace", alias = "namespace")]
    Namespace,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The Secret object.
    Yaml,
    /// What belongs into its `spec.source.sealed.ciphertext`.
    Ciphertext,
}

/// Why nothing was sealed. Says nothing about the value.
#[derive(Debug, thiserror::Error)]
pub enum SealCommandError {
    /// A file cannot be read.
    #[error("cannot read {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// It is no key file.
    #[error("{0} is not a sealing key: sikkerkey-server admin sealing-key show --vault ID prints one")]
    KeyFile(PathBuf, #[source] serde_json::Error),
    /// Another vault's.
    #[error("the key is of vault {is}, and --vault says {said}")]
    OtherVault {
        /// The key's.
        is: VaultId,
        /// What was said.
        said: VaultId,
    },
    /// A way to seal that is not known.
    #[error("the key is for {0}, which this version does not know: use a newer sikkerkey-operator")]
    Suite(String),
    /// The key's name could not stand in an object.
    #[error("the key has an id that no object can name: get the key from the server again")]
    KeyId,
    /// A name that no object has.
    #[error("{option} {text:?} is not {expected}")]
    Name {
        /// Which argument.
        option: &'static str,
        /// What it was.
        text: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// The value cannot be taken.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The key cannot be had.
    #[error("cannot get the sealing key from the server")]
    Published(#[from] PublishedKeyError),
    /// It cannot be encrypted.
    #[error("cannot seal the value")]
    Seal(#[from] SealError),
    /// No random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// YAML refused.
    #[error("could not write YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Seals what the options name; the text to print.
pub async fn run(options: &SealOptions) -> Result<String, SealCommandError> {
    check_names(options)?;
    let key = key(options).await?;
    let sources = Sources { fields: &options.fields, value_file: options.value_file.as_deref() };
    let value = value::read(sources, &mut stdin().lock(), stdin().is_terminal())?;
    if value.ends_with_line_break {
        say("the value ends with a line break, which is sealed with it: printf '%s' makes one without");
    }
    with_random(|fill| print(options, &key, &value, Clock::system().unix_millis(), fill))
}

/// Seals with random bytes. What was sealed without is thrown away.
fn with_random<T>(
    seal: impl FnOnce(&mut dyn FnMut(&mut [u8])) -> Result<T, SealCommandError>,
) -> Result<T, SealCommandError> {
    let mut failed = None;
    let sealed = seal(&mut |bytes| failed = getrandom::fill(bytes).err().or(failed));
    failed.map_or(sealed, |error| Err(SealCommandError::Random(error)))
}

#[expect(clippy::print_stderr, reason = "a command line tells its person something beside its output")]
fn say(note: &str) {
    if stderr().is_terminal() {
        eprintln!("note: {note}");
    }
}

async fn key(options: &SealOptions) -> Result<PublishedKey, SealCommandError> {
    let key = match (&options.key, &options.server, &options.vault) {
        (None, Some(server), Some(vault)) => {
            let ca = options.ca.as_deref().map(text_of).transpose()?;
            published_key::fetch(server, ca.as_deref(), vault).await?
        }
        (path, ..) => {
            // One of the two is required.
            let path = path.as_deref().unwrap_or(Path::new(""));
            key_in(path)?
        }
    };
    check_key(key, options.vault.as_ref())
}

fn key_in(path: &Path) -> Result<PublishedKey, SealCommandError> {
    serde_json::from_str(&text_of(path)?).map_err(|error| SealCommandError::KeyFile(path.to_owned(), error))
}

fn check_key(key: PublishedKey, said: Option<&VaultId>) -> Result<PublishedKey, SealCommandError> {
    if let Some(said) = said.filter(|it| **it != key.vault) {
        return Err(SealCommandError::OtherVault { is: key.vault, said: said.clone() });
    }
    if key.suite != SUITE {
        return Err(SealCommandError::Suite(key.suite));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !(1..=64).contains(&key.key_id.len()) || !key.key_id.bytes().all(plain) {
        return Err(SealCommandError::KeyId);
    }
    Ok(key)
}

fn text_of(path: &Path) -> Result<String, SealCommandError> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    read.map(|_| text).map_err(|error| SealCommandError::File(path.to_owned(), error))
}

fn check_names(options: &SealOptions) -> Result<(), SealCommandError> {
    check_object(&options.namespace, &options.name)?;
    check_cluster(options.cluster.as_deref())
}

fn refuse(option: &'static str, text: &str, expected: &'static str) -> Result<(), SealCommandError> {
    Err(SealCommandError::Name { option, text: text.to_owned(), expected })
}

fn check_object(namespace: &str, name: &str) -> Result<(), SealCommandError> {
    if !is_label(namespace) {
        return refuse("--namespace", namespace, "the name of a Kubernetes namespace");
    }
    if !is_name(name) {
        return refuse("--name", name, "the name of a Kubernetes object");
    }
    Ok(())
}

fn check_cluster(cluster: Option<&str>) -> Result<(), SealCommandError> {
    match cluster {
        Some(cluster) if cluster.is_empty() || cluster.len() > 255 => {
            refuse("--cluster", cluster, "the name of a cluster: sikkerkey-server admin cluster list shows them")
        }
        _ => Ok(()),
    }
}

/// Seals values for Secrets of one cluster, or of any, with a key from a file.
#[derive(Debug)]
pub struct Sealer {
    key: PublishedKey,
    cluster: Option<String>,
}

impl Sealer {
    /// With the key in the file at `path`; for the cluster of that name at the server, or for any.
    pub fn new(path: &Path, cluster: Option<&str>) -> Result<Self, SealCommandError> {
        check_cluster(cluster)?;
        Ok(Self { key: check_key(key_in(path)?, None)?, cluster: cluster.map(str::to_owned) })
    }

    /// `spec.source.sealed` of the Secret (sks) `name` in `namespace`. `field_names` are those of a structured value.
    pub fn source(
        &self,
        namespace: &str,
        name: &str,
        field_names: Vec<String>,
        value: &SecretText,
        now_millis: i64,
    ) -> Result<serde_json::Value, SealCommandError> {
        check_object(namespace, name)?;
        let binding = Binding {
            vault: &self.key.vault,
            key_id: &self.key.key_id,
            cluster: self.cluster.as_deref(),
            namespace,
            name: Some(name),
        };
        let content = Content { sealed_at: now_millis, field_names, value: value.clone() };
        let sealed = with_random(|fill| Ok(sealed::seal(&self.key.public_key, &binding, &content, fill)?))?;
        Ok(json!({ "keyID": self.key.key_id, "ciphertext": STANDARD.encode(sealed) }))
    }
}

/// The text to print. Pure.
fn print(
    options: &SealOptions,
    key: &PublishedKey,
    value: &Value,
    now_millis: i64,
    fill: impl FnMut(&mut [u8]),
) -> Result<String, SealCommandError> {
    let binding = Binding {
        vault: &key.vault,
        key_id: &key.key_id,
        cluster: options.cluster.as_deref(),
        namespace: &options.namespace,
        name: (options.scope == Scope::Name).then_some(&options.name),
    };
    let content = value.content(now_millis);
    let ciphertext = STANDARD.encode(sealed::seal(&key.public_key, &binding, &content, fill)?);
    if options.output == Output::Ciphertext {
        return Ok(format!("{ciphertext}\n"));
    }
    let mut sealed = json!({ "keyID": key.key_id, "ciphertext": ciphertext });
    if options.scope == Scope::Namespace
        && let Some(sealed) = sealed.as_object_mut()
    {
        sealed.insert("scope".to_owned(), "Namespace".into());
    }
    Ok(yaml::printed(&json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "Secret",
        "metadata": { "name": options.name, "namespace": options.namespace },
        "spec": { "source": { "sealed": sealed } },
    }))?)
}

#[cfg(test)]
mod tests;
