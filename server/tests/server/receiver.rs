//! A web server over TLS that is told what happens, and answers as a test wants it to.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// By this status.
    Answer(u16),
    /// By a redirect to `/elsewhere` of the same server.
    Redirect,
    /// Not at all, while the connection stays.
    Hang,
    /// By closing the connection.
    Close,
    /// By more than anybody wants to read.
    Flood,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
    pub behaviour: Behaviour,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    pub fn detail(&self) -> String {
        self.json()["data"]["detail"].as_str().unwrap().to_owned()
    }
}

pub struct Receiver {
    pub port: u16,
    shared: Arc<Shared>,
    directory: TempDir,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(Shared { behaviour: Mutex::new(Behaviour::Answer(200)), received: Mutex::new(Vec::new()) });
        let (acceptor, serving) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&shared));
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&serving));
                tokio::spawn(async move { drop(answer(stream, &acceptor, &shared).await) });
            }
        });
        Self { port, shared, directory }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/hooks/token?a=b", self.port)
    }

    /// The certificate that vouches for it.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Those that were answered 2xx.
    pub fn taken(&self) -> Vec<Received> {
        let is_taken = |it: &Received| matches!(it.behaviour, Behaviour::Answer(200..300) | Behaviour::Flood);
        self.received().into_iter().filter(is_taken).collect()
    }
}

async fn answer(stream: TcpStream, acceptor: &TlsAcceptor, shared: &Shared) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let Some(mut received) = read(&mut stream).await? else { return Ok(()) };
    let behaviour = *shared.behaviour.lock().unwrap();
    received.behaviour = behaviour;
    shared.received.lock().unwrap().push(received);
    match behaviour {
        Behaviour::Answer(status) => {
            stream.write_all(format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 2\r\n\r\nok").as_bytes()).await?;
        }
        Behaviour::Redirect => {
            stream.write_all(b"HTTP/1.1 307 Elsewhere\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await?;
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Close => {}
        Behaviour::Flood => {
            stream.write_all(b"HTTP/1.1 200 Much\r\ncontent-length: 1000000000\r\n\r\n").await?;
            let block = vec![b'x'; 65_536];
            // Until the other side has enough.
            while stream.write_all(&block).await.is_ok() {}
        }
    }
    stream.shutdown().await
}

/// One request with a body whose length is told.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Received>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.lines();
        let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: HashMap<String, String> = lines
            .filter_map(|it| it.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let body = body.to_owned();
            return Ok(Some(Received { path, headers, body, behaviour: Behaviour::Close }));
        }
    }
}
