//! `/v1/account/…`: what people's browsers ask for. The session is in a cookie.
//!
//! A request that changes something has to come from the server's own pages ([`same_origin`]); no other origin is let in by
//! any header of ours. A session opens nothing under `/v1/ai/`: that is for agents, which sign. Pages use the same functions:
//! [`session::signed_in`] finds out whose request it is, and [`session::change`] and [`session::manage`] do something in that
//! person's name.

mod cookie;
mod prove;
pub mod same_origin;
pub mod session;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::account::{
    BegunTotp, ChangePassword, Changed, ConfirmTotp, GiveCode, LogIn, LoggedIn, RecoveryCodes, Sessions, StepUp,
    Vaults, WhoAmI,
};

use super::agent::parse;
use super::route::{Route, Signer, schema_of};
use super::success::ok;
use super::{TOKEN_BODY, signed};
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::refusal::Refusal;
use crate::usecase::account::person::Person;
use crate::usecase::account::session::Renewed;
use crate::usecase::account::{second_factor, session as sessions};
use crate::usecase::source::Source;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let route = |what, signer, takes, answers, handler| Route { what, signer, takes, answers, handler };
    vec![
        route(
            "POST /v1/account/login",
            Signer::Nobody,
            Some(schema_of::<LogIn>),
            schema_of::<LoggedIn>,
            post(prove::log_in),
        ),
        route(
            "POST /v1/account/login/second-factor",
            Signer::Nobody,
            Some(schema_of::<GiveCode>),
            schema_of::<WhoAmI>,
            post(prove::give_code),
        ),
        route(
            "POST /v1/account/step-up",
            Signer::Person,
            Some(schema_of::<StepUp>),
            schema_of::<WhoAmI>,
            post(prove::step_up),
        ),
        route(
            "POST /v1/account/password",
            Signer::Person,
            Some(schema_of::<ChangePassword>),
            schema_of::<WhoAmI>,
            post(prove::change_password),
        ),
        route("POST /v1/account/logout", Signer::Person, None, schema_of::<Changed>, post(log_out)),
        looks::<WhoAmI>("GET /v1/account/whoami", sessions::who_am_i),
        looks::<Sessions>("GET /v1/account/sessions", sessions::list),
        looks::<Vaults>("GET /v1/account/vaults", sessions::vaults),
        changes::<Changed>("POST /v1/account/sessions/revoke-others", sessions::revoke_others),
        route("POST /v1/account/sessions/{session}/revoke", Signer::Person, None, schema_of::<Changed>, post(revoke)),
        changes::<BegunTotp>("POST /v1/account/totp/begin", second_factor::begin),
        route(
            "POST /v1/account/totp/confirm",
            Signer::Person,
            Some(schema_of::<ConfirmTotp>),
            schema_of::<RecoveryCodes>,
            post(confirm),
        ),
        route("POST /v1/account/totp/remove", Signer::Person, None, schema_of::<WhoAmI>, post(remove)),
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
            Err(response) => response,
        }
    };
    Route { what, signer: Signer::Person, takes: None, answers: schema_of::<A>, handler: get(handler) }
}

/// A route that changes something and takes no body.
fn changes<A: Serialize + JsonSchema + Send + 'static>(what: &'static str, decide: UseCase<A>) -> Route {
    let handler = async move |State(app): State<App>, request: Request<Body>| match asked(&app, request).await {
        Ok(person) => ok(session::change(&app, person, what, decide).await),
        Err(response) => response,
    };
    Route { what, signer: Signer::Person, takes: None, answers: schema_of::<A>, handler: post(handler) }
}

async fn log_out(State(app): State<App>, request: Request<Body>) -> Response {
    let person = match asked(&app, request).await {
        Ok(person) => person,
        Err(response) => return response,
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
        Err(response) => return response,
    };
    let decide = move |context: &Context<'_>, person: &Person<'_>| sessions::revoke(context, person, &id);
    ok(session::change(&app, person, "POST /v1/account/sessions/{session}/revoke", decide).await)
}

async fn confirm(State(app): State<App>, request: Request<Body>) -> Response {
    let (person, body) = match filled::<ConfirmTotp>(&app, request).await {
        Ok(asked) => asked,
        Err(response) => return response,
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
        Err(response) => return response,
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
async fn asked(app: &App, request: Request<Body>) -> Result<session::SignedIn, Response> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let (parts, body) = request.into_parts();
    let person = from_own_page(app, &parts).await?;
    let body = app.bodies.receive(parts.headers, body, TOKEN_BODY).await;
    let body = body.map_err(|it| signed::malformed(app, person.source(), it))?;
    if !body.is_empty() {
        parse::<Nothing>(&body).map_err(|it| signed::malformed(app, person.source(), it))?;
    }
    Ok(person)
}

/// Receives a request of a person with a body.
async fn filled<B: DeserializeOwned>(app: &App, request: Request<Body>) -> Result<(session::SignedIn, B), Response> {
    let (parts, body) = request.into_parts();
    let person = from_own_page(app, &parts).await?;
    let body = app.bodies.receive(parts.headers, body, TOKEN_BODY).await;
    let body = body.and_then(|it| parse(&it)).map_err(|it| signed::malformed(app, person.source(), it))?;
    Ok((person, body))
}

async fn from_own_page(app: &App, parts: &axum::http::request::Parts) -> Result<session::SignedIn, Response> {
    let source = signed::source(app, parts);
    same_origin::json(app, &parts.headers).map_err(|it| strange(app, source, it))?;
    session::signed_in(app, parts).await
}

/// Answers a request that no page of ours sends.
fn strange(app: &App, source: Source, refusal: Refusal) -> Response {
    signed::malformed(app, source, refusal)
}
