//! Backups, and what is made of them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use sikkerkey_protocol::id::SecretId;

use super::Answer;
use super::command::Restore;
use super::execute::{Desk, through};
use crate::cli::RootKeyArguments;
use crate::clock::{Clock, DatabaseClock, SystemClock};
use crate::crypto::keyring::Keyring;
use crate::crypto::root_key::{RootKey, Source};
use crate::engine::DataPlace;
use crate::entropy::SystemEntropy;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::store::backup::{self, BackupError, RestoreError, Written};
use crate::usecase::admin::{restore, secret};

/// Writes a file that is there as a whole and holds, or not at all.
pub(super) async fn back_up(desk: Desk<'_>, out: &Path) -> Result<Answer, String> {
    if out.exists() {
        return Err(taken(out));
    }
    let mut new = out.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // Of a backup that was cut off.
    drop(std::fs::remove_file(&new));
    let written = match write(desk, &new).await {
        Ok(written) => put(&new, out).map(|()| written).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(out),
            _ => format!("cannot write the backup {}: {error}", out.display()),
        }),
        Err(error) => Err(format!("cannot write the backup {}: {error}", out.display())),
    };
    drop(std::fs::remove_file(&new));
    let Written { header, rows } = written?;
    let text = format!(
        "{rows} rows are in {}, as of {}: it is useless without the root key that wraps the master key now, so keep that \
         one as well, elsewhere. It holds no nonces, and `admin restore` makes data of it in an empty place",
        out.display(),
        instant(header.time)
    );
    let json = json!({
        "file": out,
        "rows": rows,
        "installation": header.installation,
        "group": header.group,
        "time": instant(header.time),
    });
    Ok(Answer::new(json, text))
}

fn taken(out: &Path) -> String {
    format!("{} is there already: give a new file", out.display())
}

async fn write(desk: Desk<'_>, new: &Path) -> Result<Written, String> {
    let app = desk.app;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new).map_err(|it| it.to_string())?;
    let written = app.records.back_up(&app.keyring, app.clock.now(), BufWriter::new(file)).await;
    let written = written.map_err(|error| match error {
        BackupError::Write(error) => error.to_string(),
        BackupError::Store(error) => told(&error),
    })?;
    // Away from those who answer requests: it may be large.
    let (keyring, new) = (Arc::clone(&app.keyring), new.to_owned());
    let checked = tokio::task::spawn_blocking(move || check(keyring, &new)).await.map_err(|it| it.to_string())?;
    if checked? == written { Ok(written) } else { Err("what was written is not what is in the file".to_owned()) }
}

/// Puts a file on the disk, reads it back and checks it.
fn check(keyring: Arc<Keyring>, path: &Path) -> Result<Written, String> {
    let file = File::open(path).and_then(|file| file.sync_all().map(|()| file)).map_err(|it| it.to_string())?;
    backup::check(keyring, BufReader::new(file)).map_err(|error| told(&error))
}

/// Unlike a rename, a link never replaces what is there.
fn put(new: &Path, out: &Path) -> io::Result<()> {
    std::fs::hard_link(new, out)?;
    let directory = out.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Makes the data of a backup in an empty place, and begins a new epoch in it.
pub(super) async fn restore(place: DataPlace, root_key: RootKeyArguments, what: &Restore) -> anyhow::Result<Answer> {
    let (root, beside) = root(&place, root_key)?;
    let file = File::open(&what.from).with_context(|| format!("cannot read the backup {}", what.from.display()))?;
    let clock: Box<dyn Clock> = match &place {
        DataPlace::Directory(_) => Box::new(SystemClock),
        DataPlace::Postgres(_) => Box::new(DatabaseClock::new(SystemClock)),
    };
    let database = place.open()?;
    let name = what.from.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let begin = |it: backup::Reopened<'_>| restore::begin(&it, &name);
    let restored =
        backup::restore(&database, &root, BufReader::new(file), (&*clock, &SystemEntropy), what.epoch, begin).await;
    let it = restored.map_err(|error| {
        let is_of_file = !matches!(error, RestoreError::Store(_) | RestoreError::NotEmpty);
        let error = anyhow::Error::new(error);
        if is_of_file { error.context(format!("{} is not restored", what.from.display())) } else { error }
    })?;
    let (header, done) = (it.backup.header, it.answer);
    let mut lines = vec![
        format!(
            "{} rows of installation {} as of {} are restored; epoch {} begins after row {} of the audit",
            it.backup.rows,
            header.installation,
            instant(header.time),
            it.epoch,
            it.continues.seq
        ),
        format!(
            "{} machines of pods and enrolment tokens and {} agents of clusters are removed and log in again by themselves; \
             {} one-time and enrolment tokens, {} grants and {} policies of cluster objects are removed: operators apply \
             those that still exist",
            done.machines_removed,
            done.agents_removed,
            done.tokens_removed,
            done.grants_removed,
            done.policies_removed
        ),
        format!(
            "{} machines and {} agents wait for `admin machine approve` and `admin agent approve`; {} secrets whose reads are \
             limited wait for `admin secret release`",
            done.machines_pending, done.agents_pending, done.secrets_held
        ),
        "what a person did since the backup has to be done again: fleets and pods denied, accounts suspended, passwords and \
         second factors changed, members removed, keys of clusters changed, projects frozen, secrets deleted, address \
         allowlists narrowed, policies tightened or protected, grants and policies of no object"
            .to_owned(),
        "requests are refused with 401 for the first minute; a server with --audit-anchor needs --accept-restored once"
            .to_owned(),
    ];
    if !beside {
        lines.push("the server needs the root key that was given here".to_owned());
    }
    let json = json!({
        "rows": it.backup.rows,
        "installation": header.installation,
        "made": instant(header.time),
        "epoch": it.epoch,
        "continues": it.continues.seq,
        "machinesRemoved": done.machines_removed,
        "machinesPending": done.machines_pending,
        "agentsRemoved": done.agents_removed,
        "agentsPending": done.agents_pending,
        "tokensRemoved": done.tokens_removed,
        "grantsRemoved": done.grants_removed,
        "policiesRemoved": done.policies_removed,
        "secretsHeld": done.secrets_held,
    });
    Ok(Answer::new(json, lines.join("\n")))
}

/// Lets a secret be read again that is held.
pub(super) async fn release(desk: Desk<'_>, id: SecretId) -> Result<Answer, Refusal> {
    let done = format!("{id} may be read again");
    through(desk, "secret release", move |it| secret::release(it, &id)).await?;
    Ok(Answer::done(done))
}

/// The root key, and whether it lies beside the data. One that is made now would open nothing.
fn root(place: &DataPlace, arguments: RootKeyArguments) -> anyhow::Result<(Arc<RootKey>, bool)> {
    Ok(match (arguments.into_source()?, place) {
        (Source::Given(key), _) => (key, false),
        (Source::File(path), _) => (Arc::new(RootKey::read(&path)?), false),
        (Source::Beside, DataPlace::Directory(directory)) if directory.join("root.key").exists() => {
            (Arc::new(RootKey::read(&directory.join("root.key"))?), true)
        }
        (Source::Beside, _) => anyhow::bail!(
            "give the root key that the backed up server had: --root-key-file, --root-key-fd or --root-key-command"
        ),
    })
}

/// An error for a person at the server, with its cause.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
