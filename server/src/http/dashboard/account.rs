//! The person's own account: sessions, password, second factor.

mod browser;
mod second_factor;
mod sessions;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::account::{ChangePassword, Sessions, StepUp, WhoAmI};
use sikkerkey_protocol::secret_text::SecretText;

use super::element::field;
use super::layout::Around;
use super::page::{self, go, respond, with_said};
use super::refused;
use super::sheet::{Section, Sheet};
use super::visit::{Asked, Visit};
use crate::app::App;
use crate::decision::Context;
use crate::http::account::session::SignedIn;
use crate::http::account::{cookie, prove, session};
use crate::http::route::{Route, Signer, Verb};
use crate::refusal::{Refusal, invalid};
use crate::usecase::account::person::Person;
use crate::usecase::account::session::{self as cases, Renewed};
use crate::usecase::steps::Steps;

/// The page.
const PAGE: &str = "/account";

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::new(Verb::Get, PAGE, Signer::Person, show),
        Route::new(Verb::Post, "/account/step-up", Signer::Person, prove_again),
        Route::new(Verb::Post, "/account/password", Signer::Person, set_password),
    ];
    routes.extend(sessions::routes());
    routes.extend(second_factor::routes());
    routes
}

async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let asked = Asked::of(&parts);
    let person = match page::signed_in(&app, &parts, &asked).await {
        Ok(person) => person,
        Err(response) => return response,
    };
    let decide = |context: &Context<'_>, person: &Person<'_>| {
        let (who, sessions) = (cases::who_am_i(context, person)?, cases::list(context, person)?);
        Ok(Steps::default().decide(move |context| ((who.answer)(context), (sessions.answer)(context))))
    };
    match session::change(&app, person.clone(), "GET /account", decide).await {
        Ok((who, sessions)) => {
            let visit = Visit::of(&app, &person, None, &asked);
            let body = body(&visit, &who, &sessions);
            respond(Around::Visit(&visit), Sheet::new(Section::Account, "Account", body))
        }
        Err(refusal) => refused::page(Around::Nobody(asked.theme), &refusal),
    }
}

fn body(visit: &Visit, who: &WhoAmI, sessions: &Sessions) -> Markup {
    let is_fresh = visit.now.0 < who.fresh_until;
    html! {
        (sessions::card(sessions))
        div.columns {
            (password())
            @if is_fresh || !who.second_factor { (second_factor::card(who, is_fresh)) }
            @if !is_fresh { (again(who)) }
        }
    }
}

/// What a person has proven too long ago is proven again here.
fn again(who: &WhoAmI) -> Markup {
    html! {
        section.card {
            h2 { "Prove who you are" }
            p { "The second factor can be changed for ten minutes after you have proven who you are." }
            form.stack method="post" action="/account/step-up" {
                input type="hidden" name="email" value=(who.email) autocomplete="username";
                (field("again-password", "Password", None, html! {
                    input #again-password name="password" type="password" autocomplete="current-password" required;
                }))
                @if who.second_factor {
                    (field("again-code", "Code of your second factor", None, html! {
                        input #again-code name="code" autocomplete="one-time-code" autocapitalize="off" spellcheck="false" required;
                    }))
                }
                button.primary { "Go on" }
            }
        }
    }
}

fn password() -> Markup {
    html! {
        section.card {
            h2 { "Password" }
            form.stack method="post" action="/account/password" {
                (field("current", "Password until now", None, html! {
                    input #current name="current" type="password" autocomplete="current-password" required;
                }))
                (field("new", "Password from now on", Some("At least 12 characters. Your other sessions end."), html! {
                    input #new name="new" type="password" autocomplete="new-password" minlength="12" required aria-describedby="new-help";
                }))
                (field("repeated", "The same again", None, html! {
                    input #repeated name="repeated" type="password" autocomplete="new-password" minlength="12" required;
                }))
                button.primary { "Change the password" }
            }
        }
    }
}

#[derive(Deserialize)]
struct Again {
    password: SecretText,
    code: Option<SecretText>,
}

async fn prove_again(State(app): State<App>, request: Request<Body>) -> Response {
    let (asked, person, form) = match given::<Again>(&app, request).await {
        Ok(given) => given,
        Err(response) => return response,
    };
    let body = StepUp { password: form.password, code: form.code.filter(|it| !it.expose().is_empty()) };
    let done = prove::prove_again(&app, person.clone(), "POST /account/step-up", body).await;
    renewed(&app, &person, &asked, done, "proven-again")
}

#[derive(Deserialize)]
struct NewPassword {
    current: SecretText,
    new: SecretText,
    repeated: SecretText,
}

async fn set_password(State(app): State<App>, request: Request<Body>) -> Response {
    let (asked, person, form) = match given::<NewPassword>(&app, request).await {
        Ok(given) => given,
        Err(response) => return response,
    };
    if form.new.expose() != form.repeated.expose() {
        let refusal = invalid("the two new passwords differ: type the same twice");
        return refuse(&app, &person, &asked, &refusal);
    }
    let body = ChangePassword { current_password: form.current, new_password: form.new };
    let done = prove::set_password(&app, person.clone(), "POST /account/password", body).await;
    renewed(&app, &person, &asked, done, "password-changed")
}

/// Receives a form of whoever has a session.
async fn given<F: DeserializeOwned>(app: &App, request: Request<Body>) -> Result<(Asked, SignedIn, F), Response> {
    let (mut parts, body) = request.into_parts();
    let asked = Asked::of(&parts);
    let person = page::sent_by(app, &parts, &asked).await?;
    match page::form(app, person.source(), std::mem::take(&mut parts.headers), body).await {
        Ok(form) => Ok((asked, person, form)),
        Err(refusal) => Err(refuse(app, &person, &asked, &refusal)),
    }
}

/// Back to the page, with another token.
fn renewed(
    app: &App,
    person: &SignedIn,
    asked: &Asked,
    done: Result<Renewed, Refusal>,
    said: &'static str,
) -> Response {
    match done {
        Ok(renewed) => {
            let mut response = go(&with_said(PAGE, said));
            cookie::set(app, &renewed.token, &mut response);
            response
        }
        Err(refusal) => refuse(app, person, asked, &refusal),
    }
}

fn refuse(app: &App, person: &SignedIn, asked: &Asked, refusal: &Refusal) -> Response {
    refused::page(Around::Visit(&Visit::of(app, person, None, asked)), refusal)
}
