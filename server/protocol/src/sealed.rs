//! Sealed values: what may stand in Git, because only the server opens it.
//!
//! A value is encrypted to a public key of its vault by HPKE ([RFC 9180]) in base mode with
//! DHKEM(X25519, HKDF-SHA256) (0x0020), HKDF-SHA256 (0x0001) and AES-256-GCM (0x0002), one message for each
//! encapsulated key. Whoever has the public key can seal; who sealed something is not proven.
//!
//! # The bytes
//!
//! All numbers are big-endian. `text(x)` is the length of `x` in bytes as 2 bytes, then `x` in UTF-8.
//!
//! | What | Bytes |
//! |---|---|
//! | ciphertext | the encapsulated key (32), the encrypted plaintext, the tag (16); in an object as base64 with padding |
//! | `info` | `text("sikkerkey-sealed-v1")`, `text(vault)`, `text(key id)` |
//! | `aad` | cluster: `01 text(name)` or `00` for any; `text(namespace)`; name: `01 text(name)` or `00` for any of the namespace |
//! | plaintext | format `01`; time of sealing in Unix milliseconds (8); number of fields (2); for each field `text(name)`; length of the value (4); the value in UTF-8; zeros up to a multiple of 64 bytes |
//!
//! The plaintext's length is a multiple of 64, so that the ciphertext does not tell how long a password is.
//!
//! # What is bound
//!
//! Vault and key are in `info`, so a key of another vault makes another secret of the two keys; cluster, namespace and
//! name are in `aad`. None of them stands in the ciphertext: whoever opens it says what it has to be for. The time is
//! inside, authenticated, and lets the server refuse an older value after a newer one.
//!
//! [RFC 9180]: https://www.rfc-editor.org/rfc/rfc9180

use std::convert::Infallible;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::id::VaultId;
use crate::secret_text::SecretText;

/// The one suite there is, as key files name it.
pub const SUITE: &str = "DHKEM-X25519-HKDF-SHA256/HKDF-SHA256/AES-256-GCM";
/// The longest ciphertext, in bytes: 24 KiB of base64.
pub const MAX_CIPHERTEXT: usize = 18 * 1024;
/// The shortest ciphertext, in bytes.
pub const MIN_CIPHERTEXT: usize = KEY + BLOCK + TAG;

const LABEL: &str = "sikkerkey-sealed-v1";
const FORMAT: u8 = 1;
const KEY: usize = 32;
const TAG: usize = 16;
const BLOCK: usize = 64;
/// Where the sealing keys of a vault are published: `GET`, unsigned, followed by the vault's id.
pub const PUBLISHED: &str = "/v1/sealing-key/";

/// A public sealing key, as the server publishes it and as `sikkerkey-server admin sealing-key show` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PublishedKey {
    /// The vault whose values are sealed to it.
    #[serde(rename = "vaultID")]
    pub vault: VaultId,
    /// What an object names it by.
    #[serde(rename = "keyID")]
    pub key_id: String,
    /// [`SUITE`].
    pub suite: String,
    /// The key.
    pub public_key: SealingPublicKey,
}

/// What sealed values are encrypted to: 32 bytes of X25519, in base64 on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SealingPublicKey([u8; KEY]);

#[cfg(feature = "schema")]
crate::schema::text!(SealingPublicKey, "the 32 raw bytes of an X25519 public key in base64", "^[A-Za-z0-9+/]{43}=$");

/// What opens sealed values. Wiped when dropped; has no `Debug` of its content and no `Serialize`.
pub struct SealingPrivateKey(Zeroizing<[u8; KEY]>);

/// Where a sealed value belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The vault.
    pub vault: &'a VaultId,
    /// The key it is sealed to.
    pub key_id: &'a str,
    /// The cluster; none: any cluster of the vault.
    pub cluster: Option<&'a str>,
    /// The namespace.
    pub namespace: &'a str,
    /// The name of the object; none: any object of the namespace.
    pub name: Option<&'a str>,
}

/// What is inside.
#[derive(Clone, Debug)]
pub struct Content {
    /// When it was sealed, in Unix milliseconds.
    pub sealed_at: i64,
    /// Names of the fields of a structured value; empty for a plain one.
    pub field_names: Vec<String>,
    /// The value; of a structured one, a JSON object.
    pub value: SecretText,
}

/// Why a value cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It has more bytes than an object may have.
    #[error("value and field names are larger than a sealed value may be")]
    TooLarge,
    /// The key is one of the few that encrypt to everybody.
    #[error("the sealing key is no usable X25519 key")]
    Key,
}

/// Why a value does not open. Says nothing about what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short or too long to be one.
    #[error("a sealed value has from {MIN_CIPHERTEXT} to {MAX_CIPHERTEXT} bytes")]
    Size,
    /// Sealed to another key or for another place, or altered.
    #[error("the sealed value was sealed for another place or key, or altered")]
    Elsewhere,
    /// It opens, and is of a format that is not known.
    #[error("the sealed value has format {0}, which this version does not know")]
    Format(u8),
    /// It opens, and is not what its format says.
    #[error("the sealed value opens, but was not put together as its format says")]
    Content,
}

/// The text is no public sealing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public sealing key (base64 of 32 bytes)")]
pub struct SealingKeyError;

impl SealingPrivateKey {
    /// The key that follows from 32 random bytes (RFC 9180, section 7.1.3).
    pub fn derive(seed: &[u8; KEY]) -> Self {
        let (private, _) = X25519HkdfSha256::derive_keypair(seed);
        let mut bytes = Zeroizing::new([0; KEY]);
        private.write_exact(&mut *bytes);
        Self(bytes)
    }

    /// Takes over what [`SealingPrivateKey::expose`] gave.
    pub fn from_bytes(bytes: Zeroizing<[u8; KEY]>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be kept sealed. The name is long so that a reviewer sees every place.
    pub fn expose(&self) -> &[u8; KEY] {
        &self.0
    }

    /// Its public half.
    pub fn public_key(&self) -> Result<SealingPublicKey, SealingKeyError> {
        let public = X25519HkdfSha256::sk_to_pk(&self.parsed().map_err(|_| SealingKeyError)?);
        let mut bytes = [0; KEY];
        public.write_exact(&mut bytes);
        Ok(SealingPublicKey(bytes))
    }

    fn parsed(&self) -> Result<<X25519HkdfSha256 as Kem>::PrivateKey, hpke::HpkeError> {
        Deserializable::from_bytes(&*self.0)
    }
}

impl fmt::Debug for SealingPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingPrivateKey")
    }
}

impl fmt::Display for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({self})")
    }
}

impl std::str::FromStr for SealingPublicKey {
    type Err = SealingKeyError;

    fn from_str(text: &str) -> Result<Self, SealingKeyError> {
        let bytes = STANDARD.decode(text).map_err(|_| SealingKeyError)?;
        bytes.try_into().map(Self).map_err(|_| SealingKeyError)
    }
}

impl Serialize for SealingPublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SealingPublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Binding<'_> {
    fn info(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        for part in [LABEL, self.vault.as_str(), self.key_id] {
            push_text(&mut bytes, part);
        }
        bytes
    }

    fn associated_data(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        push_choice(&mut bytes, self.cluster);
        push_text(&mut bytes, self.namespace);
        push_choice(&mut bytes, self.name);
        bytes
    }
}

impl Content {
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let names: usize = self.field_names.iter().map(|it| 2 + it.len()).sum();
        let length = 1 + 8 + 2 + names + 4 + self.value.expose().len();
        let padded = length.next_multiple_of(BLOCK);
        let fits = padded <= MAX_CIPHERTEXT - KEY - TAG && self.field_names.iter().all(|it| it.len() < 1 << 16);
        let fields = u16::try_from(self.field_names.len()).ok().filter(|_| fits).ok_or(SealError::TooLarge)?;
        let size = u32::try_from(self.value.expose().len()).map_err(|_| SealError::TooLarge)?;
        // Reserved whole, so that growing leaves no copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(padded));
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.sealed_at.to_be_bytes());
        bytes.extend_from_slice(&fields.to_be_bytes());
        for name in &self.field_names {
            push_text(&mut bytes, name);
        }
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(self.value.expose().as_bytes());
        bytes.resize(padded, 0);
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let mut rest = Rest(bytes);
        let [format] = rest.array()?;
        if format != FORMAT {
            return Err(OpenError::Format(format));
        }
        let sealed_at = i64::from_be_bytes(rest.array()?);
        let fields = u16::from_be_bytes(rest.array()?);
        let field_names = (0..fields).map(|_| {
            let length = u16::from_be_bytes(rest.array()?);
            rest.text(length.into()).map(str::to_owned)
        });
        let field_names = field_names.collect::<Result<_, OpenError>>()?;
        let length = u32::from_be_bytes(rest.array()?);
        let value = rest.text(usize::try_from(length).map_err(|_| OpenError::Content)?)?;
        if rest.0.len() >= BLOCK || !bytes.len().is_multiple_of(BLOCK) || rest.0.iter().any(|it| *it != 0) {
            return Err(OpenError::Content);
        }
        Ok(Self { sealed_at, field_names, value: SecretText::new(value.to_owned()) })
    }
}

/// Seals `content` for `binding`. `fill` fills a buffer with random bytes that are good enough for keys.
pub fn seal(
    key: &SealingPublicKey,
    binding: &Binding<'_>,
    content: &Content,
    fill: impl FnMut(&mut [u8]),
) -> Result<Vec<u8>, SealError> {
    let plaintext = content.encode()?;
    let key = Deserializable::from_bytes(&key.0).map_err(|_| SealError::Key)?;
    let (encapsulated, mut sender) = setup_sender_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &key,
        &binding.info(),
        &mut Random(fill),
    )
    .map_err(|_| SealError::Key)?;
    let encrypted = sender.seal(&plaintext, &binding.associated_data()).map_err(|_| SealError::TooLarge)?;
    let mut ciphertext = encapsulated.to_bytes().to_vec();
    ciphertext.extend_from_slice(&encrypted);
    Ok(ciphertext)
}

/// Opens what was sealed for `binding`; one that names a cluster also opens what was sealed for any.
pub fn open(key: &SealingPrivateKey, binding: &Binding<'_>, ciphertext: &[u8]) -> Result<Content, OpenError> {
    if !(MIN_CIPHERTEXT..=MAX_CIPHERTEXT).contains(&ciphertext.len()) {
        return Err(OpenError::Size);
    }
    let (encapsulated, encrypted) = ciphertext.split_at_checked(KEY).ok_or(OpenError::Size)?;
    let elsewhere = |_| OpenError::Elsewhere;
    let encapsulated = Deserializable::from_bytes(encapsulated).map_err(elsewhere)?;
    let mut receiver = setup_receiver::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &key.parsed().map_err(elsewhere)?,
        &encapsulated,
        &binding.info(),
    )
    .map_err(elsewhere)?;
    // One that does not open leaves the receiver as it was, so the second try costs no second key agreement.
    let mut opened = receiver.open(encrypted, &binding.associated_data());
    if opened.is_err() && binding.cluster.is_some() {
        opened = receiver.open(encrypted, &Binding { cluster: None, ..*binding }.associated_data());
    }
    Content::decode(&Zeroizing::new(opened.map_err(elsewhere)?))
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    // Names are far shorter; of one that is not, the rest is bound by the length that does not fit it.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn push_choice(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(text.is_some().into());
    if let Some(text) = text {
        push_text(bytes, text);
    }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], OpenError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(OpenError::Content)?;
        self.0 = rest;
        Ok(*first)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, OpenError> {
        let (first, rest) = self.0.split_at_checked(length).ok_or(OpenError::Content)?;
        self.0 = rest;
        std::str::from_utf8(first).map_err(|_| OpenError::Content)
    }
}

/// The caller's random bytes, as the library takes them.
struct Random<F>(F);

impl<F: FnMut(&mut [u8])> Random<F> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }
}

impl<F: FnMut(&mut [u8])> TryRng for Random<F> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        (self.0)(bytes);
        Ok(())
    }
}

impl<F: FnMut(&mut [u8])> TryCryptoRng for Random<F> {}

#[cfg(test)]
mod tests;
