//! Accepting connections, plain or TLS, HTTP/1.1 or HTTP/2, with bounds on everything a client may take its time with.

mod activity;
mod places;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ipnet::IpNet;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use self::activity::Activity;
use self::places::{Place, Places};
use crate::metrics::{ClosedCause, Metrics};

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What clients may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at the same time. Beyond it, new ones wait in the kernel.
    pub connections: usize,
    /// Of these, how many one address may have (of IPv6: one /64). Beyond it, new ones are closed.
    pub per_address: usize,
    /// Addresses that stand for many clients, and may have more.
    pub shared: Vec<IpNet>,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long headers may take to arrive, and how long a connection may idle between two requests.
    pub idle: Duration,
    /// How long requests may take to finish when the server ends.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 30_000,
            per_address: 1_000,
            shared: Vec::new(),
            handshake: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            shutdown: Duration::from_secs(10),
        }
    }
}

/// Requests have four signed headers and little else; hyper's own buffer would be 400 KiB.
const HEADER_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// Requests that one HTTP/2 connection may have under way.
const STREAMS: u32 = 100;
/// Connections that wait in the kernel to be accepted: what tokio asks for.
const BACKLOG: usize = 1024;
/// Streams that a client may open and reset at once before its connection is closed ("rapid reset").
const RESETS: usize = 64;
/// How many bytes of bodies may arrive on an HTTP/2 connection before they are read.
const WINDOW: u32 = 128 * 1024;
/// How many bytes of answers may wait on an HTTP/2 connection for a client that does not read.
const UNREAD: usize = 128 * 1024;

/// Serves until `shutdown` turns true, then lets what has begun finish.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: Limits,
    metrics: Arc<Metrics>,
    shutdown: watch::Receiver<bool>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Places::new(&limits);
    let http = Arc::new(http(&limits));
    // Closed when the last connection has ended.
    let (alive, mut ended) = mpsc::channel::<()>(1);
    let serve_one = |stream: TcpStream, peer: SocketAddr, place: Place| {
        let connection = Connection {
            http: Arc::clone(&http),
            router: router.clone(),
            metrics: Arc::clone(&metrics),
            peer,
            idle: limits.idle,
            first: limits.shutdown / 8,
            grace: limits.shutdown / 2,
            shutdown: shutdown.clone(),
            _place: place,
            _alive: alive.clone(),
        };
        tokio::spawn(connection.begin(stream, acceptor.clone(), limits.handshake));
    };
    let mut ending = shutdown.clone();
    loop {
        tokio::select! {
            (stream, peer, place) = accept(&listener, &places, &metrics) => serve_one(stream, peer, place),
            _ = ending.wait_for(|it| *it) => break,
        }
    }
    last_call(listener, &places, &metrics, serve_one).await;
    drop(alive);
    if timeout(limits.shutdown, ended.recv()).await.is_err() {
        tracing::warn!("some requests did not finish in time and are cut off");
    }
}

/// Takes in whoever has connected and waits in the kernel, which would reset them all together with the listener. A client
/// that nobody listens for tries again; one that is cut off without an answer may not, the official Python client among
/// them.
async fn last_call(
    listener: TcpListener,
    places: &Places,
    metrics: &Arc<Metrics>,
    serve_one: impl Fn(TcpStream, SocketAddr, Place),
) {
    // The kernel is asked, because the runtime may not have heard of the latest yet. So many wait there at the most.
    let Ok(listener) = listener.into_std() else { return };
    for _ in 0..BACKLOG {
        let Ok((stream, peer)) = listener.accept() else { return };
        let Ok(free) = timeout(Duration::ZERO, places.wait()).await else { return };
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        match (free.take(peer.ip(), metrics), stream) {
            (Some(place), Ok(stream)) => serve_one(stream, peer, place),
            (None, _) => metrics.count_closed(ClosedCause::Address),
            (_, Err(error)) => tracing::debug!(%peer, %error, "a connection was lost"),
        }
    }
}

async fn accept(listener: &TcpListener, places: &Places, metrics: &Arc<Metrics>) -> (TcpStream, SocketAddr, Place) {
    loop {
        let place = places.wait().await;
        match listener.accept().await {
            Ok((stream, peer)) => match place.take(peer.ip(), metrics) {
                Some(place) => return (stream, peer, place),
                None => metrics.count_closed(ClosedCause::Address),
            },
            Err(error) => {
                // Out of descriptors, most likely: give those that are open the time to end.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(UNREAD)
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.idle);
    http
}

struct Connection {
    http: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    metrics: Arc<Metrics>,
    peer: SocketAddr,
    idle: Duration,
    /// How long the first request may take to begin when the server ends.
    first: Duration,
    /// How long the rest may take then.
    grace: Duration,
    shutdown: watch::Receiver<bool>,
    _place: Place,
    _alive: mpsc::Sender<()>,
}

/// Where a connection is on its way to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// The server ends, and the client has not asked for anything yet: it has connected to do so, and its request is on
    /// its way. hyper would close it at once.
    AwaitingFirst,
    /// What is under way is the last.
    Ending,
}

impl Connection {
    async fn begin(self, stream: TcpStream, acceptor: Option<TlsAcceptor>, handshake: Duration) {
        // A failure here is the client's affair: it went away or does not speak TLS.
        drop(stream.set_nodelay(true));
        let Some(acceptor) = acceptor else { return self.run(stream).await };
        let peer = self.peer;
        match timeout(handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return self.run(stream).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
        }
        self.metrics.count_closed(ClosedCause::Handshake);
    }

    async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (peer, router) = (Peer(self.peer), self.router.clone());
        let activity = Activity::new();
        let asked = activity.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let request_under_way = asked.begin();
            let answering = router.clone().call(request.map(Body::new));
            async move {
                let answer = answering.await;
                drop(request_under_way);
                answer
            }
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut phase = Phase::Serving;
        let result = loop {
            // HTTP/2 ends when the client has agreed to it, for which it has not long.
            let idle = match phase {
                Phase::Serving => self.idle,
                Phase::AwaitingFirst => self.first,
                Phase::Ending => self.grace,
            };
            let idle_at = activity.idle_at(idle);
            tokio::select! {
                result = connection.as_mut() => break result,
                () = sleep_until(idle_at) => {
                    if !activity.is_idle(idle) {
                        continue;
                    }
                    match phase {
                        Phase::Serving => self.metrics.count_closed(ClosedCause::Idle),
                        Phase::AwaitingFirst => {}
                        Phase::Ending => return,
                    }
                }
                () = activity.asks(), if phase == Phase::AwaitingFirst => {}
                _ = self.shutdown.wait_for(|it| *it), if phase == Phase::Serving => {
                    if !activity.has_asked() {
                        phase = Phase::AwaitingFirst;
                        activity.touch();
                        continue;
                    }
                }
            }
            phase = Phase::Ending;
            activity.touch();
            connection.as_mut().graceful_shutdown();
        };
        if let Err(error) = result {
            tracing::debug!(peer = %self.peer, %error, "a connection ended early");
        }
    }
}

/// What counts as one address: of IPv6, a whole /64.
fn one_address(address: IpAddr) -> IpAddr {
    crate::lockout::network(address)
}

#[cfg(test)]
mod tests;
