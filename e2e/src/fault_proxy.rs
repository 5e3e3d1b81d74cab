//! A proxy that misbehaves on demand: between the operator and the API server, and between the operator and the server.
//!
//! It listens on the loopback interface in plain HTTP. What it does to a request is decided by a function of that request,
//! which a test changes while everything runs.

mod upstream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::upstream::Upstream;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How.
    pub method: Method,
    /// Path with query.
    pub path: String,
}

impl Asked {
    /// Whether the answer is a stream of news.
    pub fn is_watch(&self) -> bool {
        self.path.contains("watch=true") || self.path.contains("watch=1")
    }

    /// Whether something changes by it.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }
}

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It does not reach its goal; the answer is this status.
    Refuse(u16),
    /// It does not reach its goal, and there is no answer.
    Drop,
    /// It reaches its goal, and there is no answer.
    Lose,
    /// It takes so much longer to reach its goal.
    Delay(Duration),
    /// Its answer ends in the middle after this long.
    Cut(Duration),
    /// Each part of its answer comes so much later.
    Lag(Duration),
}

type Mischief = Arc<dyn Fn(&Asked) -> Fault + Send + Sync>;

/// A running proxy. It ends when it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    mischief: watch::Sender<Mischief>,
    listener: JoinHandle<()>,
}

impl FaultProxy {
    /// In front of an API server, as this client may use it. Headers that impersonate are handed on.
    pub async fn to_api_server(client: kube::Client) -> io::Result<Self> {
        Self::to(Upstream::Kubernetes(client)).await
    }

    /// In front of a server, whose certificate authority stands in a file when the first request comes.
    pub async fn to_server(origin: &str, ca: PathBuf) -> io::Result<Self> {
        Self::to(Upstream::https(origin, ca)).await
    }

    async fn to(upstream: Upstream) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let honest: Mischief = Arc::new(|_: &Asked| Fault::None);
        let (mischief, told) = watch::channel(honest);
        let listener = tokio::spawn(accept(listener, Arc::new(upstream), told));
        Ok(Self { address, mischief, listener })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is done to requests. Answers that are under way break off, so that what goes on for long is asked anew.
    pub fn does(&self, mischief: impl Fn(&Asked) -> Fault + Send + Sync + 'static) {
        self.mischief.send_replace(Arc::new(mischief));
    }

    /// From now on nothing is done to them.
    pub fn behaves(&self) {
        self.does(|_| Fault::None);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl std::fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, upstream: Arc<Upstream>, mischief: watch::Receiver<Mischief>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(serve(stream, Arc::clone(&upstream), mischief.clone()));
    }
}

async fn serve(stream: TcpStream, upstream: Arc<Upstream>, mischief: watch::Receiver<Mischief>) {
    let service = service_fn(|request: Request<Incoming>| {
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let asked = Asked { method: request.method().clone(), path };
        let (mut changes, upstream) = (mischief.clone(), Arc::clone(&upstream));
        async move {
            let decide = Arc::clone(&changes.borrow_and_update());
            let (head, body) = suffer(decide(&asked), request, upstream).await?.into_parts();
            Ok::<_, io::Error>(Response::from_parts(head, upstream::until_changed(body, changes)))
        }
    });
    // An error is how a connection ends without an answer.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn suffer(fault: Fault, request: Request<Incoming>, upstream: Arc<Upstream>) -> io::Result<Response<Body>> {
    match fault {
        Fault::None => upstream.forward(request).await,
        Fault::Refuse(status) => Ok(refusal(status)),
        Fault::Drop => Err(io::ErrorKind::ConnectionAborted.into()),
        Fault::Lose => {
            // To its end: what it changes is changed when the asker learns nothing.
            let answer = upstream.forward(request).await?;
            let _ = answer.into_body().collect().await;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Fault::Delay(by) => {
            tokio::time::sleep(by).await;
            upstream.forward(request).await
        }
        Fault::Cut(after) => {
            let (head, body) = upstream.forward(request).await?.into_parts();
            Ok(Response::from_parts(head, upstream::cut(body, after)))
        }
        Fault::Lag(by) => {
            let (head, body) = upstream.forward(request).await?.into_parts();
            Ok(Response::from_parts(head, upstream::lag(body, by)))
        }
    }
}

/// As an API server refuses; the operator's own server is understood by its status alone.
fn refusal(status: u16) -> Response<Body> {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = match status {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason,
        "message": "made up by the proxy of a test", "error": "made up by the proxy of a test",
    });
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = code;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}
