//! What waits for a person's word: the key to compare, and the buttons.

use maud::{Markup, html};
use sikkerkey_protocol::management::MachineRow;

use super::super::element::time;
use super::super::visit::Visit;
use crate::usecase::machine::status::Sort;
use crate::usecase::management::machine::table::TableRow;

const OF_FLEET: &str = "Its object asks for a person’s word before any of its pods reads.";

/// Below its row in the list.
pub(super) fn in_row(visit: &Visit, it: &TableRow) -> Markup {
    html! {
        div.ask {
            @if let Some(key) = key(it) { p { "Compare with what the host shows: " code.key { (key) } } }
            @else { p { (OF_FLEET) } }
            @if it.row.replaces.is_some() { p { "It takes the place of an approved machine, which is revoked then." } }
            (buttons(visit, it))
        }
    }
}

/// As the one thing that is to be done on a page.
pub(super) fn card(visit: &Visit, it: &TableRow) -> Markup {
    let row = &it.row;
    html! {
        section.card.asking {
            h2 { (row.name) " waits for approval" }
            @match key(it) {
                Some(key) => {
                    (arrival(row))
                    p { "The fingerprint of its key:" }
                    p { code.key.large { (key) } }
                    p {
                        "Compare it with the line " code { "fingerprint" } " that the script printed on the host: at its screen, over a "
                        "connection that you trust, or read out by somebody you know. Approve it only if the two are the same. "
                        "If they are not, somebody else has used the command: deny it, and make another."
                    }
                }
                None => p { (OF_FLEET) }
            }
            @if row.replaces.is_some() { p { "It takes the place of an approved machine of this name, which is revoked then." } }
            (buttons(visit, it))
        }
    }
}

/// The form that approves a key.
pub(super) fn approve(action: &str, fingerprint: Option<&str>, name: &str) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            @if let Some(key) = fingerprint { input type="hidden" name="fingerprint" value=(key); }
            button.primary aria-label={ "Approve " (name) } { "Approve" }
        }
    }
}

fn key(it: &TableRow) -> Option<&str> {
    it.row.fingerprint.as_deref().filter(|_| it.sort != Sort::Fleet)
}

fn arrival(row: &MachineRow) -> Markup {
    html! {
        p {
            @if let Some(at) = row.created_at { "It registered " (time(at)) }
            @if let Some(address) = row.address { " from " code { (address) } }
            @if let Some(name) = &row.hostname { " as " strong { (name) } }
            @if let Some(os) = &row.os { ", " (os) }
            ". What it says of itself proves nothing: its key does."
        }
    }
}

/// What is approved is what was seen: the fingerprint goes along. Where something falls with it, that is shown before.
fn buttons(visit: &Visit, it: &TableRow) -> Markup {
    let row = &it.row;
    let to = |end: &str| visit.href(&format!("machines/{}/{end}", row.id));
    html! {
        div.actions {
            @if row.replaces.is_some() {
                a.button.primary href=(to("approve")) { "See what falls, and approve" }
            } @else {
                (approve(&to("approve"), key(it), &row.name))
            }
            form.inline method="post" action=(to("deny")) {
                button.danger aria-label={ "Deny " (row.name) } { "Deny" }
            }
        }
    }
}
