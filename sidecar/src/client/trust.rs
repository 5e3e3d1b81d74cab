//! Which certificates vouch for the operator and for the server.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// A bundle that vouches for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Not PEM.
    #[error("the trust bundle is not PEM text")]
    NotPem,
    /// PEM without a certificate.
    #[error("the trust bundle holds no certificate")]
    Empty,
    /// A certificate that cannot be read.
    #[error("certificate {0} of the trust bundle cannot be read")]
    BadCertificate(usize),
    /// There are no certificates on this machine.
    #[error(
        "no certificates are found to trust the server by, neither by SSL_CERT_FILE and SSL_CERT_DIR nor where systems \
         keep them: name a PEM file with --ca, or install the package ca-certificates"
    )]
    NoSystemBundle,
    /// The TLS library refuses to work.
    #[error("the TLS library offers no protocol version")]
    Unsupported,
}

/// What is trusted: the certificates of one bundle and nothing else. A pod never trusts its system's.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts the certificates of `pem`.
    pub fn parse(pem: &str) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            let certificate = certificate.map_err(|_| TrustError::NotPem)?;
            roots.add(certificate).map_err(|_| TrustError::BadCertificate(index + 1))?;
        }
        if roots.is_empty() {
            return Err(TrustError::Empty);
        }
        Self::of(roots)
    }

    /// Trusts what a host trusts: the certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR`, else the system's.
    pub fn of_host() -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // A system's bundle may hold certificates that cannot be used; the others are as good as before.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TrustError::NoSystemBundle);
        }
        Self::of(roots)
    }

    /// Trusts nobody: for a server on this very machine, which is spoken to without TLS.
    pub fn nobody() -> Result<Self, TrustError> {
        Self::of(RootCertStore::empty())
    }

    fn of(roots: RootCertStore) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| TrustError::Unsupported)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // One operator and one server: the default of 256 sessions would be paid for in every pod.
        config.resumption = Resumption::in_memory_sessions(2);
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_vouches_for_nobody_is_refused_by_name() {
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let unfinished = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for (pem, error) in [
            ("", TrustError::Empty),
            ("no pem at all", TrustError::Empty),
            (garbled, TrustError::BadCertificate(1)),
            (unfinished, TrustError::NotPem),
        ] {
            assert_eq!(Trust::parse(pem).map(|_| ()), Err(error), "{pem}");
        }
    }
}
