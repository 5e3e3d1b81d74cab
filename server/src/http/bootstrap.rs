//! The scripts with which hosts begin. Nobody signs a request for one; its address carries a one-time token.
//!
//! Whatever is answered is a script: it is piped into a shell, by somebody who does not look at the status. A refusal says
//! what to do and ends with an error there.

mod script;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use sikkerkey_protocol::id::VaultId;

use self::script::{Script, Values};
use super::route::{Route, Signer, Verb};
use super::{refusal, signed};
use crate::app::App;
use crate::audit::entry::Actor;
use crate::ledger::ActivityKind;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::bootstrap::{self, Asked};
use crate::usecase::source::Source;

/// The routes.
pub(super) fn routes() -> [Route; 5] {
    [
        "/v1/bootstrap/{token}",
        "/v1/bootstrap/{token}/ps",
        "/v1/bootstrap/{token}/k8s",
        "/v1/{vault}/temp-bootstrap/{token}",
        "/v1/{vault}/temp-bootstrap/{token}/ps",
    ]
    .map(|path| Route::new(Verb::Get, path, Signer::Nobody, handle))
}

/// What an address asks for, as it stood on the wire.
#[derive(Clone, Copy, Debug)]
struct Address<'a> {
    script: Script,
    asked: Asked<'a>,
}

impl<'a> Address<'a> {
    /// None: nothing of this is there.
    fn of(path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        let (temporary_in, token, end) = match parts.as_slice() {
            ["bootstrap", "register"] => return None,
            ["bootstrap", token, end @ ..] => (None, *token, end),
            [vault, "temp-bootstrap", token, end @ ..] => (Some(*vault), *token, end),
            _ => return None,
        };
        let script = match (end, temporary_in) {
            ([], _) => Script::Host,
            (["ps"], _) => Script::PowerShell,
            (["k8s"], None) => Script::Kubernetes,
            _ => return None,
        };
        Some(Self { script, asked: Asked { token, temporary_in } })
    }
}

/// The refusal of a server that cannot answer yet, where a script was asked for.
pub(super) fn not_yet(path: &str, refusal: &Refusal) -> Option<Response> {
    Some(refused(Address::of(path)?.script, refusal))
}

async fn handle(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let Some(address) = Address::of(parts.uri.path()) else {
        return refusal::body(StatusCode::NOT_FOUND, "no such route", None);
    };
    let source = signed::source(&app, &parts);
    match vault(&app, source, address.asked).await {
        Ok(vault) => {
            app.floods.count(ActivityKind::BootstrapScript, app.clock.now(), &source.address.to_string());
            let authority = app.authority();
            let Asked { token, .. } = address.asked;
            let values = Values { url: &app.public_url, vault: &vault, token, authority: authority.as_deref() };
            answer(StatusCode::OK, address.script.render(&values))
        }
        Err(refusal) => refused(address.script, &refusal),
    }
}

async fn vault(app: &App, source: Source, asked: Asked<'_>) -> Result<VaultId, Refusal> {
    let now = app.clock.now();
    app.lockout.check_tokens(now, source.address).map_err(|lock| signed::lockout(app, source, &lock))?;
    if !bootstrap::is_token(asked.token) {
        app.floods.count(ActivityKind::Malformed, now, &source.address.to_string());
        let text = "this address has no token in it: copy the whole command, and run it again";
        return Err(Refusal::new(RefusalKind::NotFound, text));
    }
    let look = || bootstrap::vault(&app.live.read().state, now, source, asked).cloned();
    let mut found = look();
    if found.as_ref().is_err_and(|it| it.kind == RefusalKind::Unauthenticated) {
        // Another server may have made the token a moment ago.
        app.writer.catch_up_after_miss().await?;
        found = look();
    }
    match found {
        Ok(vault) => Ok(vault),
        Err(refusal) => {
            if refusal.kind == RefusalKind::Unauthenticated {
                app.lockout.token_failed(now, source.address);
            }
            Err(signed::refused(app, source, Actor::Anonymous, refusal).await)
        }
    }
}

fn refused(script: Script, refusal: &Refusal) -> Response {
    let mut response = answer(refusal::status(refusal.kind), script.refusal(&refusal.message));
    if let Some(seconds) = refusal.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn answer(status: StatusCode, script: String) -> Response {
    let headers =
        [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, script).into_response()
}

#[cfg(test)]
mod tests;
