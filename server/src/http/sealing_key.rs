//! `GET /v1/sealing-key/{vault}`: the public key that values are sealed to. Nobody signs it.
//!
//! A public key is no secret, and whoever seals a value is often a person without any identity at the server. A vault's id
//! is 16 random characters, so asking for one tells nothing to anybody who does not have it already: an id that is no
//! vault's and a text that is no id are answered alike, and both are counted. The first request for a vault makes its key;
//! none after it writes anything.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::sealed::PublishedKey;

use super::route::{Route, Signer, Verb};
use super::signed;
use super::success::ok;
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::Context;
use crate::ledger::ActivityKind;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::sealing_key;
use crate::usecase::source::Source;
use crate::writer::ChangeRequest;

/// The route.
pub(super) fn route() -> Route {
    Route::new(Verb::Get, "/v1/sealing-key/{vault}", Signer::Nobody, handle).answers::<PublishedKey>()
}

async fn handle(State(app): State<App>, Path(vault): Path<String>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let source = signed::source(&app, &parts);
    if let Err(lock) = app.lockout.check_tokens(app.clock.now(), source.address) {
        return signed::locked(&app, source, &lock);
    }
    match published(&app, source, &vault).await {
        Ok(Some(key)) => {
            app.floods.count(ActivityKind::SealingKey, app.clock.now(), &source.address.to_string());
            ok(Ok(key))
        }
        Ok(None) => {
            let text = "there is no such vault: check its id, sikkerkey-server admin vault list shows it";
            signed::malformed(&app, source, Refusal::new(RefusalKind::NotFound, text))
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn published(app: &App, source: Source, vault: &str) -> Result<Option<PublishedKey>, Refusal> {
    let Ok(vault) = vault.parse::<VaultId>() else { return Ok(None) };
    if !is_known(app, &vault) {
        // Another server may have made it a moment ago.
        app.writer.catch_up_after_miss().await?;
        if !is_known(app, &vault) {
            return Ok(None);
        }
    }
    if let Some(key) = app.live.read().state.newest_sealing_key(&vault) {
        return Ok(Some(key.published()));
    }
    let by = Entry { source_ip: Some(source.address), ..Entry::new(Action::SealingKeyCreate, Actor::System) };
    let request = ChangeRequest {
        spend: None,
        actor: Actor::Anonymous,
        source_ip: Some(source.address),
        what: "/v1/sealing-key/{vault}",
        decide: Box::new(move |context: &Context<'_>| sealing_key::publish(context, &vault, by)),
    };
    app.writer.change(request).await.map(Some)
}

fn is_known(app: &App, vault: &VaultId) -> bool {
    app.live.read().state.vaults.contains_key(vault)
}
