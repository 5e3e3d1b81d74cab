//! `POST /v1/machine/sync`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;

use crate::app::App;
use crate::http::success::ok;
use crate::http::{agent, signed};
use crate::usecase::sync::sync;

pub(super) async fn handle(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => match agent::parse(verified.body()) {
            Ok(body) => ok(sync(&app, verified, body).await),
            Err(refusal) => signed::malformed(&app, verified.source(), refusal),
        },
        Err(response) => response,
    }
}
