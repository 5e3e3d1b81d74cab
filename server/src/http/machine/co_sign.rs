//! `/v1/cosign`: what waits for the machine that signs, and its answers.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::response::Response;
use sikkerkey_protocol::co_sign::{CoSignVerdict, Consent};

use super::change;
use crate::app::App;
use crate::http::signed;
use crate::http::success::ok;
use crate::usecase::co_sign;

pub(super) async fn list(State(app): State<App>, request: Request<Body>) -> Response {
    match signed::machine(&app, request).await {
        Ok(verified) => ok(co_sign::list_for(&app, verified).await),
        Err(response) => response,
    }
}

pub(super) async fn approve(state: State<App>, id: Path<String>, request: Request<Body>) -> Response {
    answer(state, id, request, CoSignVerdict::Approved).await
}

pub(super) async fn deny(state: State<App>, id: Path<String>, request: Request<Body>) -> Response {
    answer(state, id, request, CoSignVerdict::Denied).await
}

async fn answer(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request<Body>,
    verdict: CoSignVerdict,
) -> Response {
    // Stands in the audit of a refusal.
    let what = match verdict {
        CoSignVerdict::Approved => "/v1/cosign/{id}/approve",
        CoSignVerdict::Denied => "/v1/cosign/{id}/deny",
    };
    change::run(&app, request, what, move |context, machine, source, consent: Consent| {
        co_sign::answer(context, machine, source, &id, verdict, &consent)
    })
    .await
}
