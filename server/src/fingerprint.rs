//! Sixteen bytes in place of a name of any length, where all that is asked is whether two are the same.
//!
//! They are keyed anew with every start, so nobody can look for two names that meet; by chance two of a billion meet once
//! in 10²⁰ servers.

use std::hash::{BuildHasher, Hash, RandomState};

/// What stands for a name. Means something to the [`Fingerprints`] that made it, and to nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u64; 2]);

/// The key under which names are told apart.
#[derive(Clone, Debug, Default)]
pub struct Fingerprints([RandomState; 2]);

impl Fingerprints {
    /// What stands for this name.
    pub fn of(&self, name: &(impl Hash + ?Sized)) -> Fingerprint {
        Fingerprint(self.0.each_ref().map(|key| key.hash_one(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_and_another_name_or_key_has_another() {
        let names = Fingerprints::default();
        assert_eq!(names.of("a"), names.of(&"a".to_owned()));
        assert_ne!(names.of("a"), names.of("b"));
        assert_ne!(names.of("a"), Fingerprints::default().of("a"));
        let [one, other] = names.of("a").0;
        assert_ne!(one, other);
    }
}
