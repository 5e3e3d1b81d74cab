//! Who read what an object is about. Decided like any request of an agent; then the audit is looked into, beside the writer.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use sikkerkey_protocol::Call;
use sikkerkey_protocol::kubernetes::{AuditOf, Audited};

use crate::app::App;
use crate::decision::Context;
use crate::http::route::{Route, Signer, Verb};
use crate::http::success::ok;
use crate::http::{agent, signed};
use crate::model::agent::Agent;
use crate::usecase::kubernetes::audit::{Wanted, look, wanted};
use crate::usecase::source::Source;

/// The route.
pub(super) fn route() -> Route {
    let handler = async |State(app): State<App>, request: Request<Body>| match decided(&app, request).await {
        Ok(wanted) => ok(look(&app, wanted).await),
        Err(response) => response,
    };
    Route::new(Verb::Post, AuditOf::PATH, Signer::Operator, handler).takes::<AuditOf>().answers::<Audited>()
}

async fn decided(app: &App, request: Request<Body>) -> Result<Wanted, Response> {
    let verified = signed::agent(app, request).await?;
    let asked: AuditOf = agent::parse(verified.body()).map_err(|it| signed::malformed(app, verified.source(), it))?;
    let decide = move |context: &Context<'_>, agent: &Agent, source: Source| wanted(context, agent, source, asked);
    agent::change(app, verified, AuditOf::PATH, decide).await.map_err(IntoResponse::into_response)
}
