//! Rows of the audit in files, and what happens to those in the database afterwards.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::steps::by_server;
use crate::anchor::Known;
use crate::app::App;
use crate::audit::entry::{Action, Entry};
use crate::audit::export::{self, Exporter, Statement};
use crate::crypto::keyring::Keyring;
use crate::model::millis::Millis;
use crate::refusal::Refusal;
use crate::store::{AuditRow, ChainHead, StoreError};

/// How many rows are read at a time.
const PAGE: u32 = 1000;
/// How many rows are dropped at a time: the writer does nothing else meanwhile.
const DROPPED: u64 = 2000;
const DAY_SECONDS: u64 = 24 * 3600;

/// Why rows are not archived.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database cannot be read.
    #[error("cannot read the rows to be archived")]
    Read(#[source] StoreError),
    /// The file cannot be written, or what was written does not hold.
    #[error("cannot write {0}")]
    Write(PathBuf, #[source] io::Error),
    /// There is a file of that day with other rows.
    #[error("{0} is there already and holds other rows: move it away")]
    Other(PathBuf),
    /// The rows cannot be dropped.
    #[error("cannot drop the rows that were archived")]
    Drop(#[source] Refusal),
}

/// What the database says about itself now.
pub async fn known(app: &App) -> Result<Known, StoreError> {
    let head = *app.writer.audit_head().borrow();
    Known::read(&app.records, app.keyring.rows(), head).await
}

/// Exports the days that are over for `days` days, each to a file of its own, and drops their rows. A row is dropped only
/// when its file is on the disk and was read back and checked.
pub async fn retain(app: &App, now: Millis, days: u64, directory: &Path) -> Result<(), ArchiveError> {
    let age = i64::try_from(days.saturating_mul(DAY_SECONDS)).unwrap_or(i64::MAX).saturating_mul(1000);
    let horizon = Millis(now.0.saturating_sub(age));
    loop {
        let known = known(app).await.map_err(ArchiveError::Read)?;
        let Some(first) = row(app, known.base.seq + 1).await.map_err(ArchiveError::Read)? else { return Ok(()) };
        let Some((day, end)) = day(first.time).filter(|(_, end)| *end <= horizon) else { return Ok(()) };
        let last = first_at(app, &known, end).await.map_err(ArchiveError::Read)? - 1;
        // The clock was set back by days: the row waits until the days before it are over as well.
        if last < first.seq {
            return Ok(());
        }
        let path = directory.join(format!("{day}.jsonl"));
        let failed = |error| ArchiveError::Write(path.clone(), error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let statement = if path.exists() {
            // The server ended while it dropped what is in there.
            let statement = check(app, &path).await.map_err(failed)?;
            if statement.last.seq != last || statement.after.seq > known.base.seq {
                return Err(ArchiveError::Other(path));
            }
            statement
        } else {
            write(app, &known, first.seq, last, &path).await.map_err(failed)?
        };
        let mut entry = by_server(Action::AuditArchive);
        entry.detail =
            format!("rows {} to {last} are in {day}.jsonl, SHA-256 {}", statement.after.seq + 1, statement.sha256);
        forget(app, known.base.seq, last, entry).await?;
        tracing::info!(first = first.seq, last, path = %path.display(), "a day of the audit was archived");
    }
}

async fn forget(app: &App, base: u64, last: u64, entry: Entry) -> Result<(), ArchiveError> {
    let (mut base, mut entry) = (base, Some(entry));
    while base < last {
        base = last.min(base + DROPPED);
        let Some(it) = row(app, base).await.map_err(ArchiveError::Read)? else { return Ok(()) };
        let base = ChainHead { seq: it.seq, hash: it.hash };
        app.writer.drop_audit(base, entry.take()).await.map_err(ArchiveError::Drop)?;
    }
    Ok(())
}

/// Writes a file that is there as a whole and holds, or not at all.
pub async fn write(app: &App, known: &Known, first: u64, last: u64, out: &Path) -> io::Result<Statement> {
    let mut new = out.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // Of an export that was cut off.
    drop(std::fs::remove_file(&new));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = match fill(app, known, first, last, file).await {
        Ok(()) => check(app, &new).await,
        Err(error) => Err(error),
    };
    // Unlike a rename, a link never replaces what is there.
    let written = written.and_then(|statement| std::fs::hard_link(&new, out).map(|()| statement));
    drop(std::fs::remove_file(&new));
    let directory = out.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    written
}

/// Puts a file on the disk, reads it back and checks it. Away from those who answer requests: it may be large.
async fn check(app: &App, path: &Path) -> io::Result<Statement> {
    let (keyring, path) = (Arc::clone(&app.keyring), path.to_owned());
    tokio::task::spawn_blocking(move || check_here(&keyring, &path)).await.map_err(io::Error::other)?
}

fn check_here(keyring: &Keyring, path: &Path) -> io::Result<Statement> {
    let file = File::open(path)?;
    file.sync_all()?;
    let key = keyring.audit_signer().public_key();
    let checked = export::check(BufReader::new(file), &key, Some(keyring.audit()))?;
    if let Some(found) = checked.findings.first() {
        return Err(io::Error::other(format!("it does not hold: {}", found.text)));
    }
    checked.statement.ok_or_else(|| io::Error::other("it has no statement"))
}

async fn fill(app: &App, known: &Known, first: u64, last: u64, file: File) -> io::Result<()> {
    let after = match first - 1 {
        seq if seq == known.base.seq => known.base,
        seq => {
            let before = row(app, seq).await.map_err(io::Error::other)?;
            before.map_or_else(ChainHead::default, |it| ChainHead { seq: it.seq, hash: it.hash })
        }
    };
    let mut exporter = Exporter::new(BufWriter::new(file), after);
    while exporter.last().seq < last {
        let rows = app.records.after(exporter.last().seq, PAGE).await.map_err(io::Error::other)?;
        if rows.is_empty() {
            return Err(io::Error::other(format!("row {last} is missing: verify-audit")));
        }
        for row in rows.iter().take_while(|it| it.seq <= last) {
            exporter.row(row)?;
        }
    }
    exporter.finish(app.keyring.audit_signer(), &known.installation, app.clock.now())
}

/// The first row at or after an instant, or the one that comes next. Rows are in the order of their time, as far as
/// nobody has set the clock back.
pub async fn first_at(app: &App, known: &Known, at: Millis) -> Result<u64, StoreError> {
    let (mut low, mut high) = (known.base.seq + 1, known.head.seq + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if row(app, middle).await?.is_some_and(|it| it.time < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

async fn row(app: &App, seq: u64) -> Result<Option<AuditRow>, StoreError> {
    let rows = app.records.after(seq.saturating_sub(1), 1).await?;
    Ok(rows.into_iter().next().filter(|it| it.seq == seq))
}

/// The day of an instant in UTC, and when it is over.
fn day(at: Millis) -> Option<(jiff::civil::Date, Millis)> {
    let date = TimeZone::UTC.to_datetime(jiff::Timestamp::from_millisecond(at.0).ok()?).date();
    let end = TimeZone::UTC.to_timestamp(date.tomorrow().ok()?.to_datetime(jiff::civil::Time::midnight())).ok()?;
    Some((date, Millis(end.as_millisecond())))
}
