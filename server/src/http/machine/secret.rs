//! `GET /v1/secret/{id}`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use sikkerkey_protocol::machine_plane::SecretBody;

use crate::app::App;
use crate::http::signed;
use crate::http::success::ok;
use crate::usecase::read_secret::read_secret;

pub(super) async fn handle(State(app): State<App>, request: Request<Body>) -> Response {
    // As it stands on the wire: no id has a character that would be escaped.
    let id = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    match signed::machine(&app, request).await {
        Ok(verified) => ok(read_secret(&app, verified, &id).await.map(|value| SecretBody { value })),
        Err(response) => response,
    }
}
