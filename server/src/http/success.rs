//! The one place where an answer becomes a body.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::refusal::{Refusal, RefusalKind};

/// A success is exactly 200, never cached and never compressed; a refusal is what it is.
pub(super) fn ok(answer: Result<impl Serialize, Refusal>) -> Response {
    let body = answer.and_then(|answer| {
        serde_json::to_vec(&answer).map_err(|_| Refusal::new(RefusalKind::Unavailable, "the answer has no JSON form"))
    });
    match body {
        Ok(body) => ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
