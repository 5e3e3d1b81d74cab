//! `/healthz`, `/readyz`, `/metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::route::{Route, Signer, Verb};
use crate::app::App;
use crate::health::Missing;
use crate::metrics::Metrics;

/// How far the own clock may be from the database's, in milliseconds.
const MOST_SKEW: i64 = 10_000;

/// The routes.
pub(super) fn routes() -> [Route; 3] {
    [
        Route::new(Verb::Get, "/healthz", Signer::Nobody, || async { "ok\n" }),
        Route::new(Verb::Get, "/readyz", Signer::Nobody, ready),
        Route::new(Verb::Get, "/metrics", Signer::Nobody, metrics).answers_text(&["application/openmetrics-text"]),
    ]
}

/// What `/readyz` answers while something is missing.
#[derive(Serialize)]
struct NotReady {
    /// For people.
    error: String,
    /// For programs.
    missing: Vec<&'static str>,
}

/// Whatever is kept elsewhere is looked up now, so that it cannot differ.
fn missing(app: &App) -> Vec<Missing> {
    app.health.set(Missing::DatabaseWrites, !app.writer.is_healthy());
    app.health.set(Missing::Clock, app.clock.skew().abs() > MOST_SKEW);
    app.health.set(Missing::Ending, *app.shutdown.borrow());
    app.health.missing()
}

async fn ready(State(app): State<App>) -> Response {
    let missing = missing(&app);
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let error = missing.iter().map(|it| it.text()).collect::<Vec<_>>().join("; ");
    let body = NotReady { error, missing: missing.iter().map(|it| it.as_str()).collect() };
    (StatusCode::SERVICE_UNAVAILABLE, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn metrics(State(app): State<App>) -> Response {
    app.metrics.queued.set(i64::try_from(app.writer.waiting()).unwrap_or(i64::MAX));
    app.metrics.show_missing(&missing(&app));
    // Milliseconds of a clock that is off by centuries are still exact.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    app.metrics.clock_skew.set(app.clock.skew() as f64 / 1000.0);
    exposition(&app.metrics)
}

/// What is measured, as text.
pub(super) fn exposition(metrics: &Metrics) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, OPEN_METRICS)], metrics.render()).into_response()
}
