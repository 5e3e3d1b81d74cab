//! Everything that knows HTTP.
//!
//! A handler parses, calls a use case and prints. It never touches the store. Success is exactly 200; every other
//! answer is `{"error": "…"}`, mapped in one place ([`refusal`]).

pub mod account;
pub mod admin;
pub mod agent;
pub mod body;
mod bootstrap;
pub mod client_address;

mod dashboard;
mod health;
pub mod kubernetes;
pub mod listener;
mod machine;
mod management;
pub mod openapi;
pub mod refusal;
pub mod route;
pub mod sealed;
mod sealing_key;
pub mod signed;
mod success;
mod trace;
pub mod unsigned;

use axum::Router;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use self::route::Route;
use crate::app::App;
use crate::metrics::StatusLabel;
use crate::refusal::not_found;

/// The largest body of a request that nobody signed, in bytes: a token, a key and a proof.
pub const TOKEN_BODY: usize = 32 * 1024;
/// The largest body of a machine's request, in bytes. It is read before its signature is verified.
pub const MACHINE_BODY: usize = 128 * 1024;
/// The largest body of an agent's request, in bytes.
pub const AGENT_BODY: usize = 1024 * 1024;

/// Every route.
pub fn routes() -> Vec<Route> {
    let mut routes = machine::routes();
    routes.extend(kubernetes::routes());
    routes.extend(management::routes());
    routes.extend(account::routes());
    routes.push(sealing_key::route());
    routes.extend(bootstrap::routes());
    routes.extend(health::routes());
    routes.push(openapi::route());
    routes
}

/// Every page of the dashboard, and what belongs to the pages.
pub fn pages() -> Vec<Route> {
    dashboard::routes()
}

/// What answers every route and every page.
pub fn router(app: App) -> Router {
    route::router(routes().into_iter().chain(pages()))
        .fallback(missing)
        .method_not_allowed_fallback(|| async {
            refusal::body(StatusCode::METHOD_NOT_ALLOWED, "this route takes another method", None)
        })
        .layer(from_fn_with_state(app.clone(), measure))
        .with_state(app)
}

async fn missing(request: Request<axum::body::Body>) -> Response {
    let refusal = not_found("there is nothing at this address");
    let page = dashboard::refusal(request.uri().path(), request.headers(), &refusal);
    page.unwrap_or_else(|| refusal::body(StatusCode::NOT_FOUND, "no such route", None))
}

async fn measure(State(app): State<App>, request: Request<axum::body::Body>, next: Next) -> Response {
    // Copied only when somebody reads it.
    let asked =
        tracing::enabled!(tracing::Level::DEBUG).then(|| (request.method().clone(), request.uri().path().to_owned()));
    let span = trace::request(&request);
    let response = next.run(request).instrument(span.clone()).await.into_response();
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
    if let Some((method, path)) = asked {
        tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    }
    app.metrics.responses.get_or_create(&StatusLabel { status: response.status().as_u16() }).inc();
    response
}
