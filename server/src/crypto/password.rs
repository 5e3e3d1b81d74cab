//! Passwords as they are stored: Argon2id, with a pepper.
//!
//! A stored hash is a PHC string, which says with which parameters it was made. The pepper follows from the master key,
//! so that whoever has the database alone cannot even try passwords. Each hash takes [`MEMORY_KIB`] of memory and a good
//! part of a second: call this on a blocking thread ([`crate::passwords`]).

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use super::CryptoError;
use super::envelope::Key;
use crate::entropy::{self, Entropy};

/// Memory of one hash.
pub const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 2;
/// Of the same cost as every other, and of no password: what is verified for whoever has none, so that it takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=65536,t=3,p=2$c2lra2Vya2V5LW5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another password.
    Wrong,
    /// This password.
    Right {
        /// Whether the hash costs less to try than a new one would.
        weak: bool,
    },
}

/// Hashes and verifies passwords.
pub struct Pepper(Key);

impl Pepper {
    pub(super) fn new(key: Key) -> Self {
        Self(key)
    }

    /// The PHC string of a password.
    pub fn hash(&self, password: &[u8], entropy: &dyn Entropy) -> Result<String, CryptoError> {
        self.hash_with(password, parameters()?, entropy)
    }

    fn hash_with(&self, password: &[u8], cost: Params, entropy: &dyn Entropy) -> Result<String, CryptoError> {
        let salt = entropy::bytes::<16>(entropy);
        let argon2 = self.argon2(cost)?;
        Ok(argon2.hash_password_with_salt(password, &*salt).map_err(|_| CryptoError::Seal)?.to_string())
    }

    /// Whether `stored` is this password. Without one it takes the same time and is wrong.
    pub fn verify(&self, password: &[u8], stored: Option<&str>) -> Result<Verdict, CryptoError> {
        let hash = PasswordHash::new(stored.unwrap_or(NOBODY)).map_err(|_| CryptoError::Open)?;
        let cost = Params::try_from(&hash).map_err(|_| CryptoError::Open)?;
        let newest = parameters()?;
        let weak = hash.algorithm != Algorithm::Argon2id.ident()
            || cost.m_cost() < newest.m_cost()
            || cost.t_cost() < newest.t_cost();
        let right = self.argon2(cost)?.verify_password(password, &hash).is_ok();
        Ok(if right && stored.is_some() { Verdict::Right { weak } } else { Verdict::Wrong })
    }

    fn argon2(&self, cost: Params) -> Result<Argon2<'_>, CryptoError> {
        Argon2::new_with_secret(&*self.0, Algorithm::Argon2id, Version::V0x13, cost).map_err(|_| CryptoError::Seal)
    }
}

fn parameters() -> Result<Params, CryptoError> {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(|_| CryptoError::Seal)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn pepper(byte: u8) -> Pepper {
        Pepper::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_password_is_stored_as_argon2id_with_the_documented_cost_and_verifies_under_the_same_pepper_alone() {
        let hash = pepper(1).hash(b"correct horse battery", &SystemEntropy).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=65536,t=3,p=2$"), "{hash}");
        let verdict = |pepper: &Pepper, password: &[u8]| pepper.verify(password, Some(&hash)).unwrap();
        assert_eq!(verdict(&pepper(1), b"correct horse battery"), Verdict::Right { weak: false });
        assert_eq!(verdict(&pepper(1), b"correct horse Battery"), Verdict::Wrong);
        assert_eq!(verdict(&pepper(2), b"correct horse battery"), Verdict::Wrong);
    }

    #[test]
    fn whoever_has_no_password_is_verified_at_the_same_cost_and_never_let_in() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(Params::try_from(&hash).unwrap(), parameters().unwrap());
        assert_eq!(pepper(1).verify(b"", None), Ok(Verdict::Wrong));
    }

    #[test]
    fn a_hash_that_costs_less_to_try_is_told_as_weak() {
        let cheap = Params::new(8 * 1024, 1, 1, Some(32)).unwrap();
        let hash = pepper(1).hash_with(b"correct horse battery", cheap, &SystemEntropy).unwrap();
        let verdict = pepper(1).verify(b"correct horse battery", Some(&hash));
        assert_eq!(verdict, Ok(Verdict::Right { weak: true }));
        assert_eq!(pepper(1).verify(b"another horse battery", Some(&hash)), Ok(Verdict::Wrong));
    }

    #[test]
    fn what_is_no_hash_lets_nobody_in() {
        assert_eq!(pepper(1).verify(b"", Some("")), Err(CryptoError::Open));
        assert_eq!(pepper(1).verify(b"", Some("$argon2id$v=19$m=65536,t=3,p=2")), Ok(Verdict::Wrong));
    }
}
