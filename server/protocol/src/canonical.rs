//! The string to sign.

use sha2::{Digest, Sha256};

/// Lower-case hex of the SHA-256 of `bytes`; for no body at all, of the empty string.
pub fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(bytes);
    let mut hex = String::with_capacity(64);
    for byte in digest {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')));
        }
    }
    hex
}

/// `{METHOD}:{target}:{timestamp}:{nonce}:{sha256 of the body}` as UTF-8 bytes.
///
/// `target` is the raw request target as it stands on the wire: nothing is decoded or normalised, because what one side
/// normalises the other may not. `timestamp` and `nonce` are the header texts, byte for byte.
///
/// The string is not injective over arbitrary parts (a `:` in the target shifts the fields), so a server refuses
/// timestamps that are not plain decimal digits and nonces that contain `:` before it comes here;
/// [`header::SignedHeaders::parse`](crate::header::SignedHeaders::parse) does both.
pub fn string_to_sign(method: &str, target: &str, timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(method.len() + target.len() + timestamp.len() + nonce.len() + 68);
    for part in [method, target, timestamp, nonce] {
        text.push_str(part);
        text.push(':');
    }
    text.push_str(&sha256_hex(body));
    text.into_bytes()
}

/// What a proof of possession is for. The purpose is part of what is signed, so that a proof made for one route is
/// worthless at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A pod's sidecar shows its key to the operator.
    Attest,
    /// A machine registers with a one-time token.
    Register,
    /// An operator logs in with a token of its cluster.
    Login,
    /// A machine replaces its key.
    Renew,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::Attest => "sikkerkey-attest-v1",
            Self::Register => "sikkerkey-register-v1",
            Self::Login => "sikkerkey-login-v1",
            Self::Renew => "sikkerkey-renew-v1",
        }
    }
}

/// The bytes that a proof of possession signs: `{purpose}:{sha256 of the credential}:{public key in base64}`.
///
/// `credential` is the token that the request presents, or the machine id for [`Purpose::Renew`].
pub fn possession(purpose: Purpose, credential: &str, public_key: &crate::key::PublicKey) -> Vec<u8> {
    format!("{}:{}:{public_key}", purpose.label(), sha256_hex(credential.as_bytes())).into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_body_has_the_hash_of_nothing() {
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    proptest! {
        /// With the parts restricted as the header parser restricts them, no two requests sign the same bytes.
        #[test]
        fn two_different_requests_never_sign_the_same_bytes(
            a in parts(), b in parts(),
        ) {
            let sign = |(m, t, s, n, body): &(String, String, String, String, Vec<u8>)| string_to_sign(m, t, s, n, body);
            prop_assert_eq!(a == b, sign(&a) == sign(&b));
        }
    }

    fn parts() -> impl Strategy<Value = (String, String, String, String, Vec<u8>)> {
        ("(GET|POST)", "/v1/[a-c:%]{0,3}", "[0-9]{1,3}", "[a-b=/+]{1,3}", proptest::collection::vec(0u8..2, 0..2))
    }
}
