//! Where the chain ended at some moment, signed.
//!
//! Checkpoints are chained as well: each names the hash of the line before it, so that a line that is taken out of the
//! middle is missed. Every server process has a chain of checkpoints of its own; several may share one anchor, and a
//! line may stand there twice, because it is sent again when nobody knows whether it arrived.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::key::{MachineKey, PublicKey};

use super::digest::Digest;
use super::signed::{self, LineError, Signable};
use crate::model::millis::Millis;
use crate::store::ChainHead;

/// The data that a server serves, and since when it goes on without having been restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its id, made with the database.
    pub id: String,
    /// Which epoch.
    pub epoch: Epoch,
}

/// The time between two restores. A restored database is in the next epoch: its rows may differ from those that an
/// anchor has seen, beginning with the one after [`Epoch::continues`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// 1 and up.
    pub number: u64,
    /// The last row that the backup had.
    pub continues: Option<Link>,
}

impl Epoch {
    /// The name of the row in the database's `meta` that holds the epoch, as JSON. None stands for the first epoch. Who
    /// restores a backup writes the next number there, with the end of the chain that the backup had.
    pub const META: &'static str = "epoch";

    /// Reads what stands in the database.
    pub fn parse(text: Option<&str>) -> Result<Self, serde_json::Error> {
        text.map_or(Ok(Self { number: 1, continues: None }), serde_json::from_str)
    }
}

/// A row and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The number of the row; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

impl From<ChainHead> for Link {
    fn from(head: ChainHead) -> Self {
        Self { seq: head.seq, hash: Digest(head.hash) }
    }
}

/// Where the chain ended at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Of which data.
    pub installation: String,
    /// In which epoch.
    pub epoch: Epoch,
    /// The last row.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// When this was written.
    pub time: Millis,
    /// Rows since the last checkpoint of this process.
    pub rows: u64,
    /// SHA-256 of the line before this one; none for the first.
    pub previous: Option<Digest>,
    /// Ed25519, by the key that `admin audit-key` shows.
    signature: String,
}

impl Signable for Checkpoint {
    const KIND: &'static str = "sikkerkey audit checkpoint v1";

    fn signature(&mut self) -> &mut String {
        &mut self.signature
    }
}

/// A checkpoint as it is written: one line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// How it is written.
    pub text: String,
}

impl Line {
    /// The next checkpoint after `last`.
    pub fn next(
        key: &MachineKey,
        installation: &Installation,
        last: Option<&Self>,
        head: ChainHead,
        time: Millis,
    ) -> Result<Self, serde_json::Error> {
        // A restored database has fewer rows than the last checkpoint saw.
        let before = last.map_or(0, |it| it.checkpoint.seq);
        let mut checkpoint = Checkpoint {
            installation: installation.id.clone(),
            epoch: installation.epoch,
            seq: head.seq,
            hash: Digest(head.hash),
            time,
            rows: head.seq.saturating_sub(before),
            previous: last.map(Self::digest),
            signature: String::new(),
        };
        let text = signed::sign(key, &mut checkpoint)?;
        Ok(Self { checkpoint, text })
    }

    /// Reads a line, if it was signed with this key.
    pub fn parse(key: &PublicKey, text: &str) -> Result<Self, LineError> {
        Ok(Self { checkpoint: signed::open(key, text)?, text: text.to_owned() })
    }

    /// What the next line names.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn a_checkpoint_is_read_back_in_its_own_form_and_under_its_own_key_only() {
        let key = MachineKey::from_seed(&Zeroizing::new([7; 32]));
        let installation = Installation { id: "i".into(), epoch: Epoch { number: 1, continues: None } };
        let head = |seq| ChainHead { seq, hash: [9; 32] };
        let first = Line::next(&key, &installation, None, head(3), Millis(5)).unwrap();
        let second = Line::next(&key, &installation, Some(&first), head(8), Millis(6)).unwrap();
        assert_eq!(Line::parse(&key.public_key(), &second.text), Ok(second.clone()));
        assert_eq!((second.checkpoint.rows, second.checkpoint.previous), (5, Some(first.digest())));

        let other = MachineKey::from_seed(&Zeroizing::new([8; 32])).public_key();
        assert_eq!(Line::parse(&other, &first.text), Err(LineError::Signature));
        for (from, to, error) in [
            ("\"seq\":3", "\"seq\":2", LineError::Signature),
            ("\"time\":5", "\"time\":6", LineError::Signature),
            ("\"number\":1", "\"number\":2", LineError::Signature),
            ("0909", "0908", LineError::Signature),
            ("\"seq\":3", "\"seq\": 3", LineError::Form),
            ("{\"installation\"", "{\"more\":1,\"installation\"", LineError::Form),
            ("0909", "", LineError::Form),
            ("}", "", LineError::Form),
        ] {
            let changed = first.text.replacen(from, to, 1);
            assert_ne!(changed, first.text, "{from}");
            assert_eq!(Line::parse(&key.public_key(), &changed), Err(error), "{from} {to}");
        }
    }
}
