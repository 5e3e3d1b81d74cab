//! Time-based one-time passwords (RFC 6238): six digits, SHA-1, 30 seconds, as every authenticator app makes them.

use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use super::CryptoError;
use crate::entropy::{self, Entropy};
use crate::model::millis::Millis;

/// Bytes of a seed: what RFC 4226 recommends.
pub const SEED_LEN: usize = 20;
/// What apps show beside the account.
const ISSUER: &str = "SikkerKey";
/// Steps before and after now whose codes are taken: clocks of telephones differ.
const SKEW: u16 = 1;

/// The seed that server and app share. Wiped when dropped.
pub struct Seed(Zeroizing<[u8; SEED_LEN]>);

impl Seed {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(entropy::bytes(entropy))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        let right = bytes.len() == seed.len();
        seed.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        if right { Ok(Self(seed)) } else { Err(CryptoError::Open) }
    }

    pub(super) fn expose(&self) -> &[u8] {
        &*self.0
    }

    /// The step of time that `code` is of, when it is one that is taken now and later than `after`.
    pub fn step(&self, code: &str, now: Millis, after: u64) -> Option<u64> {
        let seconds = u64::try_from(now.seconds()).ok()?;
        let step = self.totp("").ok()?.check(code, seconds)?;
        (step > after).then_some(step)
    }

    /// For typing in: base32, and for a QR code: `otpauth://…`.
    pub fn shown(&self, email: &str) -> Result<(Zeroizing<String>, Zeroizing<String>), CryptoError> {
        // A colon would end the name there.
        let totp = self.totp(&email.replace(':', "_"))?;
        let url = totp.to_url().map_err(|_| CryptoError::Seal)?;
        Ok((Zeroizing::new(totp.secret().to_base32()), Zeroizing::new(url)))
    }

    /// The code at `now`.
    #[cfg(test)]
    pub(crate) fn code(&self, now: Millis) -> String {
        self.totp("").unwrap().generate(u64::try_from(now.seconds()).unwrap()).to_string()
    }

    fn totp(&self, email: &str) -> Result<Totp, CryptoError> {
        Builder::new()
            .with_secret(*self.0)
            .with_skew(SKEW)
            .with_issuer(Some(ISSUER))
            .with_account_name(email)
            .build()
            .map_err(|_| CryptoError::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 6238, appendix B.
    fn seed() -> Seed {
        Seed::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(seed().code(Millis(seconds * 1000)), code);
            let step = u64::try_from(seconds).unwrap() / 30;
            assert_eq!(seed().step(code, Millis(seconds * 1000), 0), Some(step));
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_and_one_step_late_and_never_after_a_later_one() {
        let at = |seconds: i64| Millis(seconds * 1000);
        let code = seed().code(at(3000));
        for (now, after, step) in [
            (2969, 0, None),
            (2970, 0, Some(100)),
            (3000, 99, Some(100)),
            (3000, 100, None),
            (3000, 101, None),
            (3059, 0, Some(100)),
            (3060, 0, None),
        ] {
            assert_eq!(seed().step(&code, at(now), after), step, "at {now} after step {after}");
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        for code in ["", "28708", "2870820", "28708a", "٢٨٧٠٨٢"] {
            assert_eq!(seed().step(code, Millis(59_000), 0), None, "{code}");
        }
    }

    #[test]
    fn the_seed_is_shown_for_typing_and_for_scanning() {
        let (text, url) = seed().shown("o:hara@example.com").unwrap();
        assert_eq!(*text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            *url,
            "otpauth://totp/SikkerKey:o_hara%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=SikkerKey"
        );
    }
}
