//! `/status` and `/metrics` by plain HTTP, where the operator's configuration says so. Nothing runs while nobody asks.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::status::Board;

/// Connections at once.
const CONNECTIONS: usize = 4;
/// How long one may take, its request and its answer together.
const BOUND: Duration = Duration::from_secs(5);
/// The longest request head, nearly: the library takes no less.
const BUFFER: usize = 8 << 10;

/// Answers at `address` from now on. Where that cannot be, it is said, and the sidecar does its work all the same.
pub fn start(address: SocketAddr, board: Arc<Board>) -> Option<JoinHandle<Infallible>> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    match bound {
        Ok(listener) => {
            tracing::info!(%address, "answers /status and /metrics");
            Some(tokio::spawn(serve(listener, board)))
        }
        Err(error) => {
            tracing::error!(%address, %error, "cannot answer /status and /metrics: does something else listen there?");
            None
        }
    }
}

/// Answers on `listener`.
pub async fn serve(listener: TcpListener, board: Arc<Board>) -> Infallible {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, _)) => {
                let board = Arc::clone(&board);
                tokio::spawn(async move {
                    let _permit = permit;
                    // Whoever is slow or speaks no HTTP is cut off; there is nobody to tell.
                    let _ = timeout(BOUND, connection(stream, &board)).await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, board: &Board) -> hyper::Result<()> {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request, board)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).keep_alive(false).max_buf_size(BUFFER).max_headers(32);
    builder.serve_connection(TokioIo::new(stream), service).await
}

fn answer(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/status") => (StatusCode::OK, "application/json", board.status()),
        (&Method::GET, "/metrics") => (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", board.metrics()),
        (_, "/status" | "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "there are /status and /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    response
}
