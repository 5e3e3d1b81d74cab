//! Logging in and out.

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::http::request::Parts;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::account::{GiveCode, LogIn};
use sikkerkey_protocol::secret_text::SecretText;

use super::element::field;
use super::layout::Around;
use super::page::{self, go, respond, with_said};
use super::refused;
use super::sheet::{Section, Sheet};
use super::visit::Asked;
use crate::app::App;
use crate::http::account::{cookie, prove, same_origin, session};
use crate::http::refusal::status;
use crate::http::route::{Route, Signer, Verb};
use crate::http::signed;
use crate::refusal::Refusal;
use crate::usecase::account::login::Outcome;
use crate::usecase::account::session::{self as sessions, Renewed};
use crate::usecase::source::Source;

/// The longest address to go on to, in bytes.
const TARGET: usize = 1024;

/// The routes.
pub(super) fn routes() -> [Route; 4] {
    [
        Route::new(Verb::Get, "/login", Signer::Nobody, show),
        Route::new(Verb::Post, "/login", Signer::Nobody, log_in),
        Route::new(Verb::Post, "/login/code", Signer::Nobody, give_code),
        Route::new(Verb::Post, "/logout", Signer::Person, log_out),
    ]
}

/// The address of the login that goes on to a page afterwards.
pub(super) fn with_next(page: &str) -> String {
    let next: String = serde_html_form::to_string([("next", page)]).unwrap_or_default();
    if page == "/" { "/login".to_owned() } else { format!("/login?{next}") }
}

/// A page of this server; whatever else it says leads nowhere.
pub(super) fn own_target(target: &str) -> Option<&str> {
    let is_ours = target.starts_with('/')
        && !target.starts_with("//")
        && target.len() <= TARGET
        && target.bytes().all(|it| it.is_ascii_graphic() && it != b'\\');
    is_ours.then_some(target)
}

#[derive(Default, Deserialize)]
struct Next {
    next: Option<String>,
}

async fn show(request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let asked = Asked::of(&parts);
    let next = parts.uri.query().and_then(|it| serde_html_form::from_str::<Next>(it).ok()).unwrap_or_default().next;
    let body = html! {
        @if let Some(said) = asked.said { p.notice.good role="status" { (said) } }
        (password_form(next.as_deref().unwrap_or_default(), "", None))
    };
    respond(Around::Nobody(asked.theme), Sheet::new(Section::Elsewhere, "Log in", body))
}

#[derive(Deserialize)]
struct ByPassword {
    email: String,
    password: SecretText,
    #[serde(default)]
    next: String,
}

async fn log_in(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let (asked, source) = (Asked::of(&parts), signed::source(&app, &parts));
    let arrival = prove::arrival(&app, &parts.headers);
    let form: ByPassword = match received(&app, source, parts, body).await {
        Ok(form) => form,
        Err(refusal) => return refused::page(Around::Nobody(asked.theme), &refusal),
    };
    let login = LogIn { email: form.email.clone(), password: form.password, code: None };
    match prove::by_password(&app, source, arrival, login).await {
        Ok(Outcome::In(session)) => entered(&app, &session, &form.next),
        Ok(Outcome::Half(half)) => {
            let body = code_form(&half.half_login, &form.next, None);
            respond(Around::Nobody(asked.theme), Sheet::new(Section::Elsewhere, "Your second factor", body))
        }
        Err(refusal) => {
            let body = password_form(&form.next, &form.email, Some(&refusal));
            again(&asked, "Log in", body, &refusal)
        }
    }
}

#[derive(Deserialize)]
struct ByCode {
    half: SecretText,
    code: SecretText,
    #[serde(default)]
    next: String,
}

async fn give_code(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let (asked, source) = (Asked::of(&parts), signed::source(&app, &parts));
    let arrival = prove::arrival(&app, &parts.headers);
    let form: ByCode = match received(&app, source, parts, body).await {
        Ok(form) => form,
        Err(refusal) => return refused::page(Around::Nobody(asked.theme), &refusal),
    };
    let given = GiveCode { half_login: form.half.clone(), code: form.code };
    match prove::by_code(&app, source, arrival, given).await {
        Ok(session) => entered(&app, &session, &form.next),
        Err(refusal) => {
            let body = code_form(&form.half, &form.next, Some(&refusal));
            again(&asked, "Your second factor", body, &refusal)
        }
    }
}

async fn log_out(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let asked = Asked::of(&parts);
    let person = match page::sent_by(&app, &parts, &asked).await {
        Ok(person) => person,
        Err(response) => return response,
    };
    match session::change(&app, person, "POST /logout", sessions::log_out).await {
        Ok(_) => {
            let mut response = go(&with_said("/login", "logged-out"));
            cookie::clear(&app, &mut response);
            response
        }
        Err(refusal) => refused::page(Around::Nobody(asked.theme), &refusal),
    }
}

async fn received<F: serde::de::DeserializeOwned>(
    app: &App,
    source: Source,
    parts: Parts,
    body: Body,
) -> Result<F, Refusal> {
    same_origin::own_page(app, &parts.headers).map_err(|it| signed::misunderstood(app, source, it))?;
    page::form(app, source, parts.headers, body).await
}

fn entered(app: &App, session: &Renewed, next: &str) -> Response {
    let mut response = go(own_target(next).unwrap_or("/"));
    cookie::set(app, &session.token, &mut response);
    response
}

fn again(asked: &Asked, title: &str, body: Markup, refusal: &Refusal) -> Response {
    let mut response = respond(Around::Nobody(asked.theme), Sheet::new(Section::Elsewhere, title, body));
    *response.status_mut() = status(refusal.kind);
    response
}

fn password_form(next: &str, email: &str, refusal: Option<&Refusal>) -> Markup {
    html! {
        form.stack method="post" action="/login" {
            @if let Some(refusal) = refusal { (refused::notice(&refusal.message)) }
            input type="hidden" name="next" value=(own_target(next).unwrap_or_default());
            (field("email", "E-mail address", None, html! {
                input #email name="email" type="email" autocomplete="username" required autofocus[email.is_empty()] value=(email);
            }))
            (field("password", "Password", None, html! {
                input #password name="password" type="password" autocomplete="current-password" required autofocus[!email.is_empty()];
            }))
            button.primary { "Log in" }
        }
    }
}

fn code_form(half: &SecretText, next: &str, refusal: Option<&Refusal>) -> Markup {
    html! {
        form.stack method="post" action="/login/code" {
            @if let Some(refusal) = refusal { (refused::notice(&refusal.message)) }
            input type="hidden" name="next" value=(own_target(next).unwrap_or_default());
            input type="hidden" name="half" value=(half.expose());
            (field("code", "Code", Some("From your authenticator app, or one of your recovery codes."), html! {
                input #code name="code" autocomplete="one-time-code" autocapitalize="off" spellcheck="false" required autofocus aria-describedby="code-help";
            }))
            button.primary { "Go on" }
        }
        p { a href="/login" { "Begin again" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_login_no_page_of_others_is_gone_on_to() {
        for target in ["/vaults/vault_v/machines?q=web&page=2", "/", "/account"] {
            assert_eq!(own_target(target), Some(target));
        }
        for target in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a b", "/\n"]
        {
            assert_eq!(own_target(target), None, "{target}");
        }
    }

    #[test]
    fn what_is_gone_on_to_is_one_field_of_the_address() {
        assert_eq!(with_next("/"), "/login");
        assert_eq!(with_next("/vaults/v/audit?q=a&page=2"), "/login?next=%2Fvaults%2Fv%2Faudit%3Fq%3Da%26page%3D2");
    }
}
