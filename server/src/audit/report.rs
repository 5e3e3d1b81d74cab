//! What a check of the audit found, and what it can and cannot say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::anchored::Anchored;
use super::checkpoint::{Epoch, Link};
use super::digest::Digest;
use super::verify::{Break, Verifier};
use crate::crypto::row_mac::MacKey;
use crate::store::{AuditRow, ChainHead};

/// The most findings that are listed.
const MOST: usize = 100;

/// A class of things that are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A row was changed.
    RowChanged,
    /// Rows are missing before this one.
    RowsMissing,
    /// Rows are missing after this one.
    TailCut,
    /// The row is not the one that a checkpoint has seen.
    RowReplaced,
    /// The database does not say where its audit ends, or not in the server's own words.
    HeadNotGenuine,
    /// A checkpoint was changed, or is not this server's.
    CheckpointNotGenuine,
    /// A checkpoint is missing before this one.
    CheckpointMissing,
    /// The database is of an earlier epoch than the anchor: it was put back.
    EpochBehind,
    /// A file of rows is not what was signed.
    FileChanged,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// At which row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// At which line of the anchor or file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// For a person.
    pub text: String,
}

impl Finding {
    /// About a row.
    pub fn row(kind: Kind, row: u64, text: impl Into<String>) -> Self {
        Self { kind, row: Some(row), line: None, text: text.into() }
    }

    /// About a line.
    pub fn line(kind: Kind, line: u64, text: impl Into<String>) -> Self {
        Self { kind, row: None, line: Some(line), text: text.into() }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing is wrong.
    pub holds: bool,
    /// How many rows were looked at.
    pub rows: u64,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// The hash of the last.
    pub head: Digest,
    /// How many checkpoints were compared with their rows.
    pub checkpoints: u64,
    /// The last row that a checkpoint vouches for.
    pub anchored: Option<u64>,
    /// What is wrong; the first hundred.
    pub findings: Vec<Finding>,
    /// What follows from the check.
    pub proves: Vec<String>,
    /// What does not.
    pub cannot_prove: Vec<String>,
}

/// Follows the rows of the audit and compares them with what is known of them.
pub struct Check<'k> {
    verifier: Verifier<'k>,
    first: u64,
    rows: u64,
    /// What the database says about its own end.
    head: Option<ChainHead>,
    /// Rows that were seen by an anchor: hash and line.
    expected: BTreeMap<u64, Vec<(Digest, u64)>>,
    compared: u64,
    /// The last row that an anchor has seen in this epoch.
    anchored: Option<(u64, u64)>,
    /// Rows that somebody else has seen, and who.
    vouched: Vec<(Link, &'static str)>,
    findings: Vec<Finding>,
    has_anchor: bool,
    epoch: Option<Epoch>,
}

impl<'k> Check<'k> {
    /// Begins after `base`. `head` is the end that the database states; none when it states none that is genuine.
    pub fn new(key: &'k MacKey, base: ChainHead, head: Option<ChainHead>) -> Self {
        let mut findings = Vec::new();
        if head.is_none() {
            findings.push(Finding {
                kind: Kind::HeadNotGenuine,
                row: None,
                line: None,
                text: "the database does not say where its audit ends, or somebody else wrote it".to_owned(),
            });
        }
        Self {
            verifier: Verifier::after(key, base),
            first: base.seq + 1,
            rows: 0,
            head,
            expected: BTreeMap::new(),
            compared: 0,
            anchored: None,
            vouched: Vec::new(),
            findings,
            has_anchor: false,
            epoch: None,
        }
    }

    /// Says in which epoch the database is: after a restore, which row the backup ended with.
    pub fn restored(&mut self, epoch: Epoch) {
        self.epoch = Some(epoch);
    }

    /// Compares with an anchor too. Of earlier epochs only those rows count that the restored backup had.
    pub fn compare(&mut self, anchored: Anchored, epoch: Epoch) {
        self.has_anchor = true;
        self.findings.extend(anchored.findings);
        let kept = epoch.continues.map_or(0, |Link { seq, .. }| seq);
        for (number, line) in anchored.lines {
            let it = line.checkpoint;
            if it.epoch.number > epoch.number {
                let text = format!(
                    "line {number} of the anchor is of epoch {}, the database of epoch {}: the database was put back \
                     to before a restore",
                    it.epoch.number, epoch.number
                );
                self.findings.push(Finding::line(Kind::EpochBehind, number, text));
                continue;
            }
            let is_current = it.epoch.number == epoch.number;
            if !is_current && it.seq > kept {
                continue;
            }
            self.expected.entry(it.seq).or_default().push((it.hash, number));
            if is_current && self.anchored.is_none_or(|(seq, _)| it.seq > seq) {
                self.anchored = Some((it.seq, number));
            }
        }
    }

    /// Compares with a row that `who` has seen.
    pub fn vouch(&mut self, row: Link, who: &'static str) {
        self.vouched.push((row, who));
    }

    /// What was found elsewhere.
    pub fn find(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }

    /// The last row that was looked at.
    pub fn at(&self) -> u64 {
        self.verifier.head().seq
    }

    /// Looks at the next row, and goes on behind it whatever is wrong with it.
    pub fn next(&mut self, row: &AuditRow) {
        if self.rows == 0 {
            self.first = row.seq;
        }
        self.rows += 1;
        if let Err(found) = self.verifier.next(row) {
            let (kind, seq) = match found {
                Break::Gap { expected, .. } => (Kind::RowsMissing, expected),
                Break::Changed(seq) => (Kind::RowChanged, seq),
            };
            self.findings.push(Finding::row(kind, seq, found.to_string()));
            self.verifier.resume(row);
        }
        for (hash, line) in self.expected.remove(&row.seq).unwrap_or_default() {
            self.compared += 1;
            if hash != Digest(row.hash) {
                let text = format!(
                    "row {} is not the one that line {line} of the anchor has seen: the history was rewritten",
                    row.seq
                );
                self.findings.push(Finding::row(Kind::RowReplaced, row.seq, text));
            }
        }
        for (_, who) in self.vouched.iter().filter(|(it, _)| it.seq == row.seq && it.hash != Digest(row.hash)) {
            let text = format!("row {} is not the one that {who} has seen: the history was rewritten", row.seq);
            self.findings.push(Finding::row(Kind::RowReplaced, row.seq, text));
        }
        if let Some(Epoch { continues: Some(last), .. }) = self.epoch
            && last.seq == row.seq
            && last.hash != Digest(row.hash)
        {
            let text = format!("row {} is not the one that the restored backup ended with", row.seq);
            self.findings.push(Finding::row(Kind::RowReplaced, row.seq, text));
        }
        if let Some(head) = self.head
            && head.seq == row.seq
            && head.hash != row.hash
        {
            let text = format!("row {} is not the one that the database names as its last", row.seq);
            self.findings.push(Finding::row(Kind::RowReplaced, row.seq, text));
        }
    }

    /// Sums up a check that does not go on to the end.
    pub fn stop(mut self) -> Report {
        (self.head, self.anchored) = (None, None);
        self.vouched.clear();
        self.finish()
    }

    /// Sums up.
    pub fn finish(mut self) -> Report {
        let end = self.verifier.head();
        for (row, who) in self.vouched.iter().filter(|(it, _)| it.seq > end.seq) {
            let text = format!(
                "row {} was seen by {who}, and the chain ends at row {}: the rows after it were cut off",
                row.seq, end.seq
            );
            self.findings.push(Finding::row(Kind::TailCut, end.seq, text));
        }
        if let Some(head) = self.head.filter(|it| it.seq > end.seq) {
            let text = format!("row {} was written last, and the chain ends at row {}", head.seq, end.seq);
            self.findings.push(Finding::row(Kind::TailCut, end.seq, text));
        }
        if let Some((seq, line)) = self.anchored.filter(|(seq, _)| *seq > end.seq) {
            let text = format!(
                "line {line} of the anchor has seen row {seq}, and the chain ends at row {}: the rows after it were \
                 cut off, or the database was put back",
                end.seq
            );
            self.findings.push(Finding::row(Kind::TailCut, end.seq, text));
        }
        let holds = self.findings.is_empty();
        let anchored = self.anchored.map(|(seq, _)| seq);
        let (mut proves, mut cannot_prove) = (Vec::new(), Vec::new());
        if holds {
            proves.push(format!(
                "rows {} to {} follow each other and none was changed, taken out or added by somebody without the root \
                 key",
                self.first, end.seq
            ));
            if let Some(seq) = anchored {
                proves.push(format!("up to row {seq} the rows are those that the anchor has seen"));
            }
        }
        if let Some(Epoch { number, continues: Some(last) }) = self.epoch
            && last.seq < end.seq
        {
            cannot_prove.push(format!(
                "what happened between row {} and row {}, where epoch {number} begins: the database was restored from a \
                 backup, and rows that were written after it are lost",
                last.seq,
                last.seq + 1
            ));
        }
        match anchored {
            _ if !self.has_anchor => cannot_prove.push(
                "that the whole database was not put back to an earlier state: compare with an anchor (--anchor)"
                    .to_owned(),
            ),
            Some(seq) if seq < end.seq => cannot_prove.push(format!(
                "that the rows after row {seq} were not put back to an earlier state together with the database: the \
                 anchor has not seen them yet"
            )),
            None => cannot_prove.push("anything by the anchor: it has no checkpoint of this epoch".to_owned()),
            Some(_) => {}
        }
        if self.first > 1 {
            cannot_prove.push(format!(
                "anything about rows 1 to {}, which were exported and dropped: give their files (--archive)",
                self.first - 1
            ));
        }
        cannot_prove.push("that whoever has the root key did not write another history".to_owned());
        self.findings.truncate(MOST);
        Report {
            holds,
            rows: self.rows,
            first: self.first,
            last: end.seq,
            head: Digest(end.hash),
            checkpoints: self.compared,
            anchored,
            findings: self.findings,
            proves,
            cannot_prove,
        }
    }
}

impl Report {
    /// For a person.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        lines.push(if self.holds {
            format!("the audit holds: {} rows, the last is {} with the hash {}", self.rows, self.last, self.head)
        } else {
            format!("the audit does not hold: {} rows, the last is {}", self.rows, self.last)
        });
        lines.extend(self.findings.iter().map(|it| format!("  wrong: {}", it.text)));
        lines.extend(self.proves.iter().map(|it| format!("  proven: {it}")));
        lines.extend(self.cannot_prove.iter().map(|it| format!("  not proven: {it}")));
        lines.join("\n")
    }
}
