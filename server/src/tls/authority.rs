//! The authority that clients are told of, where their systems do not know the one of the server's certificate.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::watch;

use super::{LOOK, TlsError};
use crate::metrics::{Metrics, Work};

/// The most that a command can carry to a host, in bytes of PEM: a few certificates.
const MAX: usize = 16 * 1024;

/// Certificates of an authority, as a file.
#[derive(Debug)]
pub struct Authority {
    path: PathBuf,
    current: RwLock<Arc<str>>,
}

impl Authority {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        Ok(Self { path: path.to_owned(), current: RwLock::new(load(path)?) })
    }

    /// The certificates in PEM, and nothing else that the file may hold.
    pub fn pem(&self) -> Arc<str> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the file anew whenever it changes, until `shutdown`. One that cannot be read leaves the old in force.
    pub async fn follow(self: Arc<Self>, metrics: Arc<Metrics>, mut shutdown: watch::Receiver<bool>) {
        let modified = || std::fs::metadata(&self.path).and_then(|it| it.modified()).ok();
        let mut seen = modified();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = shutdown.wait_for(|it| *it) => return,
            }
            let now = modified();
            if now == seen {
                continue;
            }
            match load(&self.path) {
                Ok(pem) => {
                    seen = now;
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = pem;
                    tracing::info!(path = %self.path.display(), "telling hosts of a new authority");
                }
                Err(error) => {
                    metrics.count_failed(Work::Authority);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the authority has changed and cannot be used yet: the old one stays"
                    );
                }
            }
        }
    }
}

fn load(path: &Path) -> Result<Arc<str>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| TlsError::Certificates(path.to_owned(), error))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(path.to_owned()));
    }
    let mut roots = RootCertStore::empty();
    let mut pem = String::new();
    for certificate in certificates {
        // Written anew: nothing but base64 gets into a script.
        let text = STANDARD.encode(&certificate);
        roots.add(certificate).map_err(|error| TlsError::Authority(path.to_owned(), error))?;
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(std::str::from_utf8(line).unwrap_or_default());
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    if pem.len() > MAX {
        return Err(TlsError::TooLarge(path.to_owned(), MAX));
    }
    Ok(pem.into())
}
