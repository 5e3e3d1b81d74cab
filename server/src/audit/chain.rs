//! The chain: each row's hash covers the one before it.
//!
//! The hash is an HMAC under a key that follows from the root key, so whoever can only write the database cannot make a
//! row that fits, nor take one out and mend the rest.

use super::entry::Entry;
use crate::crypto::row_mac::MacKey;
use crate::model::millis::Millis;
use crate::store::{AuditRow, ChainHead};

/// The hash of a row after `previous`.
pub fn hash(key: &MacKey, previous: &[u8; 32], seq: u64, time: Millis, entry: &str) -> [u8; 32] {
    key.mac(&[b"audit row", previous, &seq.to_be_bytes(), &time.0.to_be_bytes(), entry.as_bytes()])
}

/// Chains entries to the end of the audit. Returns the rows; the new end is the last of them.
pub fn append(
    key: &MacKey,
    head: ChainHead,
    time: Millis,
    entries: &[Entry],
) -> Result<Vec<AuditRow>, serde_json::Error> {
    let mut head = head;
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let entry = serde_json::to_string(entry)?;
        let seq = head.seq + 1;
        head = ChainHead { seq, hash: hash(key, &head.hash, seq, time, &entry) };
        rows.push(AuditRow { seq, time, entry, hash: head.hash });
    }
    Ok(rows)
}
