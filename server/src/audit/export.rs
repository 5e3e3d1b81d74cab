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
use super::verify::{Break, Verifier};
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

    /// Writes the statement, and gives back where everything went.
    pub fn finish(mut self, key: &MachineKey, of: &Installation, time: Millis) -> io::Result<(W, Statement)> {
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
        self.out.flush()?;
        Ok((self.out, statement))
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

/// Checks a file: its form, its statement and, with the chain's key, each row.
pub fn check(mut file: impl BufRead, key: &PublicKey, chain: Option<&MacKey>) -> io::Result<Checked> {
    let mut checked = Checked::default();
    let mut sum = Sha256::new();
    let (mut number, mut rows, mut first, mut last) = (0, 0, None, None);
    let mut held: Vec<AuditRow> = Vec::new();
    let mut text = String::new();
    loop {
        text.clear();
        number += 1;
        if io::Read::take(&mut file, LONGEST).read_line(&mut text)? == 0 {
            let text = "the file has no statement at its end: it was cut off".to_owned();
            checked.findings.push(Finding::line(Kind::FileChanged, number, text));
            return Ok(checked);
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let Ok(row) = serde_json::from_str::<RowLine>(line) else {
            break;
        };
        let row = AuditRow { seq: row.seq, time: row.time, entry: row.entry.get().to_owned(), hash: row.hash.0 };
        if let Some(previous) = last.map(|it: ChainHead| it.seq)
            && row.seq != previous + 1
        {
            let text = format!("line {number}: row {} follows row {previous}", row.seq);
            checked.findings.push(Finding {
                kind: Kind::RowsMissing,
                row: Some(previous + 1),
                line: Some(number),
                text,
            });
        }
        sum.update(text.as_bytes());
        last = Some(ChainHead { seq: row.seq, hash: row.hash });
        first = first.or(Some(row.seq));
        rows += 1;
        // Kept only where they are needed: without the chain's key a file of any size is read in one go.
        if chain.is_some() {
            held.push(row);
        }
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let statement: Statement = match signed::open(key, line) {
        Ok(statement) => statement,
        Err(error) => {
            let text = format!("line {number} is neither a row nor a genuine statement: {error}");
            checked.findings.push(Finding::line(Kind::FileChanged, number, text));
            return Ok(checked);
        }
    };
    if let Some(chain) = chain {
        let after = ChainHead { seq: statement.after.seq, hash: statement.after.hash.0 };
        follow(chain, after, &held, &mut checked.findings);
    }
    let mut wrong = |text: &str| checked.findings.push(Finding::line(Kind::FileChanged, number, text));
    if Digest(sum.finalize().into()) != statement.sha256 {
        wrong("the rows are not those that were signed: at least one was changed, added or removed");
    }
    let end = last.map_or(statement.after, Link::from);
    let begins = first.is_none_or(|it| it == statement.after.seq + 1);
    if !begins || end != statement.last || rows != statement.rows {
        wrong("the statement is about other rows than those in the file");
    }
    text.clear();
    if io::Read::take(&mut file, LONGEST).read_line(&mut text)? != 0 {
        wrong("there is something after the statement");
    }
    checked.statement = Some(statement);
    Ok(checked)
}

fn follow(chain: &MacKey, after: ChainHead, rows: &[AuditRow], findings: &mut Vec<Finding>) {
    let mut verifier = Verifier::after(chain, after);
    for row in rows {
        if let Err(found) = verifier.next(row) {
            // A gap was found already.
            if let Break::Changed(seq) = found {
                findings.push(Finding::row(Kind::RowChanged, seq, found.to_string()));
            }
            verifier.resume(row);
        }
    }
}
