//! Rows outside the database, with a statement that lets everybody check them.
//!
//! A file of lines of JSON: one for each row, `{"seq":…,"time":…,"entry":{…},"hash":"…"}`, and at its end the statement,
//! which signs the SHA-256 of everything before it, the range of rows and the hashes at both ends. With the server's
//! public key alone one can tell that the file is what the server wrote; with the root key also which row was changed.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use sikkerkey_protocol::key::{MachineKey, PublicKey};

use super::checkpoint::{Installation, Link};
use super::digest::Digest;
use super::report::{Finding, Kind};
use super::signed::{self, Signable};
use super::verify::Verifier;
use crate::crypto::row_mac::MacKey;
use crate::model::millis::Millis;
use crate::store::{AuditRow, ChainHead};

/// The longest line that is read: no row comes near it.
const LONGEST: u64 = 1024 * 1024;

/// One row, as a line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowLine {
    seq: u64,
    time: Millis,
    /// Exactly as it was chained.
    entry: Box<RawValue>,
    hash: Digest,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What the file is.
    pub statement: String,
    /// Of which data.
    pub installation: String,
    /// In which epoch it was written.
    pub epoch: u64,
    /// The row before the first, and its hash.
    pub after: Link,
    /// The last row, and its hash.
    pub last: Link,
    /// How many rows.
    pub rows: u64,
    /// When it was written.
    pub time: Millis,
    /// SHA-256 of all lines before this one, with their ends.
    pub sha256: Digest,
    /// Ed25519, by the key that `admin audit-key` shows.
    signature: String,
}

impl Signable for Statement {
    const KIND: &'static str = "sikkerkey audit export v1";

    fn signature(&mut self) -> &mut String {
        &mut self.signature
    }
}

/// Writes rows as lines.
pub struct Exporter<W> {
    out: W,
    sum: Sha256,
    after: ChainHead,
    last: ChainHead,
    rows: u64,
}

impl<W: Write> Exporter<W> {
    /// Begins after a row.
    pub fn new(out: W, after: ChainHead) -> Self {
        Self { out, sum: Sha256::new(), after, last: after, rows: 0 }
    }

    /// The last row that was written.
    pub fn last(&self) -> ChainHead {
        self.last
    }

    /// Writes a row.
    pub fn row(&mut self, row: &AuditRow) -> io::Result<()> {
        let line = RowLine {
            seq: row.seq,
            time: row.time,
            entry: RawValue::from_string(row.entry.clone())?,
            hash: Digest(row.hash),
        };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.sum.update(&line);
        self.last = ChainHead { seq: row.seq, hash: row.hash };
        self.rows += 1;
        Ok(())
    }

    /// Writes the statement.
    pub fn finish(mut self, key: &MachineKey, of: &Installation, time: Millis) -> io::Result<()> {
        let mut statement = Statement {
            statement: Statement::KIND.to_owned(),
            installation: of.id.clone(),
            epoch: of.epoch.number,
            after: self.after.into(),
            last: self.last.into(),
            rows: self.rows,
            time,
            sha256: Digest(self.sum.finalize().into()),
            signature: String::new(),
        };
        let line = signed::sign(key, &mut statement)?;
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }
}

/// What a file says, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Checked {
    /// The statement, if it is genuine.
    pub statement: Option<Statement>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Reads the lines of a file one by one: it may be larger than the memory.
struct Lines<R> {
    file: R,
    sum: Sha256,
    number: u64,
    text: String,
}

impl<R: BufRead> Lines<R> {
    fn new(file: R) -> Self {
        Self { file, sum: Sha256::new(), number: 0, text: String::new() }
    }

    /// The next row; none at the first line that is no row, which stays in `text`.
    fn row(&mut self) -> io::Result<Option<AuditRow>> {
        self.read()?;
        let Ok(row) = serde_json::from_str::<RowLine>(self.line()) else { return Ok(None) };
        let entry = row.entry.get().to_owned();
        self.sum.update(self.text.as_bytes());
        Ok(Some(AuditRow { seq: row.seq, time: row.time, entry, hash: row.hash.0 }))
    }

    fn read(&mut self) -> io::Result<()> {
        self.text.clear();
        self.number += 1;
        io::Read::take(&mut self.file, LONGEST).read_line(&mut self.text).map(drop)
    }

    fn line(&self) -> &str {
        self.text.strip_suffix('\n').unwrap_or(&self.text)
    }
}

/// Gives each row of a file to `each`. What is wrong with the file is for [`check`] to find.
pub fn rows(file: impl BufRead, mut each: impl FnMut(&AuditRow)) -> io::Result<()> {
    let mut lines = Lines::new(file);
    while let Some(row) = lines.row()? {
        each(&row);
    }
    Ok(())
}

/// Checks a file: its form, its statement and, with the chain's key, each row.
pub fn check(file: impl BufRead, key: &PublicKey, chain: Option<&MacKey>) -> io::Result<Checked> {
    let mut checked = Checked::default();
    let mut lines = Lines::new(file);
    let (mut first, mut last, mut rows) = (None::<AuditRow>, None::<ChainHead>, 0);
    while let Some(row) = lines.row()? {
        if let Some(last) = last {
            let previous = last.seq;
            if row.seq != previous + 1 {
                let text = format!("line {}: row {} follows row {previous}", lines.number, row.seq);
                let (row, line) = (Some(previous + 1), Some(lines.number));
                checked.findings.push(Finding { kind: Kind::RowsMissing, row, line, text });
            } else if let Some(chain) = chain {
                checked.findings.extend(changed(chain, last, &row));
            }
        }
        last = Some(ChainHead { seq: row.seq, hash: row.hash });
        rows += 1;
        // What it follows stands in the statement.
        first.get_or_insert(row);
    }
    let number = lines.number;
    let mut wrong = |text: String| checked.findings.push(Finding::line(Kind::FileChanged, number, text));
    if lines.text.is_empty() {
        wrong("the file has no statement at its end: it was cut off".to_owned());
        return Ok(checked);
    }
    let statement: Statement = match signed::open(key, lines.line()) {
        Ok(statement) => statement,
        Err(error) => {
            wrong(format!("line {number} is neither a row nor a genuine statement: {error}"));
            return Ok(checked);
        }
    };
    if Digest(lines.sum.clone().finalize().into()) != statement.sha256 {
        wrong("the rows are not those that were signed: at least one was changed, added or removed".to_owned());
    }
    let end = last.map_or(statement.after, Link::from);
    let begins = first.as_ref().is_none_or(|it| it.seq == statement.after.seq + 1);
    if !begins || end != statement.last || rows != statement.rows {
        wrong("the statement is about other rows than those in the file".to_owned());
    }
    lines.read()?;
    if !lines.text.is_empty() {
        wrong("there is something after the statement".to_owned());
    }
    let after = ChainHead { seq: statement.after.seq, hash: statement.after.hash.0 };
    if let Some((chain, first)) = chain.zip(first).filter(|_| begins) {
        checked.findings.extend(changed(chain, after, &first));
    }
    checked.statement = Some(statement);
    Ok(checked)
}

fn changed(chain: &MacKey, after: ChainHead, row: &AuditRow) -> Option<Finding> {
    let found = Verifier::after(chain, after).next(row).err()?;
    Some(Finding::row(Kind::RowChanged, row.seq, found.to_string()))
}
