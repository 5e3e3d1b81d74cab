//! The dashboard: pages for people, from the server's own binary.
//!
//! The way of one page ([`page`]): whose session it is, which vault, whether the role may; then the same use case that an
//! agent's route and the command line call; then a view, a pure function from the answer to a [`sheet::Sheet`]; then the
//! layout around it. A form goes the same way, through the writer, and ends with the address of the page to go on to, so
//! that nothing is done twice.
//!
//! Every page works without JavaScript. What the script adds is marked by `data-` attributes, which [`assets`] explains.
//! No value of a secret is ever on a page: the use cases of the management plane answer none. What a person types is in
//! the body of a form, never in an address.

mod access;
mod account;
mod assets;
mod audit;
mod co_sign;
mod element;
mod enrolment;
mod kubernetes;
mod layout;
mod login;
mod machine;
mod managed;
mod page;
mod policy;
mod project;
mod refused;
mod said;
mod secret;
mod sheet;
mod span;
mod start;
mod theme;
mod trash;
mod visit;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::Response;

use self::layout::Around;
use self::theme::Theme;
use super::route::Route;
use crate::refusal::Refusal;

/// The pages.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    routes.extend(assets::routes());
    routes.extend(login::routes());
    routes.extend(account::routes());
    routes.extend(start::routes());
    routes.extend(theme::routes());
    routes.extend(machine::routes());
    routes.extend(enrolment::routes());
    routes.extend(policy::routes());
    routes.extend(co_sign::routes());
    routes.extend(kubernetes::routes());
    routes.extend(project::routes());
    routes.extend(audit::routes());
    routes.extend(secret::routes());
    routes.extend(access::routes());
    routes.extend(trash::routes());
    routes
}

/// A refusal for somebody who looks with a browser at what is no page. None: a program asks.
pub(super) fn refusal(path: &str, headers: &HeaderMap, refusal: &Refusal) -> Option<Response> {
    let accepted = headers.get(ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let is_for_people = accepted.contains("text/html") && !path.starts_with("/v1/");
    is_for_people.then(|| refused::page(Around::Nobody(Theme::of(headers)), refusal))
}
