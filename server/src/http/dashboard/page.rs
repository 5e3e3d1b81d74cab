//! The way of a page: whose session it is, the vault, the use case, the view, the layout.

use std::future::ready;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::Markup;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::Scope;

use super::layout::{self, Around};
use super::sheet::Sheet;
use super::visit::{Asked, Visit};
use super::{login, refused};
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::http::account::{same_origin, session};
use crate::http::management::ids;
use crate::http::route::{Route, Signer, Verb};
use crate::http::signed;
use crate::refusal::{Refusal, RefusalKind, invalid, not_found};
use crate::usecase::management::Manager;
use crate::usecase::source::Source;

/// The largest form, in bytes. What is typed grows when it is encoded.
const FORM: usize = 1024 * 1024;
/// How long a page waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest query, in bytes.
const QUERY: usize = 8 * 1024;
/// Scripts, styles and pictures are the server's own, no form goes elsewhere, and no page shows this one in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// What stands in headers of every page beside the policy.
const HEADERS: [(HeaderName, &str); 9] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // Not less: a form that is sent without one has the origin null.
    (REFERRER_POLICY, "same-origin"),
    // Over plain HTTP a browser does not look at it.
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// A query, or a form, without fields.
#[derive(Clone, Deserialize)]
pub(super) struct Nothing {}

/// What comes after a form.
pub(super) enum Then {
    /// Another page, with a code of [`super::said`].
    Go(String, &'static str),
    /// A page that is shown once: what stands on it is kept nowhere.
    Show(Sheet),
}

/// A page of a vault, for whoever has `scope`. `what` is method and path, as it is written in the audit. The query is read
/// into a `Q`; the ids are those of the path without the vault's.
pub(super) fn shows<const N: usize, Q, A>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    decide: fn(&Context<'_>, &Manager<'_>, [&str; N], Q) -> Decided<A>,
    view: fn(&Visit, &Q, &A) -> Sheet,
) -> Route
where
    Q: DeserializeOwned + Clone + Send + Sync + 'static,
    A: Send + Sync + 'static,
{
    finds(scope, what, decide, |_, answer| ready(Ok(answer)), view)
}

/// A page whose use case decides what is looked for: `find` looks, beside the writer.
pub(super) fn finds<const N: usize, Q, W, A, F, R>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    decide: fn(&Context<'_>, &Manager<'_>, [&str; N], Q) -> Decided<W>,
    find: F,
    view: fn(&Visit, &Q, &A) -> Sheet,
) -> Route
where
    Q: DeserializeOwned + Clone + Send + Sync + 'static,
    W: Send + 'static,
    A: Send + Sync + 'static,
    F: Fn(App, W) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<A, Refusal>> + Send + 'static,
{
    finds_file(scope, what, decide, find, move |visit, query, answer| {
        respond(Around::Visit(visit), view(visit, query, &answer))
    })
}

/// The same with an answer that is no page: a file.
pub(super) fn finds_file<const N: usize, Q, W, A, F, R, V>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    decide: fn(&Context<'_>, &Manager<'_>, [&str; N], Q) -> Decided<W>,
    find: F,
    answer: V,
) -> Route
where
    Q: DeserializeOwned + Clone + Send + Sync + 'static,
    W: Send + 'static,
    A: Send + Sync + 'static,
    F: Fn(App, W) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<A, Refusal>> + Send + 'static,
    V: Fn(&Visit, &Q, A) -> Response + Copy + Send + Sync + 'static,
{
    let (scope, path) = (scope.into(), path_of(what));
    let handler = async move |State(app): State<App>, request: Request<Body>| {
        let (parts, _) = request.into_parts();
        let asked = Asked::of(&parts);
        let person = match signed_in(&app, &parts, &asked).await {
            Ok(person) => person,
            Err(response) => return response,
        };
        let done = async {
            let (vault, ids) = address(path, &parts)?;
            let query: Q = query(&parts)?;
            let look = Look { app: &app, person: &person, asked: &asked, vault: &vault, scope, what };
            let (visit, found) = look.find(ids, query.clone(), decide, find).await?;
            Ok((visit, query, found))
        };
        match done.await {
            Ok((visit, query, found)) => answer(&visit, &query, found),
            Err(refusal) => refuse(&app, &person, path, &parts, &asked, &refusal),
        }
    };
    Route::new(Verb::Get, path, Signer::Person, handler)
}

/// A form of a page of a vault, for whoever has `scope`. `parse` makes of its fields what the use case takes.
pub(super) fn does<const N: usize, F, B, A>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    parse: fn(F) -> Result<B, Refusal>,
    decide: fn(&Context<'_>, &Manager<'_>, [&str; N], B) -> Decided<A>,
    then: fn(&Visit, [&str; N], A) -> Then,
) -> Route
where
    F: DeserializeOwned + Send + 'static,
    B: Send + 'static,
    A: Send + 'static,
{
    does_with(scope, what, parse, |_, _, body| ready(Ok(body)), decide, then)
}

/// The same with what stands in the database alone: `fetch` makes of the fields what the use case takes. It is told the ids
/// of the path. What it brings is nothing that is answered: the use case looks whether it may be.
pub(super) fn does_with<const N: usize, F, B, C, A, G, R>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    parse: fn(F) -> Result<B, Refusal>,
    fetch: G,
    decide: fn(&Context<'_>, &Manager<'_>, [&str; N], C) -> Decided<A>,
    then: fn(&Visit, [&str; N], A) -> Then,
) -> Route
where
    F: DeserializeOwned + Send + 'static,
    B: Send + 'static,
    C: Send + 'static,
    A: Send + 'static,
    G: Fn(App, Vec<String>, B) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<C, Refusal>> + Send,
{
    let (scope, path) = (scope.into(), path_of(what));
    let handler = async move |State(app): State<App>, request: Request<Body>| {
        let (mut parts, body) = request.into_parts();
        let asked = Asked::of(&parts);
        let person = match sent_by(&app, &parts, &asked).await {
            Ok(person) => person,
            Err(response) => return response,
        };
        let done = async {
            let (vault, ids) = address(path, &parts)?;
            // Whoever may not is told that, and audited, whatever the form is.
            let body = match session::may(&app, &person, &vault, scope) {
                Ok(()) => {
                    Ok(form(&app, person.source(), std::mem::take(&mut parts.headers), body).await.and_then(parse)?)
                }
                Err(refusal) => Err(refusal),
            };
            let body = match body {
                Ok(body) => fetch(app.clone(), ids.clone(), body).await,
                Err(refusal) => Err(refusal),
            };
            let given = ids.clone();
            let decide =
                move |context: &Context<'_>, manager: &Manager<'_>| decide(context, manager, exactly(&given)?, body?);
            let answer = session::manage(&app, person.clone(), vault.clone(), scope, what, decide).await?;
            let visit = Visit::of(&app, &person, Some(&vault), &asked);
            let then = then(&visit, exactly(&ids)?, answer);
            Ok((visit, then))
        };
        match done.await {
            Ok((_, Then::Go(to, said))) => go(&with_said(&to, said)),
            Ok((visit, Then::Show(sheet))) => respond(Around::Visit(&visit), sheet),
            Err(refusal) => refuse(&app, &person, path, &parts, &asked, &refusal),
        }
    };
    Route::new(Verb::Post, path, Signer::Person, handler)
}

/// A form that asks and changes nothing, for whoever has `scope`: what was typed is shown again, with what is said to it. It
/// goes the way of a page, with its fields in the body.
pub(super) fn asks<const N: usize, Q, W, A, F, R>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    decide: fn(&Context<'_>, &Manager<'_>, [&str; N], Q) -> Decided<W>,
    find: F,
    view: fn(&Visit, &Q, &A) -> Sheet,
) -> Route
where
    Q: DeserializeOwned + Clone + Send + Sync + 'static,
    W: Send + 'static,
    A: Send + Sync + 'static,
    F: Fn(App, W) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<A, Refusal>> + Send + 'static,
{
    let (scope, path) = (scope.into(), path_of(what));
    let handler = async move |State(app): State<App>, request: Request<Body>| {
        let (mut parts, body) = request.into_parts();
        let asked = Asked::of(&parts);
        let person = match sent_by(&app, &parts, &asked).await {
            Ok(person) => person,
            Err(response) => return response,
        };
        let done = async {
            let (vault, ids) = address(path, &parts)?;
            session::may(&app, &person, &vault, scope)?;
            if parts.uri.query().is_some_and(|it| it.len() > QUERY) {
                return Err(invalid("the address is too long: open the page from the menu"));
            }
            let typed: Q = form(&app, person.source(), std::mem::take(&mut parts.headers), body).await?;
            let look = Look { app: &app, person: &person, asked: &asked, vault: &vault, scope, what };
            let (visit, found) = look.find(ids, typed.clone(), decide, find).await?;
            Ok((visit, typed, found))
        };
        match done.await {
            Ok((visit, typed, found)) => respond(Around::Visit(&visit), view(&visit, &typed, &found)),
            Err(refusal) => refuse(&app, &person, path, &parts, &asked, &refusal),
        }
    };
    Route::new(Verb::Post, path, Signer::Person, handler)
}

/// Whose look at what: a page's, or that of a form that asks.
struct Look<'a> {
    app: &'a App,
    person: &'a session::SignedIn,
    asked: &'a Asked,
    vault: &'a VaultId,
    scope: Option<Scope>,
    what: &'static str,
}

impl Look<'_> {
    /// Looks, and finds what the use case looks for. One look at a time for each person, and a few in all.
    async fn find<const N: usize, Q, W, A, R>(
        &self,
        ids: Vec<String>,
        wanted: Q,
        decide: fn(&Context<'_>, &Manager<'_>, [&str; N], Q) -> Decided<W>,
        find: impl Fn(App, W) -> R,
    ) -> Result<(Visit, A), Refusal>
    where
        Q: Clone + Send + 'static,
        W: Send + 'static,
        R: Future<Output = Result<A, Refusal>>,
    {
        let Self { app, person, asked, vault, scope, what } = *self;
        let decide = move |context: &Context<'_>, manager: &Manager<'_>| {
            decide(context, manager, exactly(&ids)?, wanted.clone())
        };
        let found = {
            let turn = app.pages.wait(&person.account().id, PATIENCE).await;
            let _turn = turn.map_err(|_| {
                let text = "the server makes as many pages as it can, or your last one still: try again in a moment";
                Refusal::new(RefusalKind::TooMany, text).retry_after(1)
            })?;
            session::look(app, person, (vault, scope), (what, &asked.page), decide).await?
        };
        let found = find(app.clone(), found).await?;
        Ok((Visit::of(app, person, Some(vault), asked), found))
    }
}

/// Whose form it is that a page of ours sent; or the answer to one that no page of ours sends.
pub(super) async fn sent_by(app: &App, parts: &Parts, asked: &Asked) -> Result<session::SignedIn, Response> {
    if let Err(refusal) = same_origin::own_page(app, &parts.headers) {
        let refusal = signed::misunderstood(app, signed::source(app, parts), refusal);
        return Err(refused::page(Around::Nobody(asked.theme), &refusal));
    }
    signed_in(app, parts, asked).await
}

/// Whose session it is; or the way to the login.
pub(super) async fn signed_in(app: &App, parts: &Parts, asked: &Asked) -> Result<session::SignedIn, Response> {
    if let Some(response) = arrived_from_elsewhere(parts, asked) {
        return Err(response);
    }
    session::signed_in(app, parts).await.map_err(|refusal| {
        let is_shown = parts.method == Method::GET && !asked.by_itself;
        if refusal.kind == RefusalKind::Unauthenticated && is_shown {
            return go(&login::with_next(&asked.page));
        }
        refused::page(Around::Nobody(asked.theme), &refusal)
    })
}

/// A link on a page of others leads here without the cookie, which goes along only with what our own pages ask for. So a
/// page of ours asks again.
fn arrived_from_elsewhere(parts: &Parts, asked: &Asked) -> Option<Response> {
    let header = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok());
    let is_link = parts.method == Method::GET && header("sec-fetch-mode") == Some("navigate");
    let is_elsewhere = matches!(header("sec-fetch-site"), Some("cross-site" | "same-site"));
    // Once: a browser that goes on saying so is shown the link alone.
    let is_again = parts.uri.query().is_some_and(|it| it.split('&').any(|it| it == "said=link"));
    let to = with_said(&asked.page, "link");
    (is_link && is_elsewhere).then(|| html(StatusCode::OK, layout::doorstep(asked.theme, &to, !is_again)))
}

/// Reads a form. What is wrong with one is not repeated: a value may stand in it.
pub(super) async fn form<F: DeserializeOwned>(
    app: &App,
    source: Source,
    headers: HeaderMap,
    body: Body,
) -> Result<F, Refusal> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let is_form = media_type.split(';').next().is_some_and(|it| it.trim() == "application/x-www-form-urlencoded");
    let body = app.bodies.receive(headers, body, FORM).await;
    let read = body.and_then(|body| {
        let read = if is_form { serde_html_form::from_bytes(&body).ok() } else { None };
        let text = "the form has other fields than this page sends: open the page again and fill it in there";
        read.ok_or_else(|| Refusal::new(RefusalKind::Invalid, text))
    });
    read.map_err(|it| signed::misunderstood(app, source, it))
}

/// Reads the query of an address. What is left empty in a form that asks is as if it were not there.
fn query<Q: DeserializeOwned>(parts: &Parts) -> Result<Q, Refusal> {
    let text = parts.uri.query().unwrap_or_default();
    let given: Vec<&str> = text.split('&').filter(|it| !it.is_empty() && !it.ends_with('=')).collect();
    let read = if text.len() > QUERY { None } else { serde_html_form::from_str(&given.join("&")).ok() };
    let text = "the address asks for what this page does not know: open the page from the menu";
    read.ok_or_else(|| Refusal::new(RefusalKind::Invalid, text))
}

/// The vault and the ids in a path.
fn address(pattern: &str, parts: &Parts) -> Result<(VaultId, Vec<String>), Refusal> {
    let mut ids = ids(pattern, parts.uri.path());
    let vault = if ids.is_empty() { None } else { ids.remove(0).parse().ok() };
    vault.map(|it| (it, ids)).ok_or_else(|| not_found("there is no such vault"))
}

fn exactly<const N: usize>(ids: &[String]) -> Result<[&str; N], Refusal> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    <[&str; N]>::try_from(ids).map_err(|_| not_found("there is no such page"))
}

fn path_of(what: &'static str) -> &'static str {
    what.split_once(' ').map_or(what, |(_, path)| path)
}

fn refuse(
    app: &App,
    person: &session::SignedIn,
    pattern: &str,
    parts: &Parts,
    asked: &Asked,
    refusal: &Refusal,
) -> Response {
    let vault = address(pattern, parts).ok().map(|(vault, _)| vault);
    refused::page(Around::Visit(&Visit::of(app, person, vault.as_ref(), asked)), refusal)
}

/// To another page of ours.
pub(super) fn go(to: &str) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(CACHE_CONTROL, "no-store")]).into_response();
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, to);
    response
}

/// An address, and what the page says there was done before.
pub(super) fn with_said(to: &str, said: &str) -> String {
    format!("{to}{}said={said}", if to.contains('?') { '&' } else { '?' })
}

/// A page.
pub(super) fn respond(around: Around<'_>, sheet: Sheet) -> Response {
    html(StatusCode::OK, layout::document(around, sheet))
}

/// A file to be kept. Its name is the server's own.
pub(super) fn file(media_type: &'static str, name: &str, text: String) -> Response {
    let mut response = answer(StatusCode::OK, media_type, text);
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    response.headers_mut().insert(CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment")));
    response
}

fn html(status: StatusCode, document: Markup) -> Response {
    answer(status, "text/html; charset=utf-8", document.into_string())
}

fn answer(status: StatusCode, media_type: &'static str, text: String) -> Response {
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
