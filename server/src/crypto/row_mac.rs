//! Message authentication codes: whoever can only write the database cannot make one.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::envelope::Key;

/// A key that authenticates.
pub struct MacKey(Key);

impl MacKey {
    /// Takes the key over.
    pub fn new(key: Key) -> Self {
        Self(key)
    }

    /// HMAC-SHA256 over the parts, each with its length before it.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // A key of 32 bytes is never refused; should it be, the empty MAC below matches nothing that was stored.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.0) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is the MAC of the parts.
    pub fn verifies(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.mac(parts).ct_eq(tag).into()
    }
}
