//! Routes of the management plane: ids in the path, and a body where there are fields.

mod explain;
mod policy;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Serialize;
use sikkerkey_protocol::management::Scope;

use super::route::{Route, Signer, schema_of};
use super::success::ok;
use super::{agent, signed};
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::management::Manager;
use crate::usecase::source::Source;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    policy::routes().into_iter().chain(explain::routes()).collect()
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
    Route { takes: None, ..filled(scope, what, nothing, decide) }
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
    let scope = scope.into();
    let (method, path) = what.split_once(' ').unwrap_or(("POST", what));
    let handler = async move |State(app): State<App>, request: Request<Body>| {
        let ids = ids(path, request.uri().path());
        let verified = match signed::agent(&app, request).await {
            Ok(verified) => verified,
            Err(response) => return response,
        };
        let body = match parse(verified.body()) {
            Ok(body) => body,
            Err(refusal) => return signed::malformed(&app, verified.source(), refusal),
        };
        let decide = move |context: &Context<'_>, agent: &Agent, source: Source| {
            let manager = Manager::admit(agent, source, scope)?;
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let ids = <[&str; N]>::try_from(ids).map_err(|_| Refusal::new(RefusalKind::NotFound, "no such route"))?;
            decide(context, &manager, ids, body)
        };
        ok(agent::change(&app, verified, what, decide).await)
    };
    Route {
        what,
        signer: Signer::Manager(scope),
        takes: Some(schema_of::<B>),
        answers: schema_of::<A>,
        handler: if method == "GET" { get(handler) } else { post(handler) },
    }
}

/// What stands in `target` where `pattern` has an id: as it stood on the wire. No id has a character that would be escaped,
/// so what is escaped is none.
fn ids(pattern: &str, target: &str) -> Vec<String> {
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
