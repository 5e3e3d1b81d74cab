//! The server's certificate, taken anew when its files change.

mod authority;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring::{Ticketer, default_provider, sign::any_supported_type};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

pub use self::authority::Authority;
use crate::metrics::{Metrics, Work};

/// How often the files are looked at. A Secret volume follows within a minute or two anyway.
const LOOK: Duration = Duration::from_secs(10);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates cannot be read.
    #[error("cannot read certificates from {0}: it must hold PEM certificates, the server's own first")]
    Certificates(PathBuf, #[source] rustls_pki_types::pem::Error),
    /// The key cannot be read.
    #[error("cannot read a private key from {0}: it must hold one PEM key")]
    Key(PathBuf, #[source] rustls_pki_types::pem::Error),
    /// There is no certificate.
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    /// The two do not fit.
    #[error("the key in {0} does not fit the certificate")]
    Mismatch(PathBuf, #[source] rustls::Error),
    /// A certificate is no authority's.
    #[error("a certificate in {0} cannot be trusted as an authority")]
    Authority(PathBuf, #[source] rustls::Error),
    /// More than a command can carry.
    #[error("{0} holds more than {1} bytes of certificates: give the authority of this server alone")]
    TooLarge(PathBuf, usize),
    /// The TLS library refuses its own defaults.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
}

/// A certificate and its key, as files.
#[derive(Debug)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(load(cert, key)?));
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), current })
    }

    /// A configuration that always serves the newest certificate.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Clients that open a connection for every request come back with a ticket, and the server keeps nothing for them.
        config.ticketer = Ticketer::new().map_err(TlsError::Setup)?;
        Ok(Arc::new(config))
    }

    /// Takes the files anew whenever they change, until `shutdown`. One that cannot be read leaves the old in force.
    pub async fn follow(self: Arc<Self>, metrics: Arc<Metrics>, mut shutdown: watch::Receiver<bool>) {
        let mut seen = self.modified();
        metrics.show_certificate(self.ends());
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = shutdown.wait_for(|it| *it) => return,
            }
            let now = self.modified();
            if now == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    seen = now;
                    metrics.show_certificate(self.ends());
                    tracing::info!(cert = %self.cert.display(), "serving a new certificate");
                }
                // The two files are rarely written at the same moment: tried again at the next look.
                Err(error) => {
                    metrics.count_failed(Work::Certificate);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the certificate has changed and cannot be used yet: the old one stays"
                    );
                }
            }
        }
    }

    /// Takes the files anew. When they cannot be used, the old certificate stays in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = load(&self.cert, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }

    /// When the certificate that is served ends, in Unix seconds. None: it cannot be read out of it.
    pub fn ends(&self) -> Option<i64> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let (_, certificate) = x509_parser::parse_x509_certificate(current.cert.first()?).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.cert, &self.key].map(|path| std::fs::metadata(path).and_then(|it| it.modified()).ok())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn load(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| TlsError::Certificates(cert.to_owned(), error))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(cert.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::Key(key.to_owned(), error))?;
    let mismatch = |error| TlsError::Mismatch(key.to_owned(), error);
    let certified = CertifiedKey::new(chain, any_supported_type(&secret).map_err(mismatch)?);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(error) => Err(mismatch(error)),
    }
}

#[cfg(test)]
mod tests;
