//! Routes that nobody signs: what they carry is a token.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::Call;

use super::TOKEN_BODY;
use super::agent::parse;
use super::signed;
use super::success::ok;
use crate::app::App;
use crate::audit::entry::Actor;
use crate::decision::{Context, Decided};
use crate::refusal::RefusalKind;
use crate::usecase::source::Source;
use crate::writer::ChangeRequest;

/// A use case that somebody with a token asks for.
pub type TokenUseCase<C> = fn(&Context<'_>, Source, C) -> Decided<<C as Call>::Answer>;

/// The route of a call that nobody signs.
pub fn call<C>(decide: TokenUseCase<C>) -> MethodRouter<App>
where
    C: Call + DeserializeOwned + Send + 'static,
    C::Answer: Serialize + Send + 'static,
{
    post(async move |State(app): State<App>, request: Request<Body>| match run(&app, request, decide).await {
        Ok(answer) => ok(Ok(answer)),
        Err(response) => response,
    })
}

async fn run<C>(app: &App, request: Request<Body>, decide: TokenUseCase<C>) -> Result<C::Answer, Response>
where
    C: Call + DeserializeOwned + Send + 'static,
    C::Answer: Serialize + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let source = signed::source(app, &parts);
    app.lockout.check_tokens(app.clock.now(), source.address).map_err(|lock| signed::locked(app, source, &lock))?;
    let body = app.bodies.receive(parts.headers, body, TOKEN_BODY).await.map_err(IntoResponse::into_response)?;
    // Tried first where it holds nobody up and leaves nothing behind: what is refused here never reaches the writer.
    let tried = {
        let call: C = parse(&body).map_err(IntoResponse::into_response)?;
        let world = app.live.read();
        let context = Context {
            state: &world.state,
            ledger: &world.ledger,
            now: app.clock.now(),
            keyring: &app.keyring,
            entropy: &*app.entropy,
            public_url: &app.public_url,
        };
        decide(&context, source, call).map(drop)
    };
    if let Err(refusal) = tried {
        if refusal.kind == RefusalKind::Unauthenticated {
            app.lockout.token_failed(app.clock.now(), source.address);
        }
        return Err(signed::refuse(app, source, Actor::Anonymous, refusal).await);
    }
    let call: C = parse(&body).map_err(IntoResponse::into_response)?;
    let request = ChangeRequest {
        spend: None,
        actor: Actor::Anonymous,
        source_ip: Some(source.address),
        what: C::PATH,
        decide: Box::new(move |context: &Context<'_>| decide(context, source, call)),
    };
    app.writer.change(request).await.map_err(IntoResponse::into_response)
}
