//! Values that are decrypted, but may not leave yet.

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::secret_text::SecretText;

use super::CryptoError;
use super::keyring::Keyring;
use crate::model::project::Project;
use crate::model::version::Sealed;
use crate::policy::Permit;
use crate::writer::Committed;

/// A value that is decrypted before the commit and released after it. Wiped when dropped.
///
/// There are two ways in which a value could leave by mistake: without a decision, and before its audit row is durable.
/// [`Withheld::release`] asks for the proof of both.
pub struct Withheld {
    secret: SecretId,
    version: u64,
    value: SecretText,
}

impl Withheld {
    /// Decrypts.
    pub fn open(
        keyring: &Keyring,
        project: &Project,
        secret: &SecretId,
        version: u64,
        sealed: &Sealed,
    ) -> Result<Self, CryptoError> {
        let value = keyring.unseal(project, secret, version, sealed)?;
        Ok(Self { secret: secret.clone(), version, value })
    }

    /// Which secret.
    pub fn secret(&self) -> &SecretId {
        &self.secret
    }

    /// Which version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Gives the value out: `permit` is the decision, `_committed` the proof that nonce and audit row are durable. A
    /// permit for another secret or version gives nothing.
    pub fn release(self, permit: &Permit, _committed: &Committed) -> Option<SecretText> {
        (permit.secret() == &self.secret && permit.version() == self.version).then_some(self.value)
    }
}

impl std::fmt::Debug for Withheld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Withheld({} v{})", self.secret, self.version)
    }
}
