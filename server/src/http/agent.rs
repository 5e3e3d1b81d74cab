//! Routes that an agent signs.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::Call;

use super::route::{Route, Signer, Verb};
use super::signed;
use super::success::ok;
use crate::app::App;
use crate::audit::entry::Actor;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::authenticate;
use crate::usecase::source::Source;
use crate::verify::Verified;
use crate::writer::ChangeRequest;

/// A use case that an agent asks for.
pub type AgentUseCase<C> = fn(&Context<'_>, &Agent, Source, C) -> Decided<<C as Call>::Answer>;

/// The route of a call that an operator signs.
pub fn call<C>(decide: AgentUseCase<C>) -> Route
where
    C: Call + DeserializeOwned + JsonSchema + Send + 'static,
    C::Answer: Serialize + JsonSchema + Send + 'static,
{
    let handler = async move |State(app): State<App>, request: Request<Body>| match run(&app, request, decide).await {
        Ok(answer) => ok(Ok(answer)),
        Err(response) => response,
    };
    Route::new(Verb::Post, C::PATH, Signer::Operator, handler).takes::<C>().answers::<C::Answer>()
}

async fn run<C>(app: &App, request: Request<Body>, decide: AgentUseCase<C>) -> Result<C::Answer, Response>
where
    C: Call + DeserializeOwned + Send + 'static,
    C::Answer: Serialize + Send + 'static,
{
    let verified = signed::agent(app, request).await?;
    let call: C = parse(verified.body()).map_err(|it| signed::malformed(app, verified.source(), it))?;
    let done = change(app, verified, C::PATH, move |context, agent, source| decide(context, agent, source, call)).await;
    done.map_err(IntoResponse::into_response)
}

/// What a verified request of an agent leads to. `what` stands in the audit of a refusal.
pub(super) async fn change<A: Send + 'static>(
    app: &App,
    verified: Verified<Box<Agent>>,
    what: &'static str,
    decide: impl FnOnce(&Context<'_>, &Agent, Source) -> Decided<A> + Send + 'static,
) -> Result<A, Refusal> {
    let (agent, spend, source) = verified.into_parts();
    let id = agent.id.clone();
    let decide = Box::new(move |context: &Context<'_>| {
        // As it is now: it may have been switched off since its signature was verified.
        let agent = context.state.agents.get(&agent.id).ok_or_else(authenticate::unknown)?;
        authenticate::may_manage(context.state, agent, context.now)?;
        decide(context, agent, source)
    });
    let request =
        ChangeRequest { spend: Some(spend), actor: Actor::Agent(id), source_ip: Some(source.address), what, decide };
    app.writer.change(request).await
}

/// Parses a body. The text names the place, never the content.
pub(super) fn parse<C: DeserializeOwned>(body: &[u8]) -> Result<C, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let text = match error.classify() {
            serde_json::error::Category::Data => "the body has another shape than this route takes",
            _ => "the body is not JSON",
        };
        let place = format!("{text} (line {}, column {})", error.line(), error.column());
        Refusal::new(RefusalKind::Invalid, place)
    })
}
