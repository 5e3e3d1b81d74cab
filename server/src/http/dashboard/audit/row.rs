//! One row: who, what, why, and its place in the chain.

use maud::{Markup, html};
use sikkerkey_protocol::denial::DenialReason;

use super::super::element::{Tone, copyable, facts, pill, time};
use super::super::page::Nothing;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::list::{outcome, what, who};
use super::question::Question;
use super::tabs;
use crate::audit::words;
use crate::usecase::management::audit::row::Row;

/// Rows before and after it that are shown around it.
const AROUND: u64 = 25;

/// The page.
pub(super) fn page(visit: &Visit, _: &Nothing, row: &Row) -> Sheet {
    let entry = &row.entry;
    let around = Question { before: Some(entry.id.saturating_add(AROUND)), ..Question::default() };
    let body = html! {
        (tabs(visit, ""))
        section.card {
            (facts(&[
                ("When", time(entry.timestamp)),
                ("Who", who(visit, entry, &row.names)),
                ("What", what(visit, entry, &row.names)),
                ("From", html! { @match entry.source_ip { Some(it) => span.mono { (it) }, None => span.quiet { "no address" } } }),
                ("Outcome", outcome(entry)),
                ("Severity", html! { (entry.severity.as_str()) }),
                ("Action", html! { code { (entry.action) } }),
            ]))
            @if !entry.detail.is_empty() { h2 { "Detail" } p { (entry.detail) } }
        }
        @if let Some(reason) = entry.reason { (why(visit, row, reason)) }
        (chain(visit, row))
        p { a href=(visit.href(&format!("audit{}", around.query()))) { "Rows around it" } }
    };
    Sheet::new(Section::Audit, format!("Row {} of the audit", entry.id), body)
}

/// Which rule denied, and what it asks for.
fn why(visit: &Visit, row: &Row, reason: DenialReason) -> Markup {
    let secret =
        row.entry.secret_id.as_ref().filter(|id| row.names.secrets.get(id).is_some_and(|(_, is_there)| *is_there));
    html! {
        section.card {
            h2 { "Why it was denied" }
            p { "The machine was denied because " strong { (words::denial(reason)) } ". " code { (reason.as_str()) } }
            @match words::rule(reason) {
                Some(rule) => p { "The rule that decided: " strong { (rule.as_str()) } ". It asks that " (words::asks(rule)) "." },
                None => p { "The rule that decided is one of a newer server." },
            }
            @if let Some((id, name)) = &row.policy {
                p { "The secret's access policy is now " a href=(visit.href(&format!("policies/{id}"))) { (name) } ". It may have been another one then." }
            }
            @if let Some(id) = secret { p { a href=(visit.href(&format!("secrets/{id}"))) { "Who may read this secret now" } } }
        }
    }
}

fn chain(visit: &Visit, row: &Row) -> Markup {
    let number = row.entry.id;
    html! {
        section.card {
            h2 { "Its place in the chain" }
            p {
                @match (row.fits, row.previous) {
                    (true, _) => { (pill(Tone::Good, "fits")) " Its hash follows from the row before it, its number, its time and its text, by a key of the server." },
                    (false, Some(_)) => { (pill(Tone::Bad, "does not fit")) " Its hash does not follow from the row before it, its number, its time and its text: one of the two was changed. Check the chain, and find out who could write to the database." },
                    (false, None) => { (pill(Tone::Bad, "does not fit")) " The row before it is missing. Check the chain, and find out who could write to the database." },
                }
            }
            (facts(&[
                ("Number", html! { (number) " of " (row.last) }),
                ("Hash", html! { code { (row.hash) } }),
                ("Hash of the row before", html! { @match row.previous { Some(it) => code { (it) }, None => span.quiet { "missing" } } }),
                ("Checkpoint", html! {
                    @match row.checkpoint {
                        Some((seq, at)) if seq >= number => { "vouched for by that of row " (seq) ", " (time(at)) },
                        Some((seq, _)) => { "none yet: the last is of row " (seq) },
                        None => span.quiet { "none yet" },
                    }
                }),
            ]))
            h3 { "What the hash covers" }
            (copyable("stored", &row.text))
            p.quiet { "Rows of all vaults of the server are in one chain, so numbers that are missing here belong to others. " a href=(visit.href("audit/chain")) { "Check the chain" } }
        }
    }
}
