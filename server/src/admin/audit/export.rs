//! Writing rows to a file.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::json;

use super::super::Answer;
use super::super::execute::Desk;
use super::{Bound, PAGE, failed};
use crate::anchor::Known;
use crate::audit::export::{self, Exporter, Statement};
use crate::model::millis::Millis;
use crate::store::{AuditRow, ChainHead};

pub(in crate::admin) async fn export(
    desk: Desk<'_>,
    from: Option<Bound>,
    to: Option<Bound>,
    out: &Path,
) -> Result<Answer, String> {
    let head = *desk.app.writer.audit_head().borrow();
    let known = Known::read(&desk.app.records, head).await.map_err(|error| failed(&error))?;
    let first = match from {
        None => known.base.seq + 1,
        Some(Bound::Row(seq)) => seq,
        Some(Bound::Time(at)) => first_at(desk, &known, at).await?,
    };
    let last = match to {
        None => head.seq,
        Some(Bound::Row(seq)) => seq,
        Some(Bound::Time(at)) => first_at(desk, &known, at).await? - 1,
    };
    if first <= known.base.seq {
        return Err(format!("row {first} was dropped: the first is {}", known.base.seq + 1));
    }
    if last > head.seq {
        return Err(format!("there is no row {last}: the last is {}", head.seq));
    }
    if first > last {
        return Err(
            "there is no row in that range: --from lies behind --to, or nothing happened between them".to_owned()
        );
    }
    let statement = write(desk, &known, first, last, out).await?;
    let text = format!("rows {first} to {last} are in {}: check it with verify-audit --from-export", out.display());
    let json = json!({ "file": out, "first": first, "last": last, "rows": statement.rows, "sha256": statement.sha256 });
    Ok(Answer::new(json, text))
}

/// Writes a file that is there as a whole and holds, or not at all.
async fn write(desk: Desk<'_>, known: &Known, first: u64, last: u64, out: &Path) -> Result<Statement, String> {
    let cannot = |error: std::io::Error| format!("cannot write the export {}: {error}", out.display());
    let mut file = OpenOptions::new();
    file.write(true).create_new(true).mode(0o600);
    let file = file.open(out).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => format!("{} is there already: give a new file", out.display()),
        _ => cannot(error),
    })?;
    let written = fill(desk, known, first, last, file).await.and_then(|statement| {
        let key = desk.app.keyring.audit_signer().public_key();
        let checked = export::check(BufReader::new(File::open(out)?), &key, Some(desk.app.keyring.audit()))?;
        match checked.findings.first() {
            None => Ok(statement),
            Some(found) => Err(std::io::Error::other(format!("it does not hold: {}", found.text))),
        }
    });
    written.map_err(|error| {
        drop(std::fs::remove_file(out));
        cannot(error)
    })
}

async fn fill(desk: Desk<'_>, known: &Known, first: u64, last: u64, file: File) -> std::io::Result<Statement> {
    let after = match first - 1 {
        seq if seq == known.base.seq => known.base,
        seq => row(desk, seq).await?.map_or_else(ChainHead::default, |it| ChainHead { seq: it.seq, hash: it.hash }),
    };
    let mut exporter = Exporter::new(BufWriter::new(file), after);
    while exporter.last().seq < last {
        let rows = desk.app.records.after(exporter.last().seq, PAGE).await.map_err(std::io::Error::other)?;
        if rows.is_empty() {
            return Err(std::io::Error::other(format!("row {last} is missing: verify-audit")));
        }
        for row in rows.iter().take_while(|it| it.seq <= last) {
            exporter.row(row)?;
        }
    }
    let signer = desk.app.keyring.audit_signer();
    let (file, statement) = exporter.finish(signer, &known.installation, desk.app.clock.now())?;
    let mut file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.flush()?;
    file.sync_all()?;
    Ok(statement)
}

/// The first row at or after an instant, or the one that comes next. Rows are in the order of their time, as far as
/// nobody has set the clock back.
async fn first_at(desk: Desk<'_>, known: &Known, at: Millis) -> Result<u64, String> {
    let (mut low, mut high) = (known.base.seq + 1, known.head.seq + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = row(desk, middle).await.map_err(|error| error.to_string())?;
        if found.is_some_and(|it| it.time < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

async fn row(desk: Desk<'_>, seq: u64) -> std::io::Result<Option<AuditRow>> {
    let rows = desk.app.records.after(seq.saturating_sub(1), 1).await.map_err(std::io::Error::other)?;
    Ok(rows.into_iter().next().filter(|it| it.seq == seq))
}
