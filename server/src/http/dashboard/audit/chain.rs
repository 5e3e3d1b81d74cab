//! Whether the chain holds: what was checked, and what a person has to do elsewhere to be sure.

use maud::{Markup, html};
use serde::Deserialize;

use super::super::element::{Tone, facts, pill, time};
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::tabs;
use crate::decision::{Context, Decided};
use crate::usecase::management::Manager;
use crate::usecase::management::audit::chain::{self, Checked, MOST, Part, Standing, Wanted};

/// What is to be checked.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Question {
    /// The rows after this one; none: nothing yet.
    after: Option<u64>,
}

pub(super) fn wanted(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], it: Question) -> Decided<Wanted> {
    chain::wanted(context, manager, it.after.map_or(Wanted::Standing, Wanted::After))
}

/// The page.
pub(super) fn page(visit: &Visit, _: &Question, checked: &Checked) -> Sheet {
    let body = html! {
        (tabs(visit, "audit/chain"))
        @if let Some(part) = &checked.part { (found(visit, part, &checked.standing)) }
        (ask(visit, checked.part.is_some()))
        (standing(&checked.standing))
        (elsewhere(&checked.standing))
    };
    Sheet::new(Section::Audit, "The chain of the audit", body)
}

fn ask(visit: &Visit, again: bool) -> Markup {
    html! {
        section.card {
            h2 { "Check the chain" }
            p {
                "Each row carries a hash that follows from the row before it, by a key of the server. A row that somebody changed, \
                 took out or put in shows, and where. The chain is that of all vaults of this server; what rows of others say is not \
                 shown. A check reads " (MOST) " rows at most in some seconds, and goes on where it ended."
            }
            form method="get" action=(visit.href("audit/chain")) {
                input type="hidden" name="after" value="0";
                button.primary { @if again { "Check again from the first row" } @else { "Check from the first row" } }
            }
        }
    }
}

fn found(visit: &Visit, part: &Part, standing: &Standing) -> Markup {
    let report = &part.report;
    html! {
        section.card aria-labelledby="found" {
            h2 #found { @if report.holds { "What was checked holds" } @else { "What was checked does not hold" } }
            @if report.rows == 0 && report.holds {
                p { "There is no row after row " (report.last) " yet." }
            } @else if report.holds {
                p {
                    (pill(Tone::Good, "holds")) " " (report.rows) " rows were checked, from row " (report.first) " to row " (report.last)
                    ": they follow each other, and none was changed, taken out or added by anybody without the server's root key."
                }
            } @else {
                p { (pill(Tone::Bad, "does not hold")) " " (report.rows) " rows were checked, from row " (report.first) " to row " (report.last) ". This is wrong:" }
                ul { @for it in &report.findings { li { (it.text) } } }
                p {
                    "Somebody could write to the database. Keep it as it is, take a copy, and tell whoever runs the server: "
                    code { "sikkerkey-server admin verify-audit" } " says the same there, and compares with the anchor."
                }
            }
            @if report.holds { (compared(part)) }
            @if let Some(after) = part.go_on {
                p { "The audit goes on up to row " (standing.last) "." }
                form method="get" action=(visit.href("audit/chain")) {
                    input type="hidden" name="after" value=(after);
                    button.primary { "Go on after row " (after) }
                }
            } @else {
                p { "This was all: row " (report.last) " is the last." }
            }
        }
    }
}

fn compared(part: &Part) -> Markup {
    html! {
        ul {
            @if part.go_on.is_none() { li { "The last row is the one that this server wrote, so the database was not put back to an earlier state while the server runs." } }
            @match part.compared {
                Some(row) => li { "Row " (row) " is the one that the last checkpoint has seen." },
                None => li { "No checkpoint was compared: the last one is not of a row among these." },
            }
            @if part.report.first > 1 {
                li { "Nothing is said about rows 1 to " (part.report.first - 1) ": they were checked before, or are in files by now." }
            }
        }
    }
}

fn standing(standing: &Standing) -> Markup {
    html! {
        section.card {
            h2 { "How it stands" }
            (facts(&[
                ("Rows in the database", html! { @if standing.first > standing.last { "none" } @else { (standing.first) " to " (standing.last) } }),
                ("Last checkpoint", html! {
                    @match &standing.checkpoint {
                        Some(it) => { "of row " (it.seq) ", " (time(it.time.0)) },
                        None => span.quiet { "none yet: one is made every minute in which rows are added" },
                    }
                }),
                ("Restores", html! {
                    @match standing.epoch.continues {
                        Some(it) => { "restored from a backup that ended with row " (it.seq) "; epoch " (standing.epoch.number) },
                        None => "never restored from a backup",
                    }
                }),
                ("Key of checkpoints and exports", html! { code { (standing.fingerprint) } }),
            ]))
            @if standing.first > 1 {
                p { "Rows 1 to " (standing.first - 1) " were written to files and are not in the database any more. Whoever runs the server checks them with " code { "admin verify-audit --archive DIRECTORY" } "." }
            }
            h3 { "Anchors" }
            @if standing.anchors.is_empty() {
                p { (pill(Tone::Warn, "no anchor")) " Checkpoints are kept nowhere else. Whoever can put back the whole database to last week is not found out: have the server started with " code { "--audit-anchor" } "." }
            } @else {
                ul {
                    @for (is_file, seq, takes) in &standing.anchors {
                        li {
                            @if *is_file { "A file elsewhere " } @else { "A web server elsewhere " }
                            @match seq { Some(it) => { "has seen row " (it) " " }, None => "has seen nothing since the server started " }
                            @if *takes { (pill(Tone::Good, "takes checkpoints")) } @else { (pill(Tone::Bad, "does not take them")) }
                        }
                    }
                }
            }
        }
    }
}

fn elsewhere(standing: &Standing) -> Markup {
    html! {
        section.card {
            h2 { "What this page cannot tell you" }
            p { "It is this server that says so. A person who has taken over the server can make it say anything. To be sure, do this away from it:" }
            ol {
                @if standing.anchors.is_empty() {
                    li { "Have an anchor kept where nobody who runs this server can change it." }
                } @else {
                    li { "On the host that keeps the anchor, compare: " code { "sikkerkey-server admin verify-audit --anchor FILE" } ". It finds a database that was put back as a whole." }
                }
                li { "Write down the fingerprint of the key above while you trust the server, and compare it each time: " code { "sikkerkey-server admin audit-key" } " prints the key." }
                li { "Have rows exported now and then, and keep the files: " code { "sikkerkey-server admin verify-audit --from-export FILE --public-key KEY" } " checks one without the server." }
            }
            p { "Nothing at all proves that whoever has the root key did not write another history: the anchor is what limits how far back." }
        }
    }
}
