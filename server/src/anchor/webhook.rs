//! An anchor that is a web server.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST};
use http::{Request, Uri};
use http_body_util::Full;
use hyper::body::Bytes;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::AnchorError;
use crate::https;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The address of a web server. Its path may hold a token, so only scheme, host and port are ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Uri);

impl FromStr for WebhookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri =
            text.parse().map_err(|_| "an anchor is an URL with a host, such as https://host/path".to_owned())?;
        let host = uri.host().filter(|it| !it.is_empty()).ok_or("the URL of an anchor needs a host")?;
        if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
            return Err("the URL of an anchor takes no user and password: put a token into its path".to_owned());
        }
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let is_loopback = host == "localhost" || address.is_ok_and(|it| it.is_loopback());
        match uri.scheme_str() {
            Some("https") => Ok(Self(uri)),
            Some("http") if is_loopback => Ok(Self(uri)),
            _ => Err("the URL of an anchor begins with https:// (http:// on loopback only)".to_owned()),
        }
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        write!(f, "{}://{authority}", self.0.scheme_str().unwrap_or_default())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A web server that keeps lines. It is sent each line by a POST of its own and answers 2xx when it has kept it; a line
/// whose answer was lost comes again.
pub struct Webhook {
    url: WebhookUrl,
    tls: Option<TlsConnector>,
}

impl Webhook {
    /// Trusts the certificate authorities of the system, or those in the file that `SSL_CERT_FILE` names.
    pub fn new(url: WebhookUrl) -> Result<Self, AnchorError> {
        if url.0.scheme_str() != Some("https") {
            return Ok(Self { url, tls: None });
        }
        Self::trusting(url, https::system_roots())
    }

    fn trusting(url: WebhookUrl, roots: RootCertStore) -> Result<Self, AnchorError> {
        if roots.is_empty() {
            return Err(AnchorError::NoRoots(url.to_string()));
        }
        let tls = https::connector(roots)
            .map_err(|error| AnchorError::Connect(url.to_string(), std::io::Error::other(error)))?;
        Ok(Self { url, tls: Some(tls) })
    }

    pub(super) async fn post(&self, line: &str) -> Result<(), AnchorError> {
        let sent = timeout(PATIENCE, self.send(line)).await;
        sent.unwrap_or_else(|_| Err(AnchorError::Slow(self.url.to_string())))
    }

    async fn send(&self, line: &str) -> Result<(), AnchorError> {
        let uri = &self.url.0;
        let failed = |error| AnchorError::Connect(self.url.to_string(), error);
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        match &self.tls {
            None => self.exchange(stream, line).await,
            Some(tls) => {
                let name =
                    ServerName::try_from(host.to_owned()).map_err(|error| failed(std::io::Error::other(error)))?;
                self.exchange(tls.connect(name, stream).await.map_err(failed)?, line).await
            }
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        line: &str,
    ) -> Result<(), AnchorError> {
        let uri = &self.url.0;
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let request = Request::post(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(format!("{line}\n"))))
            .map_err(|error| AnchorError::Connect(self.url.to_string(), std::io::Error::other(error)))?;
        let status =
            https::exchange(stream, request).await.map_err(|error| AnchorError::Http(self.url.to_string(), error))?;
        if status.is_success() { Ok(()) } else { Err(AnchorError::Refused(self.url.to_string(), status.as_u16())) }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.url)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::ServerConfig;
    use rustls::crypto::ring::default_provider;
    use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Answers one request, and gives back what came.
    async fn answer_one(listener: TcpListener, tls: TlsAcceptor) -> std::io::Result<String> {
        let (stream, _) = listener.accept().await?;
        let mut stream = tls.accept(stream).await?;
        let mut request = Vec::new();
        while !request.ends_with(b"{}\n") {
            if stream.read_buf(&mut request).await? == 0 {
                break;
            }
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        stream.shutdown().await?;
        Ok(String::from_utf8_lossy(&request).into_owned())
    }

    #[tokio::test]
    async fn a_line_is_posted_over_tls_to_whom_the_system_trusts_and_to_nobody_else() {
        for is_trusted in [true, false] {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
            let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], private)
                .unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://localhost:{}/hooks/secret?a=b", listener.local_addr().unwrap().port());
            let serving = tokio::spawn(answer_one(listener, TlsAcceptor::from(Arc::new(config))));

            let mut roots = RootCertStore::empty();
            let other_key = KeyPair::generate().unwrap();
            let other = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&other_key).unwrap();
            roots.add(if is_trusted { certificate.der().clone() } else { other.der().clone() }).unwrap();
            let posted = Webhook::trusting(url.parse().unwrap(), roots).unwrap().post("{}").await;
            let served = serving.await.unwrap();
            if is_trusted {
                posted.unwrap();
                let request = served.unwrap();
                assert!(request.starts_with("POST /hooks/secret?a=b HTTP/1.1\r\nhost: localhost:"), "{request}");
                assert!(request.contains("content-type: application/json\r\n"), "{request}");
            } else {
                let error = posted.unwrap_err();
                assert!(matches!(error, AnchorError::Connect(..)), "{error:?}");
                assert!(!error.to_string().contains("secret"), "{error}");
                served.unwrap_err();
            }
        }
    }
}
