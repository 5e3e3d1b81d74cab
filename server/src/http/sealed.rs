//! A server without its root key: it listens, says what is missing, and serves as soon as it is there.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use sikkerkey_protocol::error_body::ErrorCode;
use tower_service::Service as _;

use super::{bootstrap, dashboard, health, refusal};
use crate::app::App;
use crate::health::Missing;
use crate::metrics::Metrics;
use crate::refusal::{Refusal, RefusalKind};

/// When a client is told to come again, in seconds.
const RETRY_SECONDS: u64 = 5;

/// What stands before the server: shut until the root key is there, and open from then on.
pub struct Door {
    open: OnceLock<(App, Router)>,
    missing: RwLock<String>,
    metrics: Arc<Metrics>,
}

impl Door {
    /// A door that is open from the beginning.
    pub fn open(app: App) -> Arc<Self> {
        let door = Self::shut(String::new(), Arc::clone(&app.metrics));
        door.unseal(app);
        door
    }

    /// A door that is shut, with what is missing, and what is measured all the same.
    pub fn shut(missing: String, metrics: Arc<Metrics>) -> Arc<Self> {
        metrics.show_missing(&[Missing::RootKey]);
        Arc::new(Self { open: OnceLock::new(), missing: RwLock::new(missing), metrics })
    }

    /// Opens it for good.
    pub fn unseal(&self, app: App) {
        // Whoever came first has opened it.
        drop(self.open.set((app.clone(), super::router(app))));
    }

    /// Says what is missing now.
    pub fn still_missing(&self, missing: String) {
        *self.missing.write().unwrap_or_else(PoisonError::into_inner) = missing;
    }

    /// What is behind it, when it is open; else a text that says what is missing.
    pub fn app(&self) -> Result<&App, String> {
        self.open.get().map(|(app, _)| app).ok_or_else(|| self.text())
    }

    /// The routes of one that may still be shut. Those of an open one are the server's own.
    pub fn router(self: &Arc<Self>) -> Router {
        if let Some((_, router)) = self.open.get() {
            return router.clone();
        }
        Router::new().fallback(pass).with_state(Arc::clone(self))
    }

    fn text(&self) -> String {
        let missing = self.missing.read().unwrap_or_else(PoisonError::into_inner);
        format!("the server is sealed: {missing}")
    }

    fn refuse(&self, path: &str, headers: &HeaderMap) -> Response {
        if path == "/healthz" {
            return "ok\n".into_response();
        }
        // Whoever watches hears that the server is sealed, not that it is away.
        if path == "/metrics" {
            return health::exposition(&self.metrics);
        }
        let sealed = "the server is sealed until it has its root key: try again later";
        let refusal = Refusal::new(RefusalKind::Unavailable, sealed).retry_after(RETRY_SECONDS);
        // It is piped into a shell.
        if let Some(script) = bootstrap::not_yet(path, &refusal) {
            return script;
        }
        if let Some(page) = dashboard::refusal(path, headers, &refusal).filter(|_| path != "/readyz") {
            return page;
        }
        // What is missing is told to whoever watches the server, and no client; SDK routes carry nothing but the text.
        let (text, code) = if path == "/readyz" {
            (self.text(), None)
        } else {
            let code = path.starts_with("/v1/ai/").then_some(ErrorCode::Sealed);
            (sealed.to_owned(), code)
        };
        let mut response = refusal::body(StatusCode::SERVICE_UNAVAILABLE, text, code);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        response
    }
}

/// Each request by itself: a connection that was opened while the door was shut goes on when it is open.
async fn pass(State(door): State<Arc<Door>>, request: Request<Body>) -> Response {
    match door.open.get() {
        Some((_, router)) => router.clone().call(request).await.into_response(),
        None => door.refuse(request.uri().path(), request.headers()),
    }
}

#[cfg(test)]
mod tests;
