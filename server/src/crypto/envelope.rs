//! AES-256-GCM with the place bound in.
//!
//! A sealed text is a random 12-byte nonce, the ciphertext and the 16-byte tag. What is sealed says where it belongs
//! ([`Place`]) in its associated data, so that a row moved to another secret, version, project or vault does not open.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};
use zeroize::{Zeroize, Zeroizing};

use super::CryptoError;
use crate::entropy::{self, Entropy};

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// A key for one layer. Wiped when dropped.
pub type Key = Zeroizing<[u8; 32]>;

/// Where a sealed text belongs.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// An installation's master key, under the root's.
    Master(&'a str),
    /// A project's key, under the master key.
    ProjectKey(&'a VaultId, &'a ProjectId),
    /// The private half of a vault's sealing key, under a key of its own.
    SealingKey(&'a VaultId, &'a str),
    /// The secret that signs what a webhook is told, under a key of its own.
    WebhookSecret(&'a VaultId, &'a str),
    /// The seed of an account's second factor, under a key of its own.
    SecondFactor(&'a str),
    /// A version's data key, under the project's.
    DataKey(&'a VaultId, &'a ProjectId, &'a SecretId, u64),
    /// A version's value, under its data key.
    Value(&'a VaultId, &'a ProjectId, &'a SecretId, u64),
}

impl Place<'_> {
    /// Every part has its length before it, so no two places have the same bytes.
    fn associated_data(&self) -> Vec<u8> {
        let (parts, version): ([&str; 4], _) = match self {
            Self::Master(installation) => (["sikkerkey-master-key-v1", installation, "", ""], None),
            Self::ProjectKey(vault, project) => {
                (["sikkerkey-project-key-v1", vault.as_str(), project.as_str(), ""], None)
            }
            Self::SealingKey(vault, id) => (["sikkerkey-sealing-key-v1", vault.as_str(), id, ""], None),
            Self::WebhookSecret(vault, id) => (["sikkerkey-webhook-secret-v1", vault.as_str(), id, ""], None),
            Self::SecondFactor(account) => (["sikkerkey-second-factor-v1", account, "", ""], None),
            Self::DataKey(vault, project, secret, version) => {
                (["sikkerkey-data-key-v1", vault.as_str(), project.as_str(), secret.as_str()], Some(version))
            }
            Self::Value(vault, project, secret, version) => {
                (["sikkerkey-value-v1", vault.as_str(), project.as_str(), secret.as_str()], Some(version))
            }
        };
        let mut bytes = Vec::with_capacity(128);
        // What a place does not have is left out, and its label says how many there are.
        for part in parts.into_iter().filter(|it| !it.is_empty()) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        if let Some(version) = version {
            bytes.extend_from_slice(&version.to_be_bytes());
        }
        bytes
    }
}

/// Seals `plaintext` for `place`.
pub fn seal(key: &Key, place: Place<'_>, plaintext: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, CryptoError> {
    let nonce: [u8; NONCE_LEN] = *entropy::bytes(entropy);
    // Large enough from the start: growing would leave a copy of the plaintext behind.
    let mut text = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG_LEN));
    text.extend_from_slice(plaintext);
    let cipher = Aes256Gcm::new((&**key).into());
    cipher
        .encrypt_in_place(&Nonce::from(nonce), &place.associated_data(), &mut *text)
        .map_err(|_| CryptoError::Seal)?;
    let mut sealed = Vec::with_capacity(NONCE_LEN + text.len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&text);
    Ok(sealed)
}

/// Opens what [`seal`] made for the same place under the same key.
pub fn open(key: &Key, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::Open)?;
    let mut text = Zeroizing::new(text.to_vec());
    let cipher = Aes256Gcm::new((&**key).into());
    cipher
        .decrypt_in_place(&Nonce::from(*nonce), &place.associated_data(), &mut *text)
        .map_err(|_| CryptoError::Open)?;
    Ok(text)
}

/// Opens a sealed key.
pub fn open_key(key: &Key, place: Place<'_>, sealed: &[u8]) -> Result<Key, CryptoError> {
    let bytes = open(key, place, sealed)?;
    let mut inner: [u8; 32] = bytes.as_slice().try_into().map_err(|_| CryptoError::Open)?;
    let opened = Zeroizing::new(inner);
    inner.zeroize();
    Ok(opened)
}
