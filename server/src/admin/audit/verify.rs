//! Checking the audit.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use sikkerkey_protocol::key::PublicKey;

use super::super::Answer;
use super::super::command::VerifyAudit;
use super::{PAGE, failed};
use crate::anchor::Known;
use crate::audit::report::{Check, Finding, Report};
use crate::audit::{anchored, export};
use crate::cli::RootKeyArguments;
use crate::crypto::keyring::Keyring;
use crate::crypto::root_key::{RootKey, Source};
use crate::policy::window::instant;
use crate::store::{ChainHead, Records};

/// Checks without the server and without its lock: a file that was exported, or the data with its root key. None when the
/// root key is not here: then only the server can check.
pub(in crate::admin) async fn beside(
    data_dir: Option<&Path>,
    database_url: Option<&str>,
    root_key: &RootKeyArguments,
    what: &VerifyAudit,
) -> anyhow::Result<Option<Answer>> {
    let records = match (database_url, data_dir) {
        (Some(url), _) => Some(Records::shared(url)?),
        (None, Some(directory)) => Some(Records::beside(directory).await?),
        (None, None) => None,
    };
    let own = data_dir.map(|it| it.join("root.key")).filter(|it| it.exists());
    let root = match root_key.clone().into_source()? {
        Source::Given(key) => Some(key),
        Source::File(path) => Some(Arc::new(RootKey::read(&path)?)),
        Source::Beside => own.map(|path| RootKey::read(&path)).transpose()?.map(Arc::new),
    };
    let keyring = match records.as_ref().zip(root) {
        Some((records, root)) => Some(records.keyring(&root).await?),
        None => None,
    };
    if let Some(path) = &what.from_export {
        let key = what.public_key.or_else(|| keyring.as_ref().map(|it| it.audit_signer().public_key()));
        let key = key.context("give the server's key: --public-key, as `admin audit-key` prints it")?;
        return exported(path, &key, keyring.as_ref()).map(Some);
    }
    let Some((records, keyring)) = records.zip(keyring) else { return Ok(None) };
    let answer = database(&records, &keyring, what.anchor.as_deref(), what.archive.as_deref()).await;
    answer.map(Some).map_err(anyhow::Error::msg)
}

/// Checks the rows of the database, and compares them with an anchor.
pub(in crate::admin) async fn database(
    records: &Records,
    keyring: &Keyring,
    anchor: Option<&Path>,
    archive: Option<&Path>,
) -> Result<Answer, String> {
    let report = loop {
        // Before the rows: a server that runs adds some meanwhile.
        let head = records.audit_end(keyring.rows()).await.map_err(|error| failed(&error))?;
        let known = Known::read(records, keyring.rows(), head.unwrap_or_default()).await;
        let known = known.map_err(|error| failed(&error))?;
        let archived = archive.map(|it| archived(it, keyring)).transpose()?;
        let report = follow(records, keyring, archived.unwrap_or_default(), head, &known, anchor).await?;
        // A server that runs may archive days meanwhile: then rows seem to be missing that are in a file by now. The base
        // only ever goes forward, so this ends.
        let base = records.audit_base(keyring.rows()).await.map_err(|error| failed(&error))?;
        if report.holds || base.seq <= known.base.seq {
            break report;
        }
    };
    let json = serde_json::to_value(&report).map_err(|error| error.to_string())?;
    Ok(Answer::new(json, report.text()))
}

async fn follow(
    records: &Records,
    keyring: &Keyring,
    archived: Archived,
    head: Option<ChainHead>,
    known: &Known,
    anchor: Option<&Path>,
) -> Result<Report, String> {
    let base = archived.after.unwrap_or(known.base);
    let mut check = Check::new(keyring.audit(), base, head);
    check.restored(known.installation.epoch);
    if let Some(path) = anchor {
        let text =
            std::fs::read(path).map_err(|error| format!("cannot read the anchor {}: {error}", path.display()))?;
        let key = keyring.audit_signer().public_key();
        let lines = anchored::read(&key, Some(&known.installation.id), &String::from_utf8_lossy(&text));
        check.compare(lines, known.installation.epoch);
    }
    check.find(archived.findings);
    for path in &archived.files {
        let failed = |error| format!("cannot read {}: {error}", path.display());
        let file = BufReader::new(File::open(path).map_err(failed)?);
        // Files may overlap: each was checked by itself.
        export::rows(file, |row| {
            if row.seq > check.at() {
                check.next(row);
            }
        })
        .map_err(failed)?;
    }
    // What is in a file may be in the database still, and is looked at once.
    loop {
        let rows = records.after(check.at(), PAGE).await.map_err(|error| failed(&error))?;
        for row in &rows {
            check.next(row);
        }
        if u32::try_from(rows.len()).unwrap_or(0) < PAGE {
            return Ok(check.finish());
        }
    }
}

/// The files of rows, in their order.
#[derive(Default)]
struct Archived {
    after: Option<ChainHead>,
    files: Vec<PathBuf>,
    findings: Vec<Finding>,
}

fn archived(directory: &Path, keyring: &Keyring) -> Result<Archived, String> {
    let failed = |error: std::io::Error| format!("cannot read the archive {}: {error}", directory.display());
    let key = keyring.audit_signer().public_key();
    let (mut archived, mut files) = (Archived::default(), Vec::new());
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|it| it != "jsonl") {
            continue;
        }
        let file = BufReader::new(File::open(&path).map_err(failed)?);
        let checked = export::check(file, &key, Some(keyring.audit())).map_err(failed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let findings = checked.findings.into_iter();
        archived.findings.extend(findings.map(|it| Finding { text: format!("{name}: {}", it.text), ..it }));
        files.extend(checked.statement.map(|it| (it.after, path)));
    }
    files.sort_by_key(|(after, _)| after.seq);
    archived.after = files.first().map(|(after, _)| ChainHead { seq: after.seq, hash: after.hash.0 });
    archived.files = files.into_iter().map(|(_, path)| path).collect();
    Ok(archived)
}

fn exported(path: &Path, key: &PublicKey, keyring: Option<&Keyring>) -> anyhow::Result<Answer> {
    let file = File::open(path).with_context(|| format!("cannot read the export {}", path.display()))?;
    let checked = export::check(BufReader::new(file), key, keyring.map(Keyring::audit))
        .with_context(|| format!("cannot read the export {}", path.display()))?;
    let holds = checked.findings.is_empty();
    let mut lines = Vec::new();
    let range = checked.statement.as_ref().map(|it| (it.after.seq + 1, it.last.seq));
    if let Some((it, (first, last))) = checked.statement.as_ref().zip(range).filter(|_| holds) {
        lines.push(format!(
            "the export holds: the server with this key wrote rows {first} to {last} as they stand here, at {}",
            instant(it.time)
        ));
        lines.push(
            if keyring.is_some() {
                "  proven: each row follows the one before it, by the root key"
            } else {
                "  not proven without the root key: that each row follows the one before it; the signature covers the file"
            }
            .to_owned(),
        );
    } else {
        lines.push("the export does not hold".to_owned());
    }
    lines.extend(checked.findings.iter().map(|it| format!("  wrong: {}", it.text)));
    let json = json!({
        "holds": holds,
        "statement": checked.statement,
        "rows": checked.statement.as_ref().map(|it| it.rows),
        "first": range.map(|it| it.0),
        "last": range.map(|it| it.1),
        "chainFollowed": keyring.is_some(),
        "findings": checked.findings,
    });
    Ok(Answer::new(json, lines.join("\n")))
}
