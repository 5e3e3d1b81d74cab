//! A page that says why something was not done, in the words of the refusal.

use axum::response::Response;
use maud::{Markup, html};

use super::layout::Around;
use super::page;
use super::sheet::{Section, Sheet};
use crate::http::refusal::status;
use crate::refusal::{Refusal, RefusalKind};

/// A page that says why something was not done.
pub(super) fn page(around: Around<'_>, refusal: &Refusal) -> Response {
    let sheet = Sheet::new(Section::Elsewhere, title(refusal.kind), text(refusal));
    let mut response = page::respond(around, sheet);
    *response.status_mut() = status(refusal.kind);
    if let Some(seconds) = refusal.retry_after_seconds {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The refusal where a form stands.
pub(super) fn notice(text: &str) -> Markup {
    html! { p #refusal .notice.bad role="alert" { (sentence(text)) } }
}

fn title(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::NotFound => "This page is not there",
        RefusalKind::Unavailable => "The server cannot answer just now",
        _ => "This was not done",
    }
}

fn text(refusal: &Refusal) -> Markup {
    html! {
        (notice(&refusal.message))
        @if let Some(seconds) = refusal.retry_after_seconds {
            p { "Try again in " (seconds) " seconds." }
        }
        p { a href="/" { "To the start" } " – or go back: what you typed may still be there." }
    }
}

/// Refusals begin in small letters and end without a full stop, as they stand in JSON.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
