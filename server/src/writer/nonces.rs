//! Nonces that can still matter.
//!
//! A signed request carries its timestamp under its signature, so a replay has the timestamp of the original, and the
//! table's key `(expiry, signer, nonce)` finds it. What that key does not find is a nonce that its owner uses again with
//! another timestamp. That is refused as well, and found here: in memory, as keyed 64-bit hashes, filled from the table
//! when the server starts.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::model::spend::{LIFE_SECONDS, Spend};

/// Hashes of one stretch of timestamps.
struct Generation {
    first: i64,
    hashes: HashSet<u64>,
}

/// Nonces that can still matter.
pub(crate) struct Nonces {
    hasher: RandomState,
    /// Newest last. Each covers [`LIFE_SECONDS`] of timestamps.
    generations: VecDeque<Generation>,
    /// Timestamps at or below it are refused: their nonces are forgotten.
    floor: i64,
    /// The latest timestamp.
    latest: i64,
}

impl Nonces {
    pub(crate) fn new(floor: i64) -> Self {
        Self { hasher: RandomState::new(), generations: VecDeque::new(), floor, latest: floor }
    }

    /// Timestamps at or below it are refused.
    pub(crate) fn floor(&self) -> i64 {
        self.floor
    }

    /// Nonces of timestamps at or below `floor` are forgotten.
    pub(crate) fn raise_floor(&mut self, floor: i64) {
        self.floor = self.floor.max(floor);
        while self.generations.front().is_some_and(|it| it.first + LIFE_SECONDS <= self.floor) {
            self.generations.pop_front();
        }
    }

    /// No timestamp of a nonce that was remembered is later.
    pub(crate) fn latest(&self) -> i64 {
        self.latest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.generations.is_empty()
    }

    pub(crate) fn contains(&self, spend: &Spend) -> bool {
        let hash = self.hash(spend);
        self.generations.iter().any(|it| it.hashes.contains(&hash))
    }

    pub(crate) fn remember(&mut self, spend: &Spend) {
        let hash = self.hash(spend);
        self.latest = self.latest.max(spend.timestamp);
        let first = spend.timestamp.div_euclid(LIFE_SECONDS) * LIFE_SECONDS;
        let place = self.generations.partition_point(|it| it.first < first);
        if self.generations.get(place).is_none_or(|it| it.first != first) {
            self.generations.insert(place, Generation { first, hashes: HashSet::new() });
        }
        if let Some(generation) = self.generations.get_mut(place) {
            generation.hashes.insert(hash);
        }
    }

    fn hash(&self, spend: &Spend) -> u64 {
        self.hasher.hash_one((&spend.signer, &spend.nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(nonce: &str, timestamp: i64) -> Spend {
        Spend { signer: "m".into(), nonce: nonce.into(), timestamp, address: None }
    }

    #[test]
    fn a_nonce_is_known_whatever_the_timestamp_until_the_floor_passes_it() {
        let mut nonces = Nonces::new(0);
        nonces.remember(&spend("a", 1000));
        assert!(nonces.contains(&spend("a", 1300)));
        assert!(!nonces.contains(&spend("b", 1000)));
        nonces.remember(&spend("c", 900));
        assert_eq!(nonces.latest(), 1000);
        nonces.raise_floor(999);
        assert!(nonces.contains(&spend("a", 1300)));
        nonces.raise_floor(1000 + LIFE_SECONDS);
        assert!(!nonces.contains(&spend("a", 2000)));
        assert_eq!(nonces.floor(), 1000 + LIFE_SECONDS);
        nonces.raise_floor(5);
        assert_eq!(nonces.floor(), 1000 + LIFE_SECONDS);
    }
}
