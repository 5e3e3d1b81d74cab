//! `POST /v1/secrets/export`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;

use super::list::selection;
use crate::app::App;
use crate::http::signed;
use crate::http::success::ok;
use crate::usecase::export_secrets::export_secrets;

pub(super) async fn handle(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => match selection(verified.body()) {
            Ok(selection) => ok(export_secrets(&app, verified, selection).await),
            Err(refusal) => signed::malformed(&app, verified.source(), refusal),
        },
        Err(response) => response,
    }
}
