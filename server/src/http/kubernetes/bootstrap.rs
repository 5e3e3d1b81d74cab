//! A one-time token for the host of a `Machine`. Which authority hosts are told of is this server's own word.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use sikkerkey_protocol::Call;
use sikkerkey_protocol::kubernetes::{BootstrapHost, HostBootstrap};

use crate::app::App;
use crate::decision::Context;
use crate::http::route::{Route, Signer, Verb};
use crate::http::success::ok;
use crate::http::{agent, signed};
use crate::model::agent::Agent;
use crate::usecase::kubernetes::bootstrap::bootstrap;
use crate::usecase::source::Source;

/// The route.
pub(super) fn route() -> Route {
    let handler = async |State(app): State<App>, request: Request<Body>| match decided(&app, request).await {
        Ok(answer) => ok(Ok(HostBootstrap { authority: app.authority(), ..answer })),
        Err(response) => response,
    };
    Route::new(Verb::Post, BootstrapHost::PATH, Signer::Operator, handler)
        .takes::<BootstrapHost>()
        .answers::<HostBootstrap>()
}

async fn decided(app: &App, request: Request<Body>) -> Result<HostBootstrap, Response> {
    let verified = signed::agent(app, request).await?;
    let asked: BootstrapHost =
        agent::parse(verified.body()).map_err(|it| signed::malformed(app, verified.source(), it))?;
    let decide = move |context: &Context<'_>, agent: &Agent, source: Source| bootstrap(context, agent, source, asked);
    agent::change(app, verified, BootstrapHost::PATH, decide).await.map_err(IntoResponse::into_response)
}
