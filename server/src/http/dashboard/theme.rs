//! Light or dark: what the person chose in this browser, or else what the browser's own setting is.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{COOKIE, REFERER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::page::{self, go};
use crate::app::App;
use crate::http::account::same_origin;
use crate::http::route::{Route, Signer, Verb};
use crate::http::signed;

const COOKIE_NAME: &str = "sikkerkey-theme";
/// How long it is kept, in seconds: a year.
const KEPT: u32 = 365 * 24 * 3600;

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Theme {
    /// As the browser's setting is.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    /// What was chosen.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(';'));
        let chosen = cookies.filter_map(|it| it.trim().split_once('=')).find(|(name, _)| *name == COOKIE_NAME);
        match chosen {
            Some((_, "light")) => Self::Light,
            Some((_, "dark")) => Self::Dark,
            _ => Self::System,
        }
    }

    /// As it stands in the page and in the cookie.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What the switch leads to.
    pub(super) fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
}

/// The routes.
pub(super) fn routes() -> [Route; 1] {
    [Route::new(Verb::Post, "/theme", Signer::Nobody, choose)]
}

#[derive(Deserialize)]
struct Choice {
    theme: Theme,
}

async fn choose(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let source = signed::source(&app, &parts);
    if let Err(refusal) = same_origin::own_page(&app, &parts.headers) {
        return signed::malformed(&app, source, refusal);
    }
    let back = page_of(&app, &parts.headers).unwrap_or_else(|| "/".to_owned());
    let form: Choice = match page::form(&app, source, parts.headers, body).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let mut response = go(&back);
    let text = format!("{COOKIE_NAME}={}; Path=/; Max-Age={KEPT}; HttpOnly; SameSite=Strict", form.theme.as_str());
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// The page of ours that the form stood on.
fn page_of(app: &App, headers: &HeaderMap) -> Option<String> {
    let target = headers.get(REFERER)?.to_str().ok()?.strip_prefix(&app.public_url)?;
    super::login::own_target(target).map(str::to_owned)
}
