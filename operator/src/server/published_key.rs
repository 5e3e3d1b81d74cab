//! The public sealing key of a vault, asked for by somebody who has no identity at the server.

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::sealed::{PUBLISHED, PublishedKey};

use super::error::ServerError;
use super::transport::{self, BundleError};
use super::url::ServerUrl;

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishedKeyError {
    /// The certificates to trust cannot be used.
    #[error(transparent)]
    Trust(#[from] BundleError),
    /// The system has none to trust.
    #[error("this system has no certificates to trust: give --ca FILE, the certificate authority of the server")]
    NoRoots,
    /// The server is away, or said no.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// It answered something else.
    #[error("the server answered something else than a sealing key of vault {0}: check --server")]
    Answer(VaultId),
}

/// Asks for it. Trusted are the certificates of `ca` (PEM), or else those of the system.
pub async fn fetch(url: &ServerUrl, ca: Option<&str>, vault: &VaultId) -> Result<PublishedKey, PublishedKeyError> {
    let client = match ca {
        Some(bundle) => transport::client(bundle)?,
        // Nothing is verified on the loopback interface.
        None if !url.is_https() => transport::client("")?,
        None => {
            let mut roots = rustls::RootCertStore::empty();
            if roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs).0 == 0 {
                return Err(PublishedKeyError::NoRoots);
            }
            transport::trusting(roots)?
        }
    };
    let answer = transport::exchange(client.get(url.join(&format!("{PUBLISHED}{vault}")))).await?;
    let key: Option<PublishedKey> = serde_json::from_slice(&answer).ok();
    key.filter(|key| key.vault == *vault).ok_or_else(|| PublishedKeyError::Answer(vault.clone()))
}
