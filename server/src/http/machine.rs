//! Routes that a machine signs.

mod change;
mod cli;
mod export;
mod list;
mod poll;
mod secret;
mod sync;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::{Renew, Resign};
use sikkerkey_protocol::sync::Sync;

use crate::app::App;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::{renew, resign};

/// The routes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/secret/{id}", get(secret::handle))
        .route("/v1/secrets", get(list::all))
        .route("/v1/secrets/list", post(list::selected))
        .route("/v1/secrets/export", post(export::handle))
        .route("/v1/secrets/poll", post(poll::handle))
        .route("/v1/cli/projects", get(cli::projects))
        .route("/v1/cli/secrets", get(cli::secrets))
        .route(Sync::PATH, post(sync::handle))
        .route(Renew::PATH, change::call(renew::renew))
        .route(Resign::PATH, change::call(resign::resign))
}

/// A success: exactly 200, never cached, never compressed.
fn ok(answer: Result<impl Serialize, Refusal>) -> Response {
    let body = answer.and_then(|answer| {
        serde_json::to_vec(&answer)
            .map_err(|_| Refusal::new(RefusalKind::Unavailable, "the answer has no JSON form"))
    });
    match body {
        Ok(body) => ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
