//! The sessions of a person.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::response::Response;
use maud::{Markup, html};
use sikkerkey_protocol::account::Sessions;

use super::browser::in_words;
use super::{PAGE, given, refuse};
use crate::app::App;
use crate::decision::Context;
use crate::http::account::session;
use crate::http::dashboard::element::{Called, Tone, button, data_table, pill, time};
use crate::http::dashboard::page::{Nothing, go, with_said};
use crate::http::route::{Route, Signer, Verb};
use crate::usecase::account::person::Person;
use crate::usecase::account::session as cases;

pub(super) fn routes() -> [Route; 2] {
    [
        Route::new(Verb::Post, "/account/sessions/revoke-others", Signer::Person, revoke_others),
        Route::new(Verb::Post, "/account/sessions/{session}/revoke", Signer::Person, revoke),
    ]
}

pub(super) fn card(sessions: &Sessions) -> Markup {
    let sessions = &sessions.sessions;
    html! {
        section {
            div.page-head {
                h2 { "Where you are logged in" }
                @if sessions.len() > 1 { (button("/account/sessions/revoke-others", "danger", "End all others")) }
            }
            (data_table(
                Called::As("Sessions"),
                html! { th { "Browser" } th { "Address" } th { "Since" } th { "Last used" } th { "Ends" } th { span.hidden { "Actions" } } },
                html! {
                    @for it in sessions {
                        tr {
                            th scope="row" {
                                span title=(it.user_agent) { (in_words(&it.user_agent)) }
                                @if it.current { " " (pill(Tone::Good, "this one")) }
                                @if !it.second_factor { " " (pill(Tone::Plain, "by password alone")) }
                            }
                            td.mono { (it.address) }
                            td { (time(it.since)) }
                            td { (time(it.last_used_at)) }
                            td { (time(it.ends_at)) }
                            td {
                                @if !it.current {
                                    form.inline method="post" action={ "/account/sessions/" (it.id) "/revoke" } {
                                        button.danger { "End" span.hidden { " the session at " (it.address) } }
                                    }
                                }
                            }
                        }
                    }
                },
            ))
        }
    }
}

async fn revoke(State(app): State<App>, Path(id): Path<String>, request: Request<Body>) -> Response {
    let (asked, person, Nothing {}) = match given(&app, request).await {
        Ok(given) => given,
        Err(response) => return response,
    };
    let decide = move |context: &Context<'_>, person: &Person<'_>| cases::revoke(context, person, &id);
    match session::change(&app, person.clone(), "POST /account/sessions/{session}/revoke", decide).await {
        Ok(_) => go(&with_said(PAGE, "session-revoked")),
        Err(refusal) => refuse(&app, &person, &asked, &refusal),
    }
}

async fn revoke_others(State(app): State<App>, request: Request<Body>) -> Response {
    let (asked, person, Nothing {}) = match given(&app, request).await {
        Ok(given) => given,
        Err(response) => return response,
    };
    let what = "POST /account/sessions/revoke-others";
    match session::change(&app, person.clone(), what, cases::revoke_others).await {
        Ok(_) => go(&with_said(PAGE, "sessions-revoked")),
        Err(refusal) => refuse(&app, &person, &asked, &refusal),
    }
}
