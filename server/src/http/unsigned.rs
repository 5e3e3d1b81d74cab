//! Routes that nobody signs: what they carry is a token.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::{Enrol, Registered};

use super::TOKEN_BODY;
use super::agent::parse;
use super::route::{Route, Signer, Verb};
use super::signed;
use super::success::ok;
use crate::app::App;
use crate::audit::entry::Actor;
use crate::decision::{Context, Decided};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::enrol::{self, EnrolInVault};
use crate::usecase::source::Source;
use crate::writer::ChangeRequest;

/// A use case that somebody with a token asks for.
pub type TokenUseCase<C> = fn(&Context<'_>, Source, C) -> Decided<<C as Call>::Answer>;

/// The route of a call that nobody signs.
pub fn call<C>(decide: TokenUseCase<C>) -> Route
where
    C: Call + DeserializeOwned + JsonSchema + Send + 'static,
    C::Answer: Serialize + JsonSchema + Send + 'static,
{
    let handler = async move |State(app): State<App>, request: Request<Body>| {
        answer(run(&app, request, C::PATH, parse::<C>, decide).await)
    };
    Route::new(Verb::Post, C::PATH, Signer::Nobody, handler).takes::<C>().answers::<C::Answer>()
}

/// `POST /v1/{vault}/enroll/register`: the vault in the address has to be the token's.
pub fn enrol() -> Route {
    const PATH: &str = "/v1/{vault}/enroll/register";
    let handler = async |State(app): State<App>, Path(vault): Path<String>, request: Request<Body>| {
        let parse = |body: &[u8]| parse(body).map(|enrol| EnrolInVault { vault: vault.clone(), enrol });
        answer(run(&app, request, PATH, parse, enrol::enrol).await)
    };
    Route::new(Verb::Post, PATH, Signer::Nobody, handler).takes::<Enrol>().answers::<Registered>()
}

fn answer(done: Result<impl Serialize, Response>) -> Response {
    match done {
        Ok(answer) => ok(Ok(answer)),
        Err(response) => response,
    }
}

async fn run<R, A>(
    app: &App,
    request: Request<Body>,
    what: &'static str,
    parse: impl Fn(&[u8]) -> Result<R, Refusal>,
    decide: fn(&Context<'_>, Source, R) -> Decided<A>,
) -> Result<A, Response>
where
    R: Send + 'static,
    A: Send + 'static,
{
    let (parts, body) = request.into_parts();
    let source = signed::source(app, &parts);
    app.lockout.check_tokens(app.clock.now(), source.address).map_err(|lock| signed::locked(app, source, &lock))?;
    let body = app.bodies.receive(parts.headers, body, TOKEN_BODY).await;
    let body = body.map_err(|it| signed::malformed(app, source, it))?;
    // Tried first where it holds nobody up and leaves nothing behind: what is refused here never reaches the writer.
    let attempt = || {
        let call = parse(&body)?;
        let world = app.live.read();
        Ok(decide(&app.context(&world), source, call).map(drop))
    };
    let mut tried = attempt().map_err(|it| signed::malformed(app, source, it))?;
    if tried.as_ref().is_err_and(|it| it.kind == RefusalKind::Unauthenticated) {
        // Another server may have made the token a moment ago. Where it cannot be asked, nobody knows better.
        app.writer.catch_up_after_miss().await.map_err(IntoResponse::into_response)?;
        tried = attempt().map_err(IntoResponse::into_response)?;
    }
    if let Err(refusal) = tried {
        if refusal.kind == RefusalKind::Unauthenticated {
            app.lockout.token_failed(app.clock.now(), source.address);
        }
        return Err(signed::refuse(app, source, Actor::Anonymous, refusal).await);
    }
    let call = parse(&body).map_err(IntoResponse::into_response)?;
    let request = ChangeRequest {
        spend: None,
        actor: Actor::Anonymous,
        source_ip: Some(source.address),
        what,
        decide: Box::new(move |context: &Context<'_>| decide(context, source, call)),
    };
    app.writer.change(request).await.map_err(IntoResponse::into_response)
}
