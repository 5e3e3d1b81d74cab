//! A connection of the load generator: HTTP/1.1, kept alive, one request at a time. It does as little as is correct, because it runs on the
//! cores of what it measures.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// A head is smaller than this.
const HEAD: usize = 4096;
/// What is read at once of a body.
const CHUNK: usize = 64 * 1024;

/// What a connection runs over.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that is kept alive.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// The head of an answer.
struct Head {
    status: u16,
    /// Bytes of the head itself.
    length: usize,
    body: usize,
}

impl Connection {
    /// Connects, by TLS if there is a connector.
    pub(super) async fn open(address: SocketAddr, tls: Option<&TlsConnector>) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true).context("cannot switch off Nagle's algorithm")?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(tls) => Box::new(encrypted(tls, address.ip(), stream).await?),
        };
        Ok(Self { stream, buffer: Vec::with_capacity(HEAD) })
    }

    /// Sends a request, and answers how many bytes the body of a 200 has. Anything but a 200 is an error: what is refused is not measured.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<usize> {
        self.stream.write_all(request).await.context("cannot send a request")?;
        self.buffer.clear();
        let head = loop {
            self.fill().await?;
            if let Some(head) = parse(&self.buffer)? {
                break head;
            }
            ensure!(self.buffer.len() < HEAD, "the head of an answer is larger than {HEAD} bytes");
        };
        let mut got = self.buffer.len() - head.length;
        if head.status == 200 {
            // A body is counted, not kept.
            while got < head.body {
                self.buffer.clear();
                got += self.fill().await?;
            }
            return Ok(head.body);
        }
        while got < head.body {
            got += self.fill().await?;
        }
        let body = self.buffer.get(head.length..).unwrap_or_default();
        bail!("the answer was {} {}", head.status, String::from_utf8_lossy(body));
    }

    /// Sends a request, and answers with whatever comes: the status and the body.
    pub(super) async fn page(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await.context("cannot send a request")?;
        self.buffer.clear();
        let head = loop {
            self.fill().await?;
            if let Some(head) = parse(&self.buffer)? {
                break head;
            }
            ensure!(self.buffer.len() < HEAD, "the head of an answer is larger than {HEAD} bytes");
        };
        while self.buffer.len() < head.length + head.body {
            self.fill().await?;
        }
        Ok((head.status, self.buffer.split_off(head.length)))
    }

    async fn fill(&mut self) -> Result<usize> {
        self.buffer.reserve(if self.buffer.is_empty() { CHUNK.min(self.buffer.capacity().max(HEAD)) } else { CHUNK });
        let count = self.stream.read_buf(&mut self.buffer).await.context("cannot read an answer")?;
        ensure!(count > 0, "the connection was closed before the answer was complete");
        Ok(count)
    }
}

/// A TLS connection that comes from `from`, an address of this machine.
pub(super) async fn open_from(
    from: IpAddr,
    to: SocketAddr,
    tls: &TlsConnector,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(from, 0)).with_context(|| format!("cannot come from {from}"))?;
    let stream = socket.connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
    stream.set_nodelay(true)?;
    encrypted(tls, to.ip(), stream).await
}

async fn encrypted(
    tls: &TlsConnector,
    to: IpAddr,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    tls.connect(ServerName::IpAddress(to.into()), stream).await.with_context(|| format!("no TLS with {to}"))
}

/// Trusts this certificate authority (PEM), and nobody else.
pub(super) fn trusting(ca: &str) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.context("the authority's file holds no certificate")?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// Reads a head; none while it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).context("the answer is not HTTP/1.1")? else {
        return Ok(None);
    };
    let status = response.code.context("the answer has no status")?;
    let header = response.headers.iter().find(|it| it.name.eq_ignore_ascii_case("content-length"));
    let body = header.and_then(|it| std::str::from_utf8(it.value).ok()).and_then(|it| it.parse().ok());
    // Both ends are ours, and neither sends in chunks.
    let body = body.context("the answer has no Content-Length")?;
    Ok(Some(Head { status, length, body }))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhel";
        assert!(parse(&text[..30]).unwrap().is_none());
        let head = parse(text).unwrap().unwrap();
        assert_eq!((head.status, head.length, head.body), (200, text.len() - 3, 12));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n").err().unwrap().to_string(), "the answer has no Content-Length");
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_counted_and_a_refusal_is_an_error_with_its_text() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            for piece in ["HTTP/1.1 200 OK\r\ncontent-", "length: 8\r\n\r\nabcd", "efgh"] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        });
        let mut connection = Connection::open(address, None).await.unwrap();
        assert_eq!(connection.exchange(b"ping").await.unwrap(), 8);
        assert_eq!(connection.exchange(b"ping").await.unwrap_err().to_string(), "the answer was 403 no");
        peer.await.unwrap();
    }

    #[tokio::test]
    async fn a_page_is_kept_whatever_its_status() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4];
            for pieces in [
                ["HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabcd", "efgh"],
                ["HTTP/1.1 404 No\r\n", "content-length: 2\r\n\r\nno"],
            ] {
                stream.read_exact(&mut request).await.unwrap();
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut connection = Connection::open(address, None).await.unwrap();
        assert_eq!(connection.page(b"ping").await.unwrap(), (200, b"abcdefgh".to_vec()));
        assert_eq!(connection.page(b"ping").await.unwrap(), (404, b"no".to_vec()));
        peer.await.unwrap();
    }
}
