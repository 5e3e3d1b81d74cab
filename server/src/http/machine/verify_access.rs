//! `POST /v1/verify-access`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::http::success::ok;
use crate::http::{agent, signed};
use crate::usecase::verify_access::verify_access;

pub(super) async fn handle(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => match agent::parse(verified.body()) {
            Ok(asked) => ok(verify_access(&app, verified, asked).await),
            Err(refusal) => refusal.into_response(),
        },
        Err(response) => response,
    }
}
