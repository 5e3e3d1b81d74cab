//! The real binary as a process of its own.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fixture::{Signed, TestDatabase};

pub struct Process {
    pub child: Child,
    pub address: String,
    /// What it has logged until now.
    pub log: Arc<Mutex<String>>,
    /// What reads its log.
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the server on a free port and waits until it listens.
    pub async fn start(data: &Path, log_filter: &str) -> Self {
        Self::start_with(data, log_filter, &[]).await
    }

    /// With more arguments.
    pub async fn start_with(data: &Path, log_filter: &str, arguments: &[&str]) -> Self {
        Self::spawn(data, log_filter, arguments, &[]).await
    }

    /// With more arguments and a changed environment.
    pub async fn spawn(data: &Path, log_filter: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--public-url", "http://localhost:1"])
            .args(TestDatabase::of(data).arguments(data))
            .args(arguments)
            // One client asks for many here.
            .args(if arguments.contains(&"--machine-rate") { &[][..] } else { &["--machine-rate", "0"] })
            .env("SIKKERKEY_LOG", log_filter)
            .envs(environment.iter().copied());
        Self::watch(&mut command).await
    }

    /// Starts what becomes a server, and waits until it listens.
    pub async fn watch(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = tokio::sync::oneshot::channel();
        let kept = Arc::clone(&log);
        let reader = tokio::spawn(async move {
            let mut found = Some(found);
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, address)) = line.split_once("listening address=")
                    && let Some(found) = found.take()
                {
                    drop(found.send(address.trim().to_owned()));
                }
                let mut log = kept.lock().await;
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = timeout(Duration::from_mins(1), address).await.expect("it listens in time").expect("it listens");
        Self { child, address, log, reader: Some(reader) }
    }

    /// Waits until it has ended and all is there that it has logged.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = timeout(Duration::from_mins(1), self.child.wait()).await.expect("it ends in time").unwrap();
        if let Some(reader) = self.reader.take() {
            reader.await.unwrap();
        }
        status
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(&self.address).await.unwrap()
    }
}

pub struct Connection(SendRequest<Body>);

impl Connection {
    pub async fn open(address: &str) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(address).await?).await
    }

    /// Over a connection that stands already.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> std::io::Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// The answer with its headers, without its body.
    pub async fn respond(&mut self, request: axum::http::Request<Body>) -> axum::http::Response<()> {
        self.0.ready().await.unwrap();
        self.0.send_request(request).await.unwrap().map(drop)
    }

    /// The whole answer, or that there was none.
    pub async fn send(&mut self, request: Signed) -> Result<(u16, Bytes), hyper::Error> {
        // The last answer may be here before the connection has noticed that it is done with it.
        self.0.ready().await?;
        let response = self.0.send_request(request.build()).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
