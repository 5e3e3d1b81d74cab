//! Ed25519 keys and signatures (RFC 8032).

mod batch;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

pub use self::batch::{Claim, verify_all};
use crate::canonical::sha256_hex;

/// Why a public key or a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the standard base64 (with padding) of the right number of bytes.
    #[error(
        "a public key is the standard base64 of 32 bytes (44 characters), a signature that of 64 bytes (88 characters)"
    )]
    Encoding,
    /// The bytes are no point of the curve, or not the one way to write it.
    #[error("the public key is not a point of the Ed25519 curve in its canonical encoding")]
    NotOnCurve,
    /// A key of small order verifies signatures that nobody made.
    #[error("the public key is weak (small order): make a new one")]
    Weak,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
}

/// A public key that is on the curve, canonically encoded, and not weak. Text form: standard base64 of the 32 raw bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Parses the 32 raw bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        if !batch::is_canonical(bytes) {
            return Err(KeyError::NotOnCurve);
        }
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// The 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Verifies one signature, by the same rules as [`verify_all`] and with the same answer.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        if batch::verify_one(&Claim { key: self, message, signature }) { Ok(()) } else { Err(KeyError::BadSignature) }
    }

    /// What a person compares: `SHA256:` and the hex of the key's hash, in the first 32 digits.
    pub fn fingerprint(&self) -> String {
        let hash = sha256_hex(self.as_bytes());
        format!("SHA256:{}", hash.get(..32).unwrap_or(&hash))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&decode::<32>(text)?)
    }
}

/// A signature. Text form: standard base64 of the 64 raw bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature(ed25519_dalek::Signature);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.to_bytes()))
    }
}

impl FromStr for Signature {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(ed25519_dalek::Signature::from_bytes(&decode::<64>(text)?)))
    }
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError::Encoding)
}

macro_rules! text_form {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
text_form!(PublicKey);
text_form!(Signature);

#[cfg(feature = "schema")]
crate::schema::text!(PublicKey, "the 32 raw bytes of an Ed25519 public key in base64", "^[A-Za-z0-9+/]{43}=$");
#[cfg(feature = "schema")]
crate::schema::text!(Signature, "the 64 raw bytes of an Ed25519 signature in base64", "^[A-Za-z0-9+/]{86}==$");

/// A private key. It lives in memory only: there is no way to print, copy or serialise it, and it is wiped when dropped.
pub struct MachineKey(SigningKey);

impl MachineKey {
    /// Makes a key from 32 random bytes, which are the caller's to draw (from the operating system).
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message))
    }
}

impl fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineKey(public {})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::string_to_sign;

    fn counting_key() -> MachineKey {
        MachineKey::from_seed(&Zeroizing::new(core::array::from_fn(|i| u8::try_from(i).unwrap())))
    }

    #[test]
    fn the_protocol_vectors_come_out_byte_for_byte() {
        let key = counting_key();
        assert_eq!(key.public_key().to_string(), "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=");
        let nonce = "AAAAAAAAAAAAAAAAAAAAAA==";
        let vectors: [(&str, &str, &[u8], &str); 2] = [
            (
                "GET",
                "/v1/secret/sk_a1b2c3d4e5",
                b"",
                "WMI5naFwk1+xqOKsukrTFsCqnoCXIfLlGIwPWUplNEyLt7hqlpSlxcA7Pcvs6ywWJwvlQ7PFHVUBgzRFPocYAw==",
            ),
            (
                "POST",
                "/v1/secrets/list",
                br#"{"projectId":"proj_x9y8z7w6v5"}"#,
                "G06MZ3JXP7pMuZPu3zqU8khcAdt3IWnAl9d6Ac1NWh6RRs4p8eeXkglby6g7BHkGTYeDWUiitcwX0bjtvUIQCA==",
            ),
        ];
        for (method, target, body, expected) in vectors {
            let message = string_to_sign(method, target, "1711468800", nonce, body);
            let signature = key.sign(&message);
            assert_eq!(signature.to_string(), expected, "{method} {target}");
            key.public_key().verify(&message, &expected.parse().unwrap()).unwrap();
        }
        let get = string_to_sign("GET", "/v1/secret/sk_a1b2c3d4e5", "1711468800", nonce, b"");
        assert_eq!(
            String::from_utf8(get).unwrap(),
            "GET:/v1/secret/sk_a1b2c3d4e5:1711468800:AAAAAAAAAAAAAAAAAAAAAA==:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    /// RFC 8032 section 7.1, tests 1 to 3: secret key, public key, message, signature.
    #[test]
    fn the_vectors_of_rfc_8032_come_out_byte_for_byte() {
        let vectors = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        for (secret, public, message, signature) in vectors {
            let key = MachineKey::from_seed(&Zeroizing::new(unhex(secret).try_into().unwrap()));
            assert_eq!(key.public_key().as_bytes().to_vec(), unhex(public));
            assert_eq!(key.sign(&unhex(message)).0.to_bytes().to_vec(), unhex(signature));
        }
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn every_small_order_point_is_refused_as_a_public_key() {
        // The eight points of small order in their canonical encodings (RFC 7748 section 7, ed25519 form).
        let small = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ];
        for point in small {
            assert_eq!(PublicKey::from_bytes(&unhex(point).try_into().unwrap()), Err(KeyError::Weak), "{point}");
        }
    }

    #[test]
    fn a_key_of_another_encoding_is_refused() {
        for text in
            ["", "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg", "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", "AAAA"]
        {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Encoding), "{text}");
        }
    }

    #[test]
    fn a_private_key_prints_only_its_public_half() {
        let key = counting_key();
        assert_eq!(format!("{key:?}"), format!("MachineKey(public {})", key.public_key()));
    }
}
