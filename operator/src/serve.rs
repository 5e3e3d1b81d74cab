//! What is served: webhook, attestation, health and metrics, all by TLS, on one listener or attestation on its own.
//!
//! Every replica serves. Sizes, handshakes, requests and connections have bounds, those of one address as well, so that no
//! pod keeps the API server out ([`bounds`]); the certificate is exchanged while it serves. A request in work at shutdown
//! is finished.

pub mod bounds;
pub mod counters;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use serde_json::json;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::Attest;
use sikkerkey_protocol::report::Report;
use sikkerkey_traces::{parent, span};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use self::bounds::{MAX_REVIEW, Reviews, Room, Share, Sources};
use self::counters::{Counters, Route};
use crate::attest::denial::Denial;
use crate::attest::{Attestation, MAX_BODY};
use crate::ca::serving::Serving;
use crate::manifests::{MUTATE_PATH, QUESTION_PATH, VALIDATE_PATH};
use crate::question::Questions;
use crate::webhook::Webhook;
use crate::webhook::review::{Answer, Malformed};

/// Connections of one listener at once.
const CONNECTIONS: usize = 1024;
/// What is read of a connection before it is understood.
const BUFFER: usize = 64 * 1024;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may stay without a whole request head, and a request without its whole body.
const IDLE: Duration = Duration::from_secs(10);
/// How long a request may take, its body included.
const REQUEST: Duration = Duration::from_secs(30);
/// How long requests in work have at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

/// TLS could not be set up.
#[derive(Debug, Error)]
#[error("could not set up TLS")]
pub struct TlsError(#[from] rustls::Error);

/// Whether this replica can serve; else why not.
pub type Readiness = Box<dyn Fn() -> Result<(), &'static str> + Send + Sync>;
/// The metrics of the rest of the process (`OpenMetrics` text).
pub type OtherMetrics = Box<dyn Fn() -> String + Send + Sync>;

/// What the routes work with.
pub struct Context {
    /// Pods and our own kinds.
    pub webhook: Webhook,
    /// Attestation.
    pub attestation: Attestation,
    /// Questions of people.
    pub questions: Questions,
    /// For `/readyz`.
    pub ready: Readiness,
    /// For `/metrics`.
    pub metrics: OtherMetrics,
    /// What the routes count.
    pub counters: Counters,
    /// The reviews in work.
    pub reviews: Reviews,
}

/// Whom a request came from.
#[derive(Clone, Debug)]
struct Peer {
    address: IpAddr,
    share: Share,
}

/// What the API server and the kubelet call: reviews, health and metrics.
pub fn admission(context: Arc<Context>) -> Router {
    Router::new()
        .route(MUTATE_PATH, post(mutate))
        .route(VALIDATE_PATH, post(validate))
        .route(QUESTION_PATH, post(question))
        .route_layer(from_fn(trace))
        .layer(DefaultBodyLimit::max(MAX_REVIEW as usize))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context)
}

/// What sidecars call.
pub fn attestation(context: Arc<Context>) -> Router {
    Router::new()
        .route(Attest::PATH, post(attest))
        .route(Report::PATH, post(report))
        .route_layer(from_fn(trace))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(context)
}

/// The span of a request, below the caller's: of a sidecar, or of an API server that is traced. Its path is one of ours.
async fn trace(request: Request, next: Next) -> Response {
    let span = span!("request", otel.kind = "server", http.route = request.uri().path(), outcome = Empty);
    parent::follow(&span, request.headers());
    next.run(request).instrument(span).await
}

/// Serves `router` on `listener` until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    certificate: Arc<Serving>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), TlsError> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(certificate)?));
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let sources = Arc::new(Sources::default());
    let graceful = GracefulShutdown::new();
    let closing = watch::Sender::new(false);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, address, permit)) = accepted else { continue };
        let Some(connection) = sources.admit(address) else {
            tracing::debug!(%address, "too many connections from one address");
            continue;
        };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        let mut closed = closing.subscribe();
        tokio::spawn(async move {
            let _permit = permit;
            let peer = Peer { address, share: connection.share() };
            let handshake = tokio::select! {
                handshake = timeout(HANDSHAKE, acceptor.accept(stream)) => handshake,
                _ = closed.wait_for(|closed| *closed) => return,
            };
            let Ok(Ok(stream)) = handshake else { return };
            let service = hyper::service::service_fn(move |request| answer(router.clone(), peer.clone(), request));
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(BUFFER);
            let served = builder.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(served).await {
                tracing::debug!(%address, %error, "a connection ended");
            }
            drop(connection);
        });
    }
    drop(listener);
    closing.send_replace(true);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
    Ok(())
}

fn tls(certificate: Arc<Serving>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

type Accepted = (TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> Option<Accepted> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, address.ip(), permit))
        }
        Err(error) => {
            // Out of file descriptors, most likely: give the open connections time to end.
            tracing::warn!(%error, "could not accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn answer(
    mut router: Router,
    peer: Peer,
    mut request: hyper::Request<hyper::body::Incoming>,
) -> Result<Response, std::convert::Infallible> {
    request.extensions_mut().insert(peer);
    match timeout(REQUEST, router.call(request)).await {
        Ok(answer) => answer,
        Err(_) => Ok(error(StatusCode::REQUEST_TIMEOUT, "the request took too long", None)),
    }
}

/// `{"error": "…", "code": "…"}`.
fn error(status: StatusCode, message: &str, code: Option<&str>) -> Response {
    let body = match code {
        Some(code) => json!({"error": message, "code": code}),
        None => json!({"error": message}),
    };
    (status, Json(body)).into_response()
}

/// The body, if it comes whole and in time.
async fn body(request: Request) -> Result<Bytes, Response> {
    match timeout(IDLE, Bytes::from_request(request, &())).await {
        Ok(body) => body.map_err(|rejection| error(rejection.status(), &rejection.body_text(), None)),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body took too long", None)),
    }
}

/// The body of a review, once there is room for it.
async fn review(context: &Context, peer: &Peer, request: Request) -> Result<(Bytes, Room), Response> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let Some(room) = context.reviews.admit(&peer.share, length).await else {
        return Err(error(StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once: try again", None));
    };
    Ok((body(request).await?, room))
}

async fn mutate(State(context): State<Arc<Context>>, Extension(peer): Extension<Peer>, request: Request) -> Response {
    let begun = Instant::now();
    let (body, _room) = match review(&context, &peer, request).await {
        Ok(review) => review,
        Err(unread) => return unread,
    };
    let answer = context.webhook.mutate(&body).await;
    reviewed(&context, Route::Mutate, begun, answer)
}

async fn validate(State(context): State<Arc<Context>>, Extension(peer): Extension<Peer>, request: Request) -> Response {
    let begun = Instant::now();
    let (body, _room) = match review(&context, &peer, request).await {
        Ok(review) => review,
        Err(unread) => return unread,
    };
    let answer = context.webhook.validate(&body);
    reviewed(&context, Route::Validate, begun, answer)
}

/// Apart from the two above: this one asks the API server and the server, and takes its time.
async fn question(State(context): State<Arc<Context>>, Extension(peer): Extension<Peer>, request: Request) -> Response {
    let begun = Instant::now();
    let (body, _room) = match review(&context, &peer, request).await {
        Ok(review) => review,
        Err(unread) => return unread,
    };
    let answer = context.questions.answer(&body).await;
    reviewed(&context, Route::Question, begun, answer)
}

fn reviewed(context: &Context, route: Route, begun: Instant, answer: Result<(Vec<u8>, Answer), Malformed>) -> Response {
    let (outcome, response) = match answer {
        Ok((body, answer)) => {
            let outcome = match answer {
                Answer::Admit { .. } => "Admitted",
                Answer::Refuse { reason, .. } => reason,
            };
            (outcome, ([(header::CONTENT_TYPE, "application/json")], body).into_response())
        }
        Err(malformed) => ("Malformed", error(StatusCode::BAD_REQUEST, &malformed.to_string(), Some("Malformed"))),
    };
    answered(context, route, outcome, begun);
    response
}

/// Counts an answer, and notes it in its span.
fn answered(context: &Context, route: Route, outcome: &'static str, begun: Instant) {
    Span::current().record("outcome", outcome);
    context.counters.answered(route, outcome, begun.elapsed());
}

async fn attest(State(context): State<Arc<Context>>, Extension(peer): Extension<Peer>, request: Request) -> Response {
    let begun = Instant::now();
    let body = match body(request).await {
        Ok(body) => body,
        Err(unread) => return unread,
    };
    match context.attestation.attest(&body, peer.address).await {
        Ok(attested) => {
            answered(&context, Route::Attest, "Vouched", begun);
            ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(attested)).into_response()
        }
        Err(denial) => {
            answered(&context, Route::Attest, denial.reason(), begun);
            denied(&denial)
        }
    }
}

async fn report(State(context): State<Arc<Context>>, Extension(peer): Extension<Peer>, request: Request) -> Response {
    let begun = Instant::now();
    let body = match body(request).await {
        Ok(body) => body,
        Err(unread) => return unread,
    };
    match context.attestation.report(&body, peer.address).await {
        Ok(reported) => {
            answered(&context, Route::Report, "Taken", begun);
            Json(reported).into_response()
        }
        Err(denial) => {
            answered(&context, Route::Report, denial.reason(), begun);
            denied(&denial)
        }
    }
}

fn denied(denial: &Denial) -> Response {
    let status = StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = error(status, &denial.to_string(), Some(denial.reason()));
    if let Some(pause) = denial.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(pause.as_secs()));
    }
    response
}

async fn ready(State(context): State<Arc<Context>>) -> Response {
    match (context.ready)() {
        Ok(()) => "ok".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

async fn metrics(State(context): State<Arc<Context>>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = context.counters.encode_after(&(context.metrics)());
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
