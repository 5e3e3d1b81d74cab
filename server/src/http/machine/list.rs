//! `GET /v1/secrets` and `POST /v1/secrets/list`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use sikkerkey_protocol::machine_plane::Selection;

use crate::app::App;
use crate::http::success::ok;
use crate::http::{agent, signed};
use crate::refusal::Refusal;
use crate::usecase::list_secrets::list_secrets;

pub(super) async fn all(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => ok(list_secrets(&app, verified, Selection::default()).await),
        Err(response) => response,
    }
}

pub(super) async fn selected(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => match selection(verified.body()) {
            Ok(selection) => ok(list_secrets(&app, verified, selection).await),
            Err(refusal) => signed::malformed(&app, verified.source(), refusal),
        },
        Err(response) => response,
    }
}

/// No body at all means everything: some clients send neither a body nor a length.
pub(super) fn selection(body: &[u8]) -> Result<Selection, Refusal> {
    if body.is_empty() { Ok(Selection::default()) } else { agent::parse(body) }
}
