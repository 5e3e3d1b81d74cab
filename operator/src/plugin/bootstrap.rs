//! `kubectl sikkerkey bootstrap`: the command with which the host of a Machine begins.
//!
//! The one-time token is made here and printed here. What passes the API server and the operator is its hash, which the server
//! keeps for ten minutes; so nobody reads the token in an audit log of the cluster, and nothing of it is stored in an object.

use clap::{Args, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::question::{AskedKind, BootstrapQuestion, QuestionSpec};
use sikkerkey_protocol::bootstrap::{BootstrapCommand, Shell};
use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::kubernetes::HostBootstrap;
use zeroize::Zeroizing;

use super::audit::instant;
use super::cluster::{Cluster, ClusterError, ClusterOptions};
use super::question::{self, Unanswered};
use super::subject::{Subject, SubjectError, SubjectKind, named};
use super::{BOLD, Output, paint};

/// Of which Machine, and for what the command is.
#[derive(Args, Clone, Debug)]
pub(super) struct BootstrapOptions {
    /// The Machine, which has spec.host: NAME or skm/NAME
    #[arg(value_name = "MACHINE")]
    machine: String,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Where the command is typed
    #[arg(long = "for", value_name = "SYSTEM", value_enum, default_value_t = System::Unix)]
    system: System,
    /// What to print
    #[arg(short, long, value_name = "OUTPUT", value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// Where a command is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum System {
    /// Linux and macOS.
    Unix,
    /// Windows, in `PowerShell`.
    Windows,
}

/// There is no command.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// It names nothing.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The cluster does not tell.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The person may not see it.
    #[error(
        "you may not get skm/{name} in namespace {namespace}: ask for get and bootstrap on machines.sikkerkey.com there"
    )]
    Unreadable {
        /// Which Machine.
        name: String,
        /// Where.
        namespace: String,
    },
    /// It is not there.
    #[error("skm/{name} does not exist in namespace {namespace} (-n NAMESPACE looks at another): apply it first")]
    Missing {
        /// Which Machine.
        name: String,
        /// Where.
        namespace: String,
    },
    /// No token can be made.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The script for Windows takes no key.
    #[error(
        "spec.host.publicKey of skm/{0} names a key, and the script for Windows makes one of its own: take spec.host.publicKey \
         away, let the host register, and name the key that it prints"
    )]
    PinnedOnWindows(String),
    /// The operator does not answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// What came out. It holds the token, so it has no `Debug`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Begun {
    machine: String,
    namespace: String,
    /// The command, to be typed on the host.
    command: String,
    /// When it is not good any more, in Unix milliseconds.
    expires_at: i64,
    /// Whether the host has to have the key that the object names.
    is_pinned: bool,
}

/// Makes a token, and has the server know its hash.
pub(super) async fn begun(options: &BootstrapOptions) -> Result<Begun, BootstrapError> {
    let name = name(&options.machine)?;
    let cluster = Cluster::connect(&options.cluster).await?;
    let namespace = cluster.one_namespace().to_owned();
    let uid = match cluster.uid::<Machine>(&namespace, &name).await? {
        Ok(Some(uid)) => uid,
        Ok(None) => return Err(BootstrapError::Missing { name, namespace }),
        Err(_) => return Err(BootstrapError::Unreadable { name, namespace }),
    };
    let token = token()?;
    let asked = BootstrapQuestion { name: name.clone(), uid, token_hash: sha256_hex(token.as_bytes()) };
    let spec = QuestionSpec { bootstrap: Some(asked), ..QuestionSpec::default() };
    let known = question::ask::<HostBootstrap>(&cluster, &namespace, &spec).await??;
    if known.is_pinned && options.system == System::Windows {
        return Err(BootstrapError::PinnedOnWindows(name));
    }
    Ok(Begun::of(name, namespace, options.system, &token, &known))
}

/// The name of the Machine.
fn name(text: &str) -> Result<String, SubjectError> {
    if !text.contains('/') {
        return named(text);
    }
    let subject = Subject::parse(text)?;
    if subject.kind != SubjectKind::Ours(AskedKind::Machine) {
        return Err(SubjectError::Other { given: text.to_owned(), expected: "NAME or skm/NAME" });
    }
    Ok(subject.name)
}

/// 64 hex digits that nobody has had before.
fn token() -> Result<Zeroizing<String>, BootstrapError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(BootstrapError::Random)?;
    // Of random bytes, the hash is as good.
    Ok(Zeroizing::new(sha256_hex(bytes.as_slice())))
}

impl Begun {
    fn of(machine: String, namespace: String, system: System, token: &str, known: &HostBootstrap) -> Self {
        let HostBootstrap { url, authority, expires_at, is_pinned } = known;
        let command = BootstrapCommand { url, token, authority: authority.as_deref(), temporary_in: None };
        let shell = match system {
            System::Unix => Shell::Posix,
            System::Windows => Shell::PowerShell,
        };
        let command = command.text(shell);
        Self { machine, namespace, command, expires_at: *expires_at, is_pinned: *is_pinned }
    }

    /// The page.
    pub(super) fn text(&self, now: Timestamp, colour: bool) -> String {
        let Self { machine, namespace, command, expires_at, is_pinned } = self;
        let minutes = (expires_at - now.as_millisecond() + 59_999).div_euclid(60_000).max(0);
        let until = instant(*expires_at);
        let mut lines = vec![
            format!(
                "Type this on the host that is to be skm/{machine} of namespace {namespace}, as the user whose programs read"
            ),
            format!("secrets there. It works once, and until {until} ({minutes} minutes):"),
            String::new(),
            format!("  {}", paint(colour, BOLD, command)),
            String::new(),
        ];
        if *is_pinned {
            lines.push("spec.host.publicKey names the key that the host has to have: set SIKKERKEY_KEY there to the file with its".to_owned());
            lines.push("private half (PEM) before you type it.".to_owned());
        } else {
            lines.push(format!("It prints the host's key and its fingerprint. kubectl describe skm {machine} -n {namespace} shows the one that"));
            lines.push("waits: when they are the same, approve it by setting spec.host.publicKey to the key, or at the server.".to_owned());
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const NOW: i64 = 1_780_322_700_000;
    const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn begun(system: System, is_pinned: bool, authority: Option<&str>) -> Begun {
        let known = HostBootstrap {
            url: "https://sikkerkey.example.com".into(),
            authority: authority.map(str::to_owned),
            expires_at: NOW + 600_000,
            is_pinned,
        };
        Begun::of("backup".into(), "shop".into(), system, TOKEN, &known)
    }

    #[test]
    fn the_page_is_the_committed_one() {
        let now = Timestamp::from_millisecond(NOW).unwrap();
        let authority = "-----BEGIN CERTIFICATE-----\nMIIB+/8=\n-----END CERTIFICATE-----\n";
        let pages = [
            begun(System::Unix, false, None),
            begun(System::Unix, true, Some(authority)),
            begun(System::Windows, false, None),
        ];
        let text = pages.map(|page| page.text(now, false)).join("---\n");
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bootstrap.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap_or_default(), "UPDATE_GOLDEN=1 rewrites it");
    }

    #[test]
    fn a_machine_is_named_with_its_kind_or_without() {
        assert_eq!(name("backup"), Ok("backup".to_owned()));
        assert_eq!(name("skm/backup"), Ok("backup".to_owned()));
        let other = SubjectError::Other { given: "sks/db".into(), expected: "NAME or skm/NAME" };
        assert_eq!(name("sks/db"), Err(other));
        assert!(matches!(name("no name"), Err(SubjectError::Name(_))));
    }

    #[test]
    fn a_token_has_64_hex_digits_and_is_another_each_time() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert!(one.len() == 64 && one.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        assert_ne!(*one, *other);
    }
}
