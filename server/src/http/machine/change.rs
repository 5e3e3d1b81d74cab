//! Changes that a machine makes by a signed request.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::Call;

use crate::app::App;
use crate::audit::entry::Actor;
use crate::decision::{Context, Decided};
use crate::http::route::{Route, Signer, Verb};
use crate::http::success::ok;
use crate::http::{agent, signed};
use crate::model::machine::Machine;
use crate::usecase::authenticate;
use crate::usecase::source::Source;
use crate::writer::ChangeRequest;

type MachineUseCase<C> = fn(&Context<'_>, &Machine, Source, C) -> Decided<<C as Call>::Answer>;

/// The route of a call by which a machine changes itself.
pub(super) fn call<C>(decide: MachineUseCase<C>) -> Route
where
    C: Call + DeserializeOwned + JsonSchema + Send + 'static,
    C::Answer: Serialize + JsonSchema + Send + 'static,
{
    let handler = async move |State(app): State<App>, request: Request<Body>| run(&app, request, C::PATH, decide).await;
    Route::new(Verb::Post, C::PATH, Signer::Machine, handler).takes::<C>().answers::<C::Answer>()
}

/// Receives a request, and lets the machine that signed it change something. `what` names the route.
pub(super) async fn run<B, A>(
    app: &App,
    request: Request<Body>,
    what: &'static str,
    decide: impl FnOnce(&Context<'_>, &Machine, Source, B) -> Decided<A> + Send + 'static,
) -> Response
where
    B: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
{
    let verified = match signed::machine(app, request).await {
        Ok(verified) => verified,
        Err(response) => return response,
    };
    let body: B = match agent::parse(verified.body()) {
        Ok(body) => body,
        Err(refusal) => return signed::malformed(app, verified.source(), refusal),
    };
    let (machine, spend, source) = verified.into_parts();
    let id = machine.id.clone();
    let decide = Box::new(move |context: &Context<'_>| {
        // As it is now: it may have been revoked, or have another key, since its signature was verified.
        let now = context.state.machines.get(&machine.id).filter(|it| it.public_key == machine.public_key);
        let now = now.ok_or_else(authenticate::unknown)?;
        authenticate::may_come(context.state, now, source.address, context.now)?;
        decide(context, now, source, body)
    });
    let request =
        ChangeRequest { spend: Some(spend), actor: Actor::Machine(id), source_ip: Some(source.address), what, decide };
    ok(app.writer.change(request).await)
}
