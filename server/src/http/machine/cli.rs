//! `GET /v1/cli/projects` and `GET /v1/cli/secrets`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;

use crate::app::App;
use crate::http::signed;
use crate::http::success::ok;
use crate::usecase::list_secrets::{list_detailed, list_projects};

pub(super) async fn projects(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => ok(list_projects(&app, verified).await),
        Err(response) => response,
    }
}

pub(super) async fn secrets(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => ok(list_detailed(&app, verified).await),
        Err(response) => response,
    }
}
