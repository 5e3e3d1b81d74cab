//! Where the audit begins, when its first rows were exported and dropped.
//!
//! The base is the last row that was dropped. It has a MAC: who can only write the database cannot drop rows by moving
//! it. One that is put back as it was before is found, because the rows behind it are missing.

use serde::{Deserialize, Serialize};

use super::ChainHead;
use crate::audit::digest::Digest;
use crate::crypto::row_mac::MacKey;

#[derive(Serialize, Deserialize)]
struct Document {
    /// The trigger that guards the table looks at it.
    seq: u64,
    hash: Digest,
    mac: Digest,
}

/// The stored form.
pub(super) fn encode(key: &MacKey, base: ChainHead) -> Result<String, serde_json::Error> {
    let mac = Digest(key.mac(&parts(&base.seq.to_be_bytes(), &base.hash)));
    serde_json::to_string(&Document { seq: base.seq, hash: Digest(base.hash), mac })
}

/// Reads the stored form; none when it was not written under this key.
pub(super) fn decode(key: &MacKey, text: &str) -> Option<ChainHead> {
    let Document { seq, hash, mac } = serde_json::from_str(text).ok()?;
    key.verifies(&parts(&seq.to_be_bytes(), &hash.0), &mac.0).then_some(ChainHead { seq, hash: hash.0 })
}

fn parts<'a>(seq: &'a [u8], hash: &'a [u8]) -> [&'a [u8]; 3] {
    [b"audit base", seq, hash]
}
