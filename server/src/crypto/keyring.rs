//! The keys that follow from the master key, and what they are used for.

use std::collections::BTreeMap;

use hkdf::Hkdf;
use sha2::Sha256;
use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_protocol::sealed::SealingPrivateKey;
use sikkerkey_protocol::secret_text::SecretText;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::CryptoError;
use super::envelope::{self, Key, Place};
use super::master::Master;
use super::password::Pepper;
use super::root_key::hex;
use super::row_mac::MacKey;
use super::totp::Seed;
use crate::entropy::{self, Entropy};
use crate::model::project::Project;
use crate::model::sealing_key::SealingKey;
use crate::model::version::{Sealed, Version};
use crate::value::{self, Value, ValueError};

/// The keys that follow from the master key, and that key itself, to be wrapped by another root key.
pub struct Keyring {
    master: Master,
    wrap: Key,
    sealing: Key,
    webhooks: Key,
    rows: MacKey,
    audit: MacKey,
    audit_signer: MachineKey,
    check: MacKey,
    pepper: Pepper,
    second_factors: Key,
    recovery_codes: MacKey,
    half_logins: MacKey,
}

/// Why a version is not sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// It does not open, or cannot be sealed.
    #[error("cannot seal the value anew")]
    Crypto(#[from] CryptoError),
    /// The new texts do not fit.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Keyring {
    /// Derives the keys.
    pub fn new(master: Master) -> Self {
        let derive = |purpose: &str| {
            let mut key = Zeroizing::new([0; 32]);
            // 32 bytes are far below what HKDF can expand to, so this cannot fail; a zero key must not come of it.
            let expanded =
                Hkdf::<Sha256>::new(Some(b"sikkerkey-root-v1"), &*master.key).expand(purpose.as_bytes(), &mut *key);
            debug_assert!(expanded.is_ok());
            key
        };
        Self {
            wrap: derive("wrap project keys"),
            sealing: derive("wrap sealing keys"),
            webhooks: derive("wrap webhook secrets"),
            rows: MacKey::new(derive("authenticate rows")),
            audit: MacKey::new(derive("chain the audit")),
            audit_signer: MachineKey::from_seed(&derive("audit checkpoint signing")),
            check: MacKey::new(derive("tell root keys apart")),
            pepper: Pepper::new(derive("pepper passwords")),
            second_factors: derive("seal second factors"),
            recovery_codes: MacKey::new(derive("authenticate recovery codes")),
            half_logins: MacKey::new(derive("authenticate half logins")),
            master,
        }
    }

    /// What everything here follows from.
    pub(super) fn master(&self) -> &Master {
        &self.master
    }

    /// A new project's key, wrapped.
    pub fn new_project_key(
        &self,
        vault: &VaultId,
        project: &ProjectId,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        let key = entropy::bytes::<32>(entropy);
        envelope::seal(&self.wrap, Place::ProjectKey(vault, project), &*key, entropy)
    }

    /// A new sealing key of a vault: its private half, wrapped for `id`, and that half itself.
    pub fn new_sealing_key(
        &self,
        vault: &VaultId,
        id: &str,
        entropy: &dyn Entropy,
    ) -> Result<(Vec<u8>, SealingPrivateKey), CryptoError> {
        let private = SealingPrivateKey::derive(&entropy::bytes(entropy));
        let wrapped = envelope::seal(&self.sealing, Place::SealingKey(vault, id), private.expose(), entropy)?;
        Ok((wrapped, private))
    }

    /// What opens values that were sealed to this key.
    pub fn sealing_key(&self, key: &SealingKey) -> Result<SealingPrivateKey, CryptoError> {
        let place = Place::SealingKey(&key.vault, &key.id);
        envelope::open_key(&self.sealing, place, &key.wrapped_key).map(SealingPrivateKey::from_bytes)
    }

    /// A new secret of a webhook, wrapped for `id`, and the secret itself: 64 hex digits.
    pub fn new_webhook_secret(
        &self,
        vault: &VaultId,
        id: &str,
        entropy: &dyn Entropy,
    ) -> Result<(Vec<u8>, SecretText), CryptoError> {
        let secret = entropy::text(entropy, b"0123456789abcdef", 64);
        let wrapped = envelope::seal(&self.webhooks, Place::WebhookSecret(vault, id), secret.as_bytes(), entropy)?;
        Ok((wrapped, secret.into()))
    }

    /// The secret of a webhook.
    pub fn webhook_secret(&self, vault: &VaultId, id: &str, wrapped: &[u8]) -> Result<SecretText, CryptoError> {
        let mut bytes = envelope::open(&self.webhooks, Place::WebhookSecret(vault, id), wrapped)?;
        String::from_utf8(std::mem::take(&mut *bytes)).map(SecretText::new).map_err(|error| {
            error.into_bytes().zeroize();
            CryptoError::Open
        })
    }

    /// Takes a version's data key from under the key that `from` holds to under the one that `to` holds: the same project
    /// before and after its key was changed. The value itself stays as it is sealed.
    pub fn rewrap(
        &self,
        from: &Project,
        to: &Project,
        secret: &SecretId,
        version: u64,
        sealed: &Sealed,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, CryptoError> {
        let place = Place::DataKey(&from.vault, &from.id, secret, version);
        let data_key = envelope::open_key(&self.project_key(from)?, place, &sealed.wrapped_key)?;
        Ok(Sealed {
            wrapped_key: envelope::seal(&self.project_key(to)?, place, &*data_key, entropy)?,
            ciphertext: sealed.ciphertext.clone(),
        })
    }

    /// Seals one version of a value under a fresh data key.
    pub fn seal(
        &self,
        project: &Project,
        secret: &SecretId,
        version: u64,
        value: &SecretText,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, CryptoError> {
        let (vault, id) = (&project.vault, &project.id);
        let project_key = self.project_key(project)?;
        let data_key = entropy::bytes::<32>(entropy);
        Ok(Sealed {
            wrapped_key: envelope::seal(&project_key, Place::DataKey(vault, id, secret, version), &*data_key, entropy)?,
            ciphertext: envelope::seal(
                &data_key,
                Place::Value(vault, id, secret, version),
                value.expose().as_bytes(),
                entropy,
            )?,
        })
    }

    /// Opens one version of a value, for [`Withheld`](super::withheld::Withheld) alone to keep.
    pub(super) fn unseal(
        &self,
        project: &Project,
        secret: &SecretId,
        version: u64,
        sealed: &Sealed,
    ) -> Result<SecretText, CryptoError> {
        let (vault, id) = (&project.vault, &project.id);
        let project_key = self.project_key(project)?;
        let data_key =
            envelope::open_key(&project_key, Place::DataKey(vault, id, secret, version), &sealed.wrapped_key)?;
        let mut bytes = envelope::open(&data_key, Place::Value(vault, id, secret, version), &sealed.ciphertext)?;
        String::from_utf8(std::mem::take(&mut *bytes)).map(SecretText::new).map_err(|error| {
            error.into_bytes().zeroize();
            CryptoError::Open
        })
    }

    /// Seals what stands in one version anew as another of the same secret, under a fresh data key, with other texts in some
    /// of its fields. The value does not leave. `held` has these fields and no others, or it does not open.
    pub fn reseal(
        &self,
        project: &Project,
        held: &Version,
        as_version: u64,
        replaced: &BTreeMap<String, SecretText>,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, ResealError> {
        let text = self.unseal(project, &held.secret, held.version, &held.sealed)?;
        // Names of fields stand beside what is sealed, and could have been changed there.
        let value = Value::parse(text, held.field_names.clone()).map_err(|_| CryptoError::Open)?;
        let text = if replaced.is_empty() { value.text } else { value::replace(&value, replaced)?.text };
        Ok(self.seal(project, &held.secret, as_version, &text, entropy)?)
    }

    /// What was sealed, for tests to look at.
    #[cfg(test)]
    pub(crate) fn open(
        &self,
        project: &Project,
        secret: &SecretId,
        version: u64,
        sealed: &Sealed,
    ) -> Result<SecretText, CryptoError> {
        self.unseal(project, secret, version, sealed)
    }

    /// Whether a stored version is this value. Compares without giving anything out.
    pub fn holds(
        &self,
        project: &Project,
        secret: &SecretId,
        version: u64,
        sealed: &Sealed,
        value: &SecretText,
    ) -> Result<bool, CryptoError> {
        let stored = self.unseal(project, secret, version, sealed)?;
        Ok(stored.expose().as_bytes().ct_eq(value.expose().as_bytes()).into())
    }

    /// Authenticates rows.
    pub fn rows(&self) -> &MacKey {
        &self.rows
    }

    /// Chains the audit.
    pub fn audit(&self) -> &MacKey {
        &self.audit
    }

    /// Signs checkpoints and exports of the audit, so that whoever has its public half can check them.
    pub fn audit_signer(&self) -> &MachineKey {
        &self.audit_signer
    }

    /// Tells whether this is the master key that the data of `installation` was made with.
    pub fn check_value(&self, installation: &str) -> [u8; 32] {
        self.check.mac(&[installation.as_bytes()])
    }

    /// Hashes and verifies passwords.
    pub fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// Seals the seed of an account's second factor.
    pub fn seal_seed(&self, account: &str, seed: &Seed, entropy: &dyn Entropy) -> Result<Vec<u8>, CryptoError> {
        envelope::seal(&self.second_factors, Place::SecondFactor(account), seed.expose(), entropy)
    }

    /// Opens the seed of an account's second factor.
    pub fn open_seed(&self, account: &str, sealed: &[u8]) -> Result<Seed, CryptoError> {
        Seed::from_bytes(&envelope::open(&self.second_factors, Place::SecondFactor(account), sealed)?)
    }

    /// What is kept of an account's recovery code. It is as random as a key, so nothing slower is needed.
    pub fn recovery_code(&self, account: &str, code: &str) -> String {
        hex(&self.recovery_codes.mac(&[account.as_bytes(), code.as_bytes()]))
    }

    /// Authenticates what whoever has given the password brings along with the second factor.
    pub fn half_login(&self, parts: &[&[u8]]) -> String {
        hex(&self.half_logins.mac(parts))
    }

    fn project_key(&self, project: &Project) -> Result<Key, CryptoError> {
        envelope::open_key(&self.wrap, Place::ProjectKey(&project.vault, &project.id), &project.wrapped_key)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

#[cfg(test)]
mod tests;
