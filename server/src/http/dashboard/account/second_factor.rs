//! The second factor: begun, confirmed by its first code, removed.

use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use fast_qr::QRBuilder;
use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::account::{BegunTotp, RecoveryCodes, WhoAmI};
use sikkerkey_protocol::secret_text::SecretText;

use super::{PAGE, given, refuse, renewed};
use crate::app::App;
use crate::decision::Context;
use crate::http::account::{cookie, session};
use crate::http::dashboard::element::{Tone, button, copyable, field, pill, time};
use crate::http::dashboard::layout::Around;
use crate::http::dashboard::page::{Nothing, respond};
use crate::http::dashboard::sheet::{Section, Sheet};
use crate::http::dashboard::visit::Visit;
use crate::http::route::{Route, Signer, Verb};
use crate::usecase::account::person::Person;
use crate::usecase::account::second_factor;

/// Light around the picture, in its modules.
const MARGIN: usize = 4;

pub(super) fn routes() -> [Route; 4] {
    [
        Route::new(Verb::Post, "/account/second-factor/begin", Signer::Person, begin),
        Route::new(Verb::Post, "/account/second-factor/confirm", Signer::Person, confirm),
        Route::new(Verb::Post, "/account/second-factor/remove", Signer::Person, remove),
        Route::new(Verb::Post, "/account/second-factor/recovery-codes", Signer::Person, renew_codes),
    ]
}

pub(super) fn card(who: &WhoAmI, is_fresh: bool) -> Markup {
    html! {
        section.card {
            h2 { "Second factor" }
            @if who.second_factor {
                p { (pill(Tone::Good, "in force")) " " (who.recovery_codes_left) " recovery codes are left." }
                div.actions {
                    (button("/account/second-factor/recovery-codes", "", "Make new recovery codes"))
                    (button("/account/second-factor/remove", "danger", "Remove the second factor"))
                }
            } @else {
                p { (pill(Tone::Warn, "none")) " Whoever learns your password is in. Add an authenticator app." }
                @if is_fresh { (button("/account/second-factor/begin", "primary", "Add a second factor")) }
            }
        }
    }
}

async fn begin(State(app): State<App>, request: Request<Body>) -> Response {
    let (asked, person, Nothing {}) = match given(&app, request).await {
        Ok(given) => given,
        Err(response) => return response,
    };
    match session::change(&app, person.clone(), "POST /account/second-factor/begin", second_factor::begin).await {
        Ok(begun) => {
            let visit = Visit::of(&app, &person, None, &asked);
            respond(Around::Visit(&visit), Sheet::new(Section::Account, "Add a second factor", shown(&begun)))
        }
        Err(refusal) => refuse(&app, &person, &asked, &refusal),
    }
}

fn shown(begun: &BegunTotp) -> Markup {
    html! {
        section.card {
            p { "Scan this with your authenticator app, or type the text in. It is shown once." }
            @if let Some(path) = picture(begun.url.expose()) { (path) }
            (copyable("seed", begun.secret.expose()))
            form.stack method="post" action="/account/second-factor/confirm" {
                (field("code", "The code that the app shows now", None, html! {
                    input #code name="code" inputmode="numeric" autocomplete="one-time-code" required;
                }))
                button.primary { "Put it in force" }
            }
            p.help { "To be confirmed until " (time(begun.expires_at)) "." }
            p { a href=(PAGE) { "Not now" } }
        }
    }
}

/// A QR code as a picture. None: the text is too long for one.
fn picture(text: &str) -> Option<Markup> {
    let code = QRBuilder::new(text).build().ok()?;
    let mut path = String::new();
    for y in 0..code.size {
        for (x, _) in code[y].iter().take(code.size).enumerate().filter(|(_, it)| it.value()) {
            // Writing to a String does not fail.
            let _ = write!(path, "M{} {}h1v1h-1z", x + MARGIN, y + MARGIN);
        }
    }
    let side = code.size + 2 * MARGIN;
    Some(html! {
        svg.qr viewBox={ "0 0 " (side) " " (side) } width="220" height="220" role="img" aria-label="The same as a QR code" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    })
}

#[derive(Deserialize)]
struct Code {
    code: SecretText,
}

async fn confirm(State(app): State<App>, request: Request<Body>) -> Response {
    let (asked, person, form) = match given::<Code>(&app, request).await {
        Ok(given) => given,
        Err(response) => return response,
    };
    let decide = move |context: &Context<'_>, person: &Person<'_>| second_factor::confirm(context, person, &form.code);
    match session::change(&app, person.clone(), "POST /account/second-factor/confirm", decide).await {
        Ok(confirmed) => {
            let visit = Visit::of(&app, &person, None, &asked);
            let sheet =
                codes(&confirmed.recovery_codes, "The second factor is in force. Your other sessions have ended.");
            let mut response = respond(Around::Visit(&visit), sheet);
            cookie::set(&app, &confirmed.renewed.token, &mut response);
            response
        }
        Err(refusal) => refuse(&app, &person, &asked, &refusal),
    }
}

async fn remove(State(app): State<App>, request: Request<Body>) -> Response {
    let (asked, person, Nothing {}) = match given(&app, request).await {
        Ok(given) => given,
        Err(response) => return response,
    };
    let what = "POST /account/second-factor/remove";
    let done = session::change(&app, person.clone(), what, second_factor::remove).await;
    renewed(&app, &person, &asked, done, "second-factor-removed")
}

async fn renew_codes(State(app): State<App>, request: Request<Body>) -> Response {
    let (asked, person, Nothing {}) = match given(&app, request).await {
        Ok(given) => given,
        Err(response) => return response,
    };
    let what = "POST /account/second-factor/recovery-codes";
    match session::change(&app, person.clone(), what, second_factor::renew_codes).await {
        Ok(made) => {
            let visit = Visit::of(&app, &person, None, &asked);
            respond(Around::Visit(&visit), codes(&made, "Those from before are worth nothing now."))
        }
        Err(refusal) => refuse(&app, &person, &asked, &refusal),
    }
}

fn codes(codes: &RecoveryCodes, said: &str) -> Sheet {
    let list: String = codes.recovery_codes.iter().flat_map(|it: &SecretText| [it.expose(), "\n"]).collect();
    let list = zeroize::Zeroizing::new(list);
    let body = html! {
        p.notice.good role="status" { (said) }
        section.card {
            p { "Keep these codes where you keep your passwords. Each opens your account once when your app is lost. They are shown once." }
            (copyable("codes", list.trim_end()))
            p { a.button.primary href=(PAGE) { "I have kept them" } }
        }
    };
    Sheet::new(Section::Account, "Your recovery codes", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_picture_of_dark_squares_within_its_margin() {
        let picture = picture("otpauth://totp/SikkerKey:team@example.com?secret=ABCDEFGH").unwrap().into_string();
        assert!(picture.contains("M4 4h1v1h-1z"), "{picture}");
        assert!(!picture.contains("M0 "), "{picture}");
        assert!(super::picture(&"a".repeat(10_000)).is_none());
    }
}
