//! One HTTP/1.1 connection.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Origin, Trust};

/// How long a connection may take, with its TLS handshake.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// The largest head of an answer; the body is read in pieces of at most this size.
const READ_BUFFER: usize = 32 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("cannot reach {origin}")]
    Tcp {
        /// Whom.
        origin: String,
        /// Why.
        source: io::Error,
    },
    /// No TLS connection.
    #[error("cannot talk to {origin} securely")]
    Tls {
        /// Whom.
        origin: String,
        /// Why.
        source: io::Error,
    },
    /// Its name can stand in no certificate.
    #[error("cannot talk to {origin} securely: its host can stand in no certificate")]
    ServerName {
        /// Whom.
        origin: String,
    },
    /// Not in time.
    #[error("cannot reach {origin}: no connection within {} s", CONNECT_PATIENCE.as_secs())]
    TimedOut {
        /// Whom.
        origin: String,
    },
}

/// A connection. Dropping it closes it, whatever is under way.
pub struct Connection {
    origin: Origin,
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects to `origin`.
    pub async fn open(origin: &Origin, trust: &Trust) -> Result<Self, ConnectError> {
        let late = |_| ConnectError::TimedOut { origin: origin.to_string() };
        timeout(CONNECT_PATIENCE, Self::connect(origin, trust)).await.map_err(late)?
    }

    /// Connects to an origin of this machine without TLS.
    pub(crate) async fn open_plain(origin: &Origin) -> Result<Self, ConnectError> {
        let late = |_| ConnectError::TimedOut { origin: origin.to_string() };
        timeout(CONNECT_PATIENCE, async { Self::start(origin, tcp(origin).await?).await }).await.map_err(late)?
    }

    async fn connect(origin: &Origin, trust: &Trust) -> Result<Self, ConnectError> {
        let stream = tcp(origin).await?;
        if !origin.is_encrypted() {
            return Self::start(origin, stream).await;
        }
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(|_| ConnectError::ServerName { origin: origin.to_string() })?;
        let stream = TlsConnector::from(trust.config())
            .connect(name, stream)
            .await
            .map_err(|source| ConnectError::Tls { origin: origin.to_string(), source })?;
        Self::start(origin, stream).await
    }

    async fn start<S>(origin: &Origin, stream: S) -> Result<Self, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ConnectError::Tcp { origin: origin.to_string(), source: io::Error::other(error) })?;
        // How it ends shows at the next request.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { origin: origin.clone(), sender, driver })
    }

    /// Whether it leads to `origin` and the other side has not closed it.
    pub fn is_open_to(&self, origin: &Origin) -> bool {
        self.origin == *origin && !self.sender.is_closed()
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn tcp(origin: &Origin) -> Result<TcpStream, ConnectError> {
    let failed = |source| ConnectError::Tcp { origin: origin.to_string(), source };
    let stream = TcpStream::connect((origin.host(), origin.port())).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}
