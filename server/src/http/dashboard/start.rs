//! Where a person begins: the vaults.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use maud::{Markup, html};
use sikkerkey_protocol::account::VaultOf;

use super::element::{Tone, empty, pill};
use super::layout::Around;
use super::page::{self, go};
use super::refused;
use super::sheet::{Section, Sheet};
use super::visit::{Asked, Visit};
use crate::app::App;
use crate::http::route::{Route, Signer, Verb};

/// The page of a vault that comes first.
const FIRST: &str = "machines";

/// The routes.
pub(super) fn routes() -> [Route; 3] {
    [
        Route::new(Verb::Get, "/", Signer::Person, begin),
        Route::new(Verb::Get, "/vaults", Signer::Person, choose),
        Route::new(Verb::Get, "/vaults/{vault}", Signer::Person, enter),
    ]
}

/// Whoever has one vault only is there.
async fn begin(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let asked = Asked::of(&parts);
    match page::signed_in(&app, &parts, &asked).await {
        Ok(person) => match Visit::of(&app, &person, None, &asked).vaults.as_slice() {
            [only] => go(&first(only)),
            _ => go("/vaults"),
        },
        Err(response) => response,
    }
}

async fn choose(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let asked = Asked::of(&parts);
    match page::signed_in(&app, &parts, &asked).await {
        Ok(person) => {
            let visit = Visit::of(&app, &person, None, &asked);
            let sheet = Sheet::new(Section::Elsewhere, "Vaults", vaults(&visit));
            page::respond(Around::Visit(&visit), sheet)
        }
        Err(response) => response,
    }
}

async fn enter(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let asked = Asked::of(&parts);
    match page::signed_in(&app, &parts, &asked).await {
        Ok(person) => {
            let visit = Visit::of(&app, &person, None, &asked);
            let wanted = asked.path.strip_prefix("/vaults/").unwrap_or_default();
            match visit.vaults.iter().find(|it| it.vault_id.as_str() == wanted) {
                Some(vault) => go(&first(vault)),
                None => refused::page(Around::Visit(&visit), &crate::refusal::not_found("there is no such vault")),
            }
        }
        Err(response) => response,
    }
}

fn first(vault: &VaultOf) -> String {
    format!("/vaults/{}/{FIRST}", vault.vault_id)
}

fn vaults(visit: &Visit) -> Markup {
    if visit.vaults.is_empty() {
        return empty(
            "You have no role in any vault yet",
            html! { "Whoever runs the server gives you one: " code { "sikkerkey-server admin member add" } "." },
            None,
        );
    }
    html! {
        ul.cards {
            @for vault in &visit.vaults {
                li {
                    a.card href=(first(vault)) {
                        strong { (vault.name) }
                        span.quiet { (vault.vault_id) }
                        @if vault.active { (pill(Tone::Plain, vault.role.as_str())) }
                        @else { (pill(Tone::Bad, "its owner is not active")) }
                    }
                }
            }
        }
    }
}
