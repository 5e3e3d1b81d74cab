//! Routes that a machine signs.

mod change;
mod cli;
mod co_sign;
mod export;
mod list;
mod poll;
mod secret;
mod sync;
mod verify_access;

use axum::Router;
use axum::routing::{get, post};
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::{Renew, Resign};
use sikkerkey_protocol::sync::Sync;

use crate::app::App;
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
        .route("/v1/verify-access", post(verify_access::handle))
        .route("/v1/cosign", get(co_sign::list))
        .route("/v1/cosign/{id}/approve", post(co_sign::approve))
        .route("/v1/cosign/{id}/deny", post(co_sign::deny))
        .route(Sync::PATH, post(sync::handle))
        .route(Renew::PATH, change::call(renew::renew))
        .route(Resign::PATH, change::call(resign::resign))
}
