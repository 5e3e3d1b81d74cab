//! The one place where a refusal becomes a status.

use axum::Json;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sikkerkey_protocol::error_body::{ErrorBody, ErrorCode};

use crate::refusal::{Refusal, RefusalKind};

/// The status of a class of refusals.
pub fn status(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::Invalid => StatusCode::BAD_REQUEST,
        RefusalKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        RefusalKind::Forbidden => StatusCode::FORBIDDEN,
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::Frozen => StatusCode::LOCKED,
        RefusalKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// `{"error": …}` with a status.
pub fn body(status: StatusCode, error: impl Into<String>, code: Option<ErrorCode>) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(ErrorBody { error: error.into(), code })).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = body(status(self.kind), self.message, self.code);
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
