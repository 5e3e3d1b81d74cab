//! Posting to a collector, with bounds on what it may take its time with and what it may say.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::endpoint::Endpoint;

/// The longest answer that is read, in bytes: it says how many spans were not wanted, and why.
const MAX_ANSWER: usize = 16 * 1024;

/// The collector cannot be talked to by anybody.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The certificates cannot be used.
    #[error("the certificates that vouch for the collector cannot be used: give PEM certificates of its authority")]
    Authority,
    /// There is nobody to trust.
    #[error("this system knows no certificate authority: give the collector's own")]
    NoAuthority,
    /// The host's name is none.
    #[error("a certificate cannot be for the collector's name {0:?}")]
    Name(String),
    /// The TLS library refuses its own defaults.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// The spans were not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    #[error("the request cannot be written down")]
    Request(#[source] http::Error),
    #[error("it answered {0}")]
    Refused(StatusCode),
    #[error("its answer is too long or broke off")]
    Answer,
    #[error("it did not answer in time")]
    Late,
}

/// A collector.
pub(crate) struct Collector {
    endpoint: Endpoint,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Collector {
    pub(crate) fn new(endpoint: Endpoint, authority: Option<&str>) -> Result<Self, SetupError> {
        let tls = if endpoint.is_encrypted { Some(tls(&endpoint, authority)?) } else { None };
        Ok(Self { endpoint, tls })
    }

    /// Posts a request of protobuf; what it answers with a 2xx. A connection for each: batches are seconds apart.
    pub(crate) async fn post(&self, body: Vec<u8>) -> Result<Bytes, PostError> {
        let to = (self.endpoint.name(), self.endpoint.port);
        let stream = TcpStream::connect(to).await.map_err(PostError::Connect)?;
        match &self.tls {
            None => self.exchange(stream, body).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(PostError::Handshake)?;
                self.exchange(stream, body).await
            }
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        body: Vec<u8>,
    ) -> Result<Bytes, PostError> {
        let request = Request::post(&self.endpoint.path)
            .header(HOST, format!("{}:{}", self.endpoint.host, self.endpoint.port))
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Full::new(Bytes::from(body)))
            .map_err(PostError::Request)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(PostError::Broken)?;
        // Ends with this function, however that ends.
        let mut driving = JoinSet::new();
        driving.spawn(connection);
        let response = sender.send_request(request).await.map_err(PostError::Broken)?;
        if !response.status().is_success() {
            return Err(PostError::Refused(response.status()));
        }
        let answer = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        answer.map(http_body_util::Collected::to_bytes).map_err(|_| PostError::Answer)
    }
}

fn tls(endpoint: &Endpoint, authority: Option<&str>) -> Result<(TlsConnector, ServerName<'static>), SetupError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = authority {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| SetupError::Authority)?;
            roots.add(certificate).map_err(|_| SetupError::Authority)?;
        }
        if roots.is_empty() {
            return Err(SetupError::Authority);
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(SetupError::NoAuthority);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(endpoint.name().to_owned()).map_err(|_| SetupError::Name(endpoint.host.clone()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}
