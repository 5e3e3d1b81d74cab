//! One request to somebody else's web server: whom it is sent to over TLS, and what of the answer is looked at.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// The longest head of an answer, in bytes. Its body is not read.
const LONGEST_HEAD: usize = 32 * 1024;

/// The certificate authorities of the system, or those in the file that `SSL_CERT_FILE` names.
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// The certificate authorities in a file.
pub fn roots_of(path: &Path) -> anyhow::Result<RootCertStore> {
    let shown = path.display();
    let certificates = CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read {shown}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.with_context(|| format!("{shown} is no file of certificates in PEM"))?;
        roots.add(certificate).with_context(|| format!("{shown} holds a certificate that no one can be trusted by"))?;
    }
    anyhow::ensure!(!roots.is_empty(), "{shown} holds no certificate");
    Ok(roots)
}

/// Connects to whom these vouch for.
pub fn connector(roots: RootCertStore) -> Result<TlsConnector, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Sends one request over a stream that stands, and hears how it is answered. Nothing is followed.
pub async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, hyper::Error> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(LONGEST_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    // The connection works only while somebody polls it, and ends with this exchange.
    tokio::pin!(connection);
    let response = sender.send_request(request);
    tokio::pin!(response);
    let response = tokio::select! {
        response = &mut response => response,
        // The answer may have come with the end; if it did not, this says why.
        _ = &mut connection => response.await,
    };
    Ok(response?.status())
}
