//! Whether the database knows what its anchor knows.

use sikkerkey_protocol::key::PublicKey;

use crate::audit::anchored;
use crate::audit::checkpoint::{Checkpoint, Epoch, Installation, Line};
use crate::audit::digest::Digest;
use crate::audit::report::Kind;
use crate::crypto::row_mac::MacKey;
use crate::store::{ChainHead, Records, StoreError};

/// What the database says about itself.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which data, in which epoch.
    pub installation: Installation,
    /// The row before the first that it still has.
    pub base: ChainHead,
    /// The last row.
    pub head: ChainHead,
}

impl Known {
    /// Asks the database. `key` authenticates its rows; `head` is the end of its audit.
    pub async fn read(records: &Records, key: &MacKey, head: ChainHead) -> Result<Self, StoreError> {
        let epoch = records.meta(Epoch::META).await?;
        let epoch = Epoch::parse(epoch.as_deref()).map_err(|_| StoreError::Tampered("the epoch".to_owned()))?;
        let id = records.master().await?.installation;
        Ok(Self { installation: Installation { id, epoch }, base: records.audit_base(key).await?, head })
    }
}

/// Why a server must not serve this database.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The anchor is damaged, or belongs to something else.
    #[error("the anchor is not this server's, or was changed: {0}; look with `admin verify-audit --anchor`")]
    NotGenuine(String),
    /// Rows are missing at the end.
    #[error(
        "the database was put back: it ends at row {found} of the audit, and its anchor has seen row {anchored}; if a \
         person restored it, `restore` makes it known, otherwise find out who did"
    )]
    Behind {
        /// Where the database ends.
        found: u64,
        /// What the anchor has seen.
        anchored: u64,
    },
    /// A row is another.
    #[error("the database is another than its anchor has seen: row {0} of the audit has another hash")]
    Rewritten(u64),
    /// The database was restored less often than the anchor knows.
    #[error(
        "the database was put back to before a restore: it is of epoch {found}, and its anchor has seen epoch {anchored}"
    )]
    EpochBehind {
        /// Of the database.
        found: u64,
        /// Of the anchor.
        anchored: u64,
    },
    /// The database was restored, and nobody has said that it should be.
    #[error(
        "the database was restored from a backup that ends at row {kept} of the audit, and its anchor has seen row \
         {anchored}: if that is meant, start once with --accept-restored"
    )]
    Restored {
        /// The last row that the backup had.
        kept: u64,
        /// What the anchor has seen.
        anchored: u64,
    },
    /// The row that the anchor has seen cannot be read.
    #[error("cannot compare the database with its anchor")]
    Read(#[source] StoreError),
}

/// Compares the database with the last lines of an anchor, and gives the newest of them back.
pub async fn admit(
    key: &PublicKey,
    lines: &[String],
    known: &Known,
    records: &Records,
    accept_restored: bool,
) -> Result<Option<Line>, Refused> {
    let anchored = anchored::read(key, Some(&known.installation.id), &lines.join("\n"));
    // Of the end of a long file the first line follows one that was not read.
    if let Some(found) = anchored.findings.into_iter().find(|it| it.kind == Kind::CheckpointNotGenuine) {
        return Err(Refused::NotGenuine(found.text));
    }
    let newest = anchored.lines.into_iter().map(|(_, line)| line);
    // Several servers may share the anchor, and their lines arrive in any order.
    let Some(newest) = newest.max_by_key(|it| (it.checkpoint.epoch.number, it.checkpoint.seq)) else {
        return Ok(None);
    };
    let seq = newest.checkpoint.seq;
    let row = records.after(seq.saturating_sub(1), 1).await.map_err(Refused::Read)?;
    let row = row.first().filter(|it| it.seq == seq).map(|it| Digest(it.hash));
    judge(&newest.checkpoint, known, row, accept_restored)?;
    Ok(Some(newest))
}

/// `row` is the hash that the database has at the checkpoint's row.
fn judge(newest: &Checkpoint, known: &Known, row: Option<Digest>, accept_restored: bool) -> Result<(), Refused> {
    let (found, anchored) = (known.installation.epoch.number, newest.epoch.number);
    if found < anchored {
        return Err(Refused::EpochBehind { found, anchored });
    }
    if found > anchored {
        let kept = known.installation.epoch.continues.map_or(0, |it| it.seq);
        return if accept_restored { Ok(()) } else { Err(Refused::Restored { kept, anchored: newest.seq }) };
    }
    if known.head.seq < newest.seq {
        return Err(Refused::Behind { found: known.head.seq, anchored: newest.seq });
    }
    // What was exported and dropped cannot be compared; the base it left is the server's own word.
    let is_same = match row {
        Some(row) => row == newest.hash,
        None => newest.seq < known.base.seq || newest.hash == Digest(known.base.hash),
    };
    if is_same { Ok(()) } else { Err(Refused::Rewritten(newest.seq)) }
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::key::MachineKey;
    use zeroize::Zeroizing;

    use super::*;
    use crate::audit::checkpoint::Link;
    use crate::model::millis::Millis;

    #[test]
    fn a_database_that_knows_less_than_its_anchor_is_refused() {
        let key = MachineKey::from_seed(&Zeroizing::new([7; 32]));
        let head = |seq, byte| ChainHead { seq, hash: [byte; 32] };
        let known = |epoch: u64, at| {
            let continues = (epoch > 1).then(|| Link::from(head(4, 1)));
            let epoch = Epoch { number: epoch, continues };
            Known { installation: Installation { id: "i".into(), epoch }, base: ChainHead::default(), head: at }
        };
        // The anchor's epoch and row; the database's; the hash at that row; accepted; what comes of it.
        let cases = [
            (1, 10, 1, 10, Some(9), false, ""),
            (1, 10, 1, 12, Some(9), false, ""),
            (1, 10, 1, 9, None, false, "ends at row 9 of the audit, and its anchor has seen row 10"),
            (1, 10, 1, 9, None, true, "ends at row 9 of the audit, and its anchor has seen row 10"),
            (1, 10, 1, 12, Some(8), false, "row 10 of the audit has another hash"),
            (1, 10, 1, 12, None, false, "row 10 of the audit has another hash"),
            (2, 10, 1, 12, Some(9), true, "it is of epoch 1, and its anchor has seen epoch 2"),
            (1, 10, 2, 5, None, false, "a backup that ends at row 4 of the audit, and its anchor has seen row 10"),
            (1, 10, 2, 5, None, true, ""),
            (2, 10, 2, 11, Some(9), false, ""),
        ];
        for (at_epoch, at, epoch, end, row, accept, expected) in cases {
            let line =
                Line::next(&key, &known(at_epoch, head(0, 0)).installation, None, head(at, 9), Millis(0)).unwrap();
            let row = row.map(|byte| Digest([byte; 32]));
            let judged = judge(&line.checkpoint, &known(epoch, head(end, 3)), row, accept);
            let text = judged.err().map(|it| it.to_string()).unwrap_or_default();
            assert!(if expected.is_empty() { text.is_empty() } else { text.contains(expected) }, "{expected}: {text}");
        }
    }
}
