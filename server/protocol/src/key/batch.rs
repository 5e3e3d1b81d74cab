//! Verification, of one signature or of many at once.
//!
//! # What is accepted
//!
//! A signature `(R, S)` of a message `M` under the key `A` is accepted when
//!
//! 1. `A` is canonically encoded and not of small order: [`PublicKey`] is nothing else;
//! 2. `S` is less than the order of the base point;
//! 3. `R` is canonically encoded and not of small order;
//! 4. `8·S·B = 8·R + 8·k·A`, where `k` is the hash of `R`, `A` and `M`.
//!
//! The fourth is the equation of RFC 8032, section 5.1.7, with its cofactor. Leaving the eight out, which the RFC allows
//! and "strict" verification does, cannot be done for many signatures at once: a random combination of equations finds
//! a difference of small order with a probability of one half at best, so whether such a signature passed would depend on
//! whom it came in with. With the eight, one signature and many give the same answer, except with a probability of
//! 2⁻¹²⁵. What is refused beyond the RFC in 1 to 3 is what libraries disagree about.
//!
//! # Why the eight is safe
//!
//! The two equations differ only where `R` or `A` has a component of small order. Nobody but the owner of the private key
//! can make such a signature: `R` goes into the hash `k`, so changing it afterwards asks for another `S`, and that asks
//! for the key. Who owns the key can sign the same message in as many ways as he likes anyway. A signature that somebody
//! else made cannot be altered into another one, which is what counts here (S. Chalkias, Garillot and Nikolaenko, "Taming
//! the many `EdDSAs`", 2020; Brendel and others, "The Provable Security of Ed25519", 2020).

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

use super::{PublicKey, Signature};

/// A signature that somebody presents.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Of whom it is said to be.
    pub key: &'a PublicKey,
    /// What is said to be signed.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a Signature,
}

/// Below this many, one by one costs no more.
const FEW: usize = 3;

/// Verifies many signatures: for each, in their order, whether it is good. A bad one costs time, and changes nothing for
/// the others.
pub fn verify_all(claims: &[Claim<'_>]) -> Vec<bool> {
    let mut good = vec![false; claims.len()];
    let equations: Vec<(usize, Equation)> =
        claims.iter().enumerate().filter_map(|(place, claim)| Some((place, Equation::of(claim)?))).collect();
    settle(&equations, &mut good);
    good
}

/// Verifies one signature.
pub(super) fn verify_one(claim: &Claim<'_>) -> bool {
    Equation::of(claim).is_some_and(|it| it.holds())
}

/// Whether `bytes` encode their `y` below the field's prime, 2²⁵⁵ − 19. The other doubtful encodings, of `x = 0` with a
/// sign, are those of two points of small order.
pub(super) fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    high & 0x7f != 0x7f || *low < 0xed || middle.iter().any(|it| *it != 0xff)
}

/// `8·(S·B − R − k·A) = 0`
struct Equation {
    s: Scalar,
    r: EdwardsPoint,
    k: Scalar,
    minus_a: EdwardsPoint,
    /// Binds the random factors to all that is verified.
    transcript: [u8; 96],
}

impl Equation {
    /// None: what can be refused without looking at the equation.
    fn of(claim: &Claim<'_>) -> Option<Self> {
        let signature = &claim.signature.0;
        let s = Option::from(Scalar::from_canonical_bytes(*signature.s_bytes()))?;
        if !is_canonical(signature.r_bytes()) {
            return None;
        }
        let r = CompressedEdwardsY(*signature.r_bytes()).decompress().filter(|it| !it.is_small_order())?;
        let hash = Sha512::new().chain_update(signature.r_bytes()).chain_update(claim.key.as_bytes());
        let hash: [u8; 64] = hash.chain_update(claim.message).finalize().into();
        let mut transcript = [0; 96];
        let (first, last) = transcript.split_at_mut(64);
        first.copy_from_slice(&hash);
        last.copy_from_slice(signature.s_bytes());
        let minus_a = -claim.key.0.to_edwards();
        Some(Self { s, r, k: Scalar::from_bytes_mod_order_wide(&hash), minus_a, transcript })
    }

    fn holds(&self) -> bool {
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.k, &self.minus_a, &self.s);
        (expected - self.r).mul_by_cofactor().is_identity()
    }
}

/// Halves what does not hold as a whole, so that a bad signature costs about as much again as the whole did.
fn settle(equations: &[(usize, Equation)], good: &mut [bool]) {
    if equations.len() < FEW {
        for (place, equation) in equations {
            mark(good, *place, equation.holds());
        }
    } else if hold_together(equations) {
        for (place, _) in equations {
            mark(good, *place, true);
        }
    } else {
        let (left, right) = equations.split_at(equations.len() / 2);
        settle(left, good);
        settle(right, good);
    }
}

fn mark(good: &mut [bool], place: usize, is_good: bool) {
    if let Some(mark) = good.get_mut(place) {
        *mark = is_good;
    }
}

/// Whether a random combination of the equations holds: then, except with a probability of 2⁻¹²⁵, each does.
fn hold_together(equations: &[(usize, Equation)]) -> bool {
    let factors = factors(equations);
    // An equation without a factor would not be looked at.
    if factors.len() != equations.len() {
        return false;
    }
    let base: Scalar = equations.iter().zip(&factors).map(|((_, it), factor)| it.s * factor).sum();
    let scalars = equations.iter().zip(&factors).flat_map(|((_, it), factor)| [-factor, it.k * factor]);
    let points = equations.iter().flat_map(|(_, it)| [it.r, it.minus_a]);
    let sum = EdwardsPoint::vartime_multiscalar_mul(
        std::iter::once(base).chain(scalars),
        std::iter::once(ED25519_BASEPOINT_POINT).chain(points),
    );
    sum.mul_by_cofactor().is_identity()
}

/// A factor of 128 bits for each. They are a hash of everything that is verified, so whoever chooses a signature cannot
/// choose it to fit them.
fn factors(equations: &[(usize, Equation)]) -> Vec<Scalar> {
    let mut seed = Sha512::new().chain_update(b"sikkerkey-batch-v1");
    for (_, equation) in equations {
        seed.update(equation.transcript);
    }
    let seed = seed.finalize();
    let count = u64::try_from(equations.len()).unwrap_or(u64::MAX);
    let blocks = (0..count.div_ceil(4)).map(|n| Sha512::new().chain_update(seed).chain_update(n.to_le_bytes()));
    let bytes = blocks.flat_map(|block| <[u8; 64]>::from(block.finalize()).as_chunks::<16>().0.to_vec());
    bytes.map(|it| Scalar::from(u128::from_le_bytes(it))).take(equations.len()).collect()
}

#[cfg(test)]
mod tests;
