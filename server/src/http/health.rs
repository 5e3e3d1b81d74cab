//! `/healthz`, `/readyz`, `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::refusal;
use crate::app::App;

/// The routes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

async fn ready(State(app): State<App>) -> Response {
    let text = if *app.shutdown.borrow() {
        "the server is about to end"
    } else if !app.writer.is_healthy() {
        "the database does not take writes: nothing is answered until it does"
    } else {
        return "ok\n".into_response();
    };
    refusal::body(StatusCode::SERVICE_UNAVAILABLE, text, None)
}

async fn metrics(State(app): State<App>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, OPEN_METRICS)], app.metrics.render()).into_response()
}
