//! `/v1/account/…`: what people's browsers ask for. The session is in a cookie.
//!
//! A request that changes something has to come from the server's own pages ([`same_origin`]); no other origin is let in by
//! any header of ours. A session opens nothing under `/v1/ai/`: that is for agents, which sign. Pages use the same functions:
//! [`session::signed_in`] finds out whose request it is, and [`session::change`] and [`session::manage`] do something in that
//! person's name.

pub(super) mod cookie;
pub mod prove;
pub mod same_origin;
pub mod session;

pub use self::cookie::NAME as SESSION;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::account::{
    BegunTotp, ChangePassword, Changed, ConfirmTotp, GiveCode, LogIn, LoggedIn, RecoveryCodes, Sessions, StepUp,
    Vaults, WhoAmI,
};

use super::agent::parse;
use super::route::{Route, Signer, Verb};
use super::success::ok;
use super::{TOKEN_BODY, signed};
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::refusal::Refusal;
use crate::usecase::account::person::Person;
use crate::usecase::account::session::Renewed;
use crate::usecase::account::{second_factor, session as sessions};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    use Signer::{Nobody, Person};
    use Verb::Post;
    vec![
        Route::new(Post, "/v1/account/login", Nobody, prove::log_in).takes::<LogIn>().answers::<LoggedIn>(),
        Route::new(Post, "/v1/account/login/second-factor", Nobody, prove::give_code)
            .takes::<GiveCode>()
            .answers::<WhoAmI>(),
        Route::new(Post, "/v1/account/step-up", Person, prove::step_up).takes::<StepUp>().answers::<WhoAmI>(),
        Route::new(Post, "/v1/account/password", Person, prove::change_password)
            .takes::<ChangePassword>()
            .answers::<WhoAmI>(),
        Route::new(Post, "/v1/account/logout", Person, log_out).answers::<Changed>(),
        looks::<WhoAmI>("GET /v1/account/whoami", sessions::who_am_i),
        looks::<Sessions>("GET /v1/account/sessions", sessions::list),
        looks::<Vaults>("GET /v1/account/vaults", sessions::vaults),
        changes::<Changed>("POST /v1/account/sessions/revoke-others", sessions::revoke_others),
        Route::new(Post, "/v1/account/sessions/{session}/revoke", Person, revoke).answers::<Changed>(),
        changes::<BegunTotp>("POST /v1/account/totp/begin", second_factor::begin),
        Route::new(Post, "/v1/account/totp/confirm", Person, confirm).takes::<ConfirmTotp>().answers::<RecoveryCodes>(),
        Route::new(Post, "/v1/account/totp/remove", Person, remove).answers::<WhoAmI>(),
        changes::<RecoveryCodes>("POST /v1/account/recovery-codes", second_factor::renew_codes),
    ]
}

/// A use case of a person without a body.
type UseCase<A> = fn(&Context<'_>, &Person<'_>) -> Decided<A>;

/// A route that looks.
fn looks<A: Serialize + JsonSchema + Send + 'static>(what: &'static str, decide: UseCase<A>) -> Route {
    let handler = async move |State(app): State<App>, request: Request<Body>| {
        let (parts, _) = request.into_parts();
        match session::signed_in(&app, &parts).await {
            Ok(person) => ok(session::change(&app, person, what, decide).await),
            Err(refusal) => refusal.into_response(),
        }
    };
    Route::new(Verb::Get, path(what), Signer::Person, handler).answers::<A>()
}

/// A route that changes something and takes no body.
fn changes<A: Serialize + JsonSchema + Send + 'static>(what: &'static str, decide: UseCase<A>) -> Route {
    let handler = async move |State(app): State<App>, request: Request<Body>| match asked(&app, request).await {
        Ok(person) => ok(session::change(&app, person, what, decide).await),
        Err(refusal) => refusal.into_response(),
    };
    Route::new(Verb::Post, path(what), Signer::Person, handler).answers::<A>()
}

/// `what` is method and path, as it is written in the audit.
fn path(what: &'static str) -> &'static str {
    what.split_once(' ').map_or(what, |(_, path)| path)
}

async fn log_out(State(app): State<App>, request: Request<Body>) -> Response {
    let person = match asked(&app, request).await {
        Ok(person) => person,
        Err(refusal) => return refusal.into_response(),
    };
    let mut response = ok(session::change(&app, person, "POST /v1/account/logout", sessions::log_out).await);
    if response.status().is_success() {
        cookie::clear(&app, &mut response);
    }
    response
}

async fn revoke(State(app): State<App>, Path(id): Path<String>, request: Request<Body>) -> Response {
    let person = match asked(&app, request).await {
        Ok(person) => person,
        Err(refusal) => return refusal.into_response(),
    };
    let decide = move |context: &Context<'_>, person: &Person<'_>| sessions::revoke(context, person, &id);
    ok(session::change(&app, person, "POST /v1/account/sessions/{session}/revoke", decide).await)
}

async fn confirm(State(app): State<App>, request: Request<Body>) -> Response {
    let (person, body) = match filled::<ConfirmTotp>(&app, request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    let decide = move |context: &Context<'_>, person: &Person<'_>| second_factor::confirm(context, person, &body.code);
    match session::change(&app, person, "POST /v1/account/totp/confirm", decide).await {
        Ok(confirmed) => {
            let mut response = ok(Ok(confirmed.recovery_codes));
            cookie::set(&app, &confirmed.renewed.token, &mut response);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn remove(State(app): State<App>, request: Request<Body>) -> Response {
    let person = match asked(&app, request).await {
        Ok(person) => person,
        Err(refusal) => return refusal.into_response(),
    };
    renewed(&app, session::change(&app, person, "POST /v1/account/totp/remove", second_factor::remove).await)
}

/// The session, and its token in the cookie.
fn renewed(app: &App, renewed: Result<Renewed, Refusal>) -> Response {
    match renewed {
        Ok(renewed) => {
            let mut response = ok(Ok(renewed.answer));
            cookie::set(app, &renewed.token, &mut response);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Receives a request of a person that changes something and takes no body.
async fn asked(app: &App, request: Request<Body>) -> Result<session::SignedIn, Refusal> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let (parts, body) = request.into_parts();
    let person = from_own_page(app, &parts).await?;
    let body = app.bodies.receive(parts.headers, body, TOKEN_BODY).await;
    let body = body.map_err(|it| signed::misunderstood(app, person.source(), it))?;
    if !body.is_empty() {
        parse::<Nothing>(&body).map_err(|it| signed::misunderstood(app, person.source(), it))?;
    }
    Ok(person)
}

/// Receives a request of a person with a body.
async fn filled<B: DeserializeOwned>(app: &App, request: Request<Body>) -> Result<(session::SignedIn, B), Refusal> {
    let (parts, body) = request.into_parts();
    let person = from_own_page(app, &parts).await?;
    let body = app.bodies.receive(parts.headers, body, TOKEN_BODY).await;
    let body = body.and_then(|it| parse(&it)).map_err(|it| signed::misunderstood(app, person.source(), it))?;
    Ok((person, body))
}

async fn from_own_page(app: &App, parts: &axum::http::request::Parts) -> Result<session::SignedIn, Refusal> {
    let source = signed::source(app, parts);
    same_origin::json(app, &parts.headers).map_err(|it| signed::misunderstood(app, source, it))?;
    session::signed_in(app, parts).await
}
