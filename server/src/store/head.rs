//! What all rows must agree with.
//!
//! A MAC on each row keeps a row from being made or changed by whoever can only write the database. It does not keep one
//! from being removed, or from being put back as it was last week: a revoked grant would be in force again. So there is
//! one more row, the head. It holds the end of the audit, the floor of the nonces and a digest over the MACs of all
//! entities, and has a MAC itself.
//!
//! The digest is the XOR of a keyed hash of each row's MAC, so it follows a change without looking at other rows. It is
//! masked with a pad that no other head has: whoever saw many digests could otherwise put rows together that cancel
//! each other out.

use serde::{Deserialize, Serialize};

use super::ChainHead;
use super::book::{self, hex};
use crate::crypto::row_mac::MacKey;

/// What all rows must agree with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Counts up with every group that is tried. Never used twice, as the mask depends on it.
    pub(super) seq: u64,
    /// Over the MACs of all entities.
    pub(super) digest: [u8; 32],
    /// The end of the audit.
    pub(super) audit: ChainHead,
    /// Timestamps at or below it are refused.
    pub(super) nonce_floor: i64,
}

#[derive(Serialize, Deserialize)]
struct Document {
    seq: u64,
    digest: String,
    audit_seq: u64,
    audit_hash: String,
    nonce_floor: i64,
    mac: String,
}

impl Head {
    /// Adds a row to the digest, or takes it out: the two are the same.
    pub(super) fn toggle(&mut self, key: &MacKey, row: &[u8; 32]) {
        xor(&mut self.digest, &key.mac(&[b"row in digest", row]));
    }

    /// The stored form.
    pub(super) fn encode(&self, key: &MacKey) -> Result<String, serde_json::Error> {
        let masked = self.masked(key);
        serde_json::to_string(&Document {
            seq: self.seq,
            digest: hex(&masked),
            audit_seq: self.audit.seq,
            audit_hash: hex(&self.audit.hash),
            nonce_floor: self.nonce_floor,
            mac: hex(&self.mac(key, &masked)),
        })
    }

    /// Reads the stored form; none when it was not written under this key.
    pub(super) fn decode(key: &MacKey, text: &str) -> Option<Self> {
        let document: Document = serde_json::from_str(text).ok()?;
        let masked = unhex(&document.digest)?;
        let mut head = Self {
            seq: document.seq,
            digest: masked,
            audit: ChainHead { seq: document.audit_seq, hash: unhex(&document.audit_hash)? },
            nonce_floor: document.nonce_floor,
        };
        // Masking twice is unmasking.
        head.digest = head.masked(key);
        let expected: [u8; 32] = unhex(&document.mac)?;
        key.verifies(&head.parts(&masked).each_ref().map(Vec::as_slice), &expected).then_some(head)
    }

    fn masked(&self, key: &MacKey) -> [u8; 32] {
        let mut masked = key.mac(&[b"mask of the digest", &self.seq.to_be_bytes()]);
        xor(&mut masked, &self.digest);
        masked
    }

    fn mac(&self, key: &MacKey, masked: &[u8; 32]) -> [u8; 32] {
        key.mac(&self.parts(masked).each_ref().map(Vec::as_slice))
    }

    fn parts(&self, masked: &[u8; 32]) -> [Vec<u8>; 6] {
        [
            b"head".to_vec(),
            self.seq.to_be_bytes().to_vec(),
            masked.to_vec(),
            self.audit.seq.to_be_bytes().to_vec(),
            self.audit.hash.to_vec(),
            self.nonce_floor.to_be_bytes().to_vec(),
        ]
    }
}

fn xor(into: &mut [u8; 32], other: &[u8; 32]) {
    for (byte, other) in into.iter_mut().zip(other) {
        *byte ^= other;
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    book::unhex(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn a_head_is_read_back_under_its_own_key_and_unchanged_only() {
        let key = MacKey::new(Zeroizing::new([1; 32]));
        let mut head =
            Head { seq: 7, audit: ChainHead { seq: 3, hash: [9; 32] }, nonce_floor: 1234, ..Head::default() };
        head.toggle(&key, &[5; 32]);
        let text = head.encode(&key).unwrap();
        assert_eq!(Head::decode(&key, &text), Some(head));
        assert!(!text.contains(&hex(&head.digest)));
        assert_eq!(Head::decode(&MacKey::new(Zeroizing::new([2; 32])), &text), None);
        for (from, to) in [("\"seq\":7", "\"seq\":8"), ("1234", "1233"), ("\"audit_seq\":3", "\"audit_seq\":2")] {
            assert_eq!(Head::decode(&key, &text.replace(from, to)), None, "{to}");
        }
        head.toggle(&key, &[5; 32]);
        assert_eq!(head.digest, [0; 32]);
    }
}
