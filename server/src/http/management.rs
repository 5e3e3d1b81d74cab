//! Routes of the management plane: ids in the path, and a body where there are fields.

mod agent;
mod alerts;
mod allowlist;
mod audit;
mod canary;
mod enrolment;
mod explain;
mod lists;
mod machine;
mod member;
mod policy;
mod project;
mod schedule;
mod secret;
mod stats;
mod trash;
mod webhooks;

use std::future::ready;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::management::Scope;

use super::route::{Route, Signer, Verb};
use super::success::ok;
use super::{agent as signed_agent, signed};
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::authenticate;
use crate::usecase::management::Manager;
use crate::usecase::source::Source;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = Vec::from(policy::routes());
    routes.extend(explain::routes());
    routes.extend(secret::routes());
    routes.extend(schedule::routes());
    routes.extend(canary::routes());
    routes.extend(trash::routes());
    routes.extend(audit::routes());
    routes.extend(stats::routes());
    routes.extend(alerts::routes());
    routes.extend(webhooks::routes());
    routes.extend(machine::routes());
    routes.extend(project::routes());
    routes.extend(member::routes());
    routes.extend(enrolment::routes());
    routes.extend(allowlist::routes());
    routes.extend(agent::routes());
    routes
}

/// A use case whose route has `N` ids in its path and no body.
type UseCase<const N: usize, A> = fn(&Context<'_>, &Manager<'_>, [&str; N]) -> Decided<A>;

/// A route without a body, for whoever has `scope`. `what` is method and path, with `{…}` where an id stands, as it is
/// written in the audit.
fn plain<const N: usize, A>(scope: impl Into<Option<Scope>>, what: &'static str, decide: UseCase<N, A>) -> Route
where
    A: Serialize + JsonSchema + Send + 'static,
{
    let decide = move |context: &Context<'_>, manager: &Manager<'_>, ids: [&str; N], ()| decide(context, manager, ids);
    filled(scope, what, nothing, decide).takes_nothing()
}

/// A route with a body, which `parse` reads.
fn filled<const N: usize, B, A, D>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    parse: fn(&[u8]) -> Result<B, Refusal>,
    decide: D,
) -> Route
where
    B: JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + Send + 'static,
    D: Fn(&Context<'_>, &Manager<'_>, [&str; N], B) -> Decided<A> + Copy + Send + Sync + 'static,
{
    fetched(scope, what, parse, |_, _, body| ready(Ok(body)), decide)
}

/// A route with a body, of which `fetch` makes what the use case takes: with what stands in the database alone. It is told
/// the ids of the path. What it brings is nothing that is answered: the use case looks whether it may be.
fn fetched<const N: usize, B, C, A, F, W, D>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    parse: fn(&[u8]) -> Result<B, Refusal>,
    fetch: F,
    decide: D,
) -> Route
where
    B: JsonSchema + Send + 'static,
    C: Send + 'static,
    A: Serialize + JsonSchema + Send + 'static,
    F: Fn(App, Vec<String>, B) -> W + Copy + Send + Sync + 'static,
    W: Future<Output = Result<C, Refusal>> + Send,
    D: Fn(&Context<'_>, &Manager<'_>, [&str; N], C) -> Decided<A> + Copy + Send + Sync + 'static,
{
    whole(scope, what, parse, fetch, decide, |_, answer: A| ready(ok(Ok(answer)))).answers::<A>()
}

/// A route whose use case decides what is looked for, or done, once it is written down that somebody asked: `act` does it,
/// beside the writer.
fn acting<const N: usize, B, W, A, D, F, R>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    parse: fn(&[u8]) -> Result<B, Refusal>,
    decide: D,
    act: F,
) -> Route
where
    B: JsonSchema + Send + 'static,
    W: Send + 'static,
    A: Serialize + JsonSchema + Send + 'static,
    D: Fn(&Context<'_>, &Manager<'_>, [&str; N], B) -> Decided<W> + Copy + Send + Sync + 'static,
    F: Fn(App, W) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<A, Refusal>> + Send + 'static,
{
    done(scope, what, parse, decide, move |app, wanted| async move { ok(act(app, wanted).await) }).answers::<A>()
}

/// A route whose answer `act` makes as a whole.
fn done<const N: usize, B, W, D, F, R>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    parse: fn(&[u8]) -> Result<B, Refusal>,
    decide: D,
    act: F,
) -> Route
where
    B: JsonSchema + Send + 'static,
    W: Send + 'static,
    D: Fn(&Context<'_>, &Manager<'_>, [&str; N], B) -> Decided<W> + Copy + Send + Sync + 'static,
    F: Fn(App, W) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    whole(scope, what, parse, |_, _, body| ready(Ok(body)), decide, act)
}

/// The way of every request: it is verified, let in, read, completed by `fetch`, decided where no other change can come
/// between, and answered by `act`.
fn whole<const N: usize, B, C, W, F, G, D, H, R>(
    scope: impl Into<Option<Scope>>,
    what: &'static str,
    parse: fn(&[u8]) -> Result<B, Refusal>,
    fetch: F,
    decide: D,
    act: H,
) -> Route
where
    B: JsonSchema + Send + 'static,
    C: Send + 'static,
    W: Send + 'static,
    F: Fn(App, Vec<String>, B) -> G + Copy + Send + Sync + 'static,
    G: Future<Output = Result<C, Refusal>> + Send,
    D: Fn(&Context<'_>, &Manager<'_>, [&str; N], C) -> Decided<W> + Copy + Send + Sync + 'static,
    H: Fn(App, W) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let scope = scope.into();
    let (verb, path) = match what.split_once(' ') {
        Some(("GET", path)) => (Verb::Get, path),
        Some((_, path)) => (Verb::Post, path),
        None => (Verb::Post, what),
    };
    let handler = async move |State(app): State<App>, request: Request<Body>| {
        let ids = ids(path, request.uri().path());
        let verified = match signed::agent(&app, request).await {
            Ok(verified) => verified,
            Err(response) => return response,
        };
        // Whoever may not is told that, and audited, whatever the body is; nothing is fetched for them.
        let asked = match may(&app, verified.signer(), verified.source(), scope) {
            Ok(()) => match parse(verified.body()) {
                Ok(body) => fetch(app.clone(), ids.clone(), body).await,
                Err(refusal) => return signed::malformed(&app, verified.source(), refusal),
            },
            Err(refusal) => Err(refusal),
        };
        let decide = move |context: &Context<'_>, agent: &Agent, source: Source| {
            let manager = Manager::admit(agent, source, scope)?;
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let ids = <[&str; N]>::try_from(ids).map_err(|_| Refusal::new(RefusalKind::NotFound, "no such route"))?;
            decide(context, &manager, ids, asked?)
        };
        match signed_agent::change(&app, verified, what, decide).await {
            Ok(wanted) => act(app, wanted).await,
            Err(refusal) => refusal.into_response(),
        }
    };
    Route::new(verb, path, Signer::Manager(scope), handler).takes::<B>()
}

/// Whether an agent gets in, as things are.
fn may(app: &App, agent: &Agent, source: Source, scope: Option<Scope>) -> Result<(), Refusal> {
    let world = app.live.read();
    authenticate::may_manage(&world.state, agent, app.clock.now())?;
    Manager::admit(agent, source, scope).map(drop)
}

/// What stands in `target` where `pattern` has an id: as it stood on the wire. No id has a character that would be escaped,
/// so what is escaped is none.
pub(super) fn ids(pattern: &str, target: &str) -> Vec<String> {
    let pairs = pattern.split('/').zip(target.split('/'));
    pairs.filter(|(place, _)| place.starts_with('{')).map(|(_, id)| id.to_owned()).collect()
}

/// A body where the route takes none is a misunderstanding: nothing in it would be looked at.
fn nothing(body: &[u8]) -> Result<(), Refusal> {
    match body {
        b"" | b"{}" => Ok(()),
        _ => Err(Refusal::new(RefusalKind::Invalid, "this route takes no body")),
    }
}

/// A route with a body of which every field may be left out: none at all is one without fields.
fn perhaps<const N: usize, B, A, D>(scope: Scope, what: &'static str, decide: D) -> Route
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + Send + 'static,
    D: Fn(&Context<'_>, &Manager<'_>, [&str; N], B) -> Decided<A> + Copy + Send + Sync + 'static,
{
    let parse = |body: &[u8]| signed_agent::parse(if body.is_empty() { b"{}" } else { body });
    filled(scope, what, parse, decide).may_take::<B>()
}
