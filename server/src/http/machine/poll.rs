//! `POST /v1/secrets/poll`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;

use crate::app::App;
use crate::http::success::ok;
use crate::http::{agent, signed};
use crate::usecase::poll_secrets::poll_secrets;

pub(super) async fn handle(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => match agent::parse(verified.body()) {
            Ok(poll) => ok(poll_secrets(&app, verified, poll).await),
            Err(refusal) => signed::malformed(&app, verified.source(), refusal),
        },
        Err(response) => response,
    }
}
