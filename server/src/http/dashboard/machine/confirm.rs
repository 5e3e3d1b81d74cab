//! What is shown before something falls.

use maud::{Markup, html};
use sikkerkey_protocol::management::{MachineApproval, MachineRevocation};

use super::super::page::Nothing;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::ask;
use crate::usecase::management::machine::falling::Falling;

/// What approving a machine does.
pub(super) fn approval(visit: &Visit, _: &Nothing, it: &MachineApproval) -> Sheet {
    let machine = visit.href(&format!("machines/{}", it.id));
    let body = html! {
        section.card.asking {
            @match &it.fingerprint {
                Some(key) => {
                    p { "The fingerprint of its key:" }
                    p { code.key.large { (key) } }
                    p { "Approve it only if the host shows the same one." }
                }
                None => p { "Every pod that its object lets in reads from then on what is granted to it." }
            }
            @if let Some(old) = &it.replaces {
                p {
                    "Another machine " a href=(visit.href(&format!("machines/{}", old.id))) { strong { (old.name) } }
                    " (" code { (old.id) } ") is revoked with that. With it fall:"
                }
                (counts(old))
                p { "What this machine is to read is granted to it anew." }
            }
            @if it.approved { p { "It is approved already." } }
            div.actions {
                (ask::approve(&format!("{machine}/approve"), it.fingerprint.as_deref(), &it.name))
                a.button href=(machine) { "Leave it as it is" }
            }
        }
    };
    Sheet::new(Section::Machines, format!("Approve {}", it.name), body)
}

/// What revoking a machine does.
pub(super) fn revocation(visit: &Visit, _: &Nothing, it: &Falling) -> Sheet {
    let old = &it.revocation;
    let machine = visit.href(&format!("machines/{}", old.id));
    let (title, act) = match it.of_fleet {
        Some(_) => (format!("Deny {}", old.name), "Deny it"),
        None => (format!("Revoke {}", old.name), "Revoke it"),
    };
    let body = html! {
        section.card {
            @match it.of_fleet {
                Some(count) => {
                    p { "Every machine of it loses its identity at once: " strong { (count) } " of them. What is granted to it stays." }
                    p { "Its pods read nothing until a person approves it again." }
                }
                None => {
                    p { "It loses its identity at once, for good: its key signs nothing any more. With it fall:" }
                    (counts(old))
                    p { "To read again it registers anew, and is granted anew what it may read. To stop it for a while, disable it." }
                }
            }
            div.actions {
                form.inline method="post" action={ (machine) "/revoke" } { button.danger { (act) } }
                a.button href=(machine) { "Leave it as it is" }
            }
        }
    };
    Sheet::new(Section::Machines, title, body)
}

fn counts(it: &MachineRevocation) -> Markup {
    html! {
        ul {
            li { strong { (it.memberships) } " memberships in projects" }
            li { strong { (it.grants) } " grants" }
            li { strong { (it.secrets) } " secrets that it can read no more" }
        }
    }
}
