//! One policy.

use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::management::Scope::{PoliciesWrite, SecretsRead};

use super::super::element::{Called, Tone, data_table, empty, facts, pages, pill};
use super::super::managed;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::{axes, one, stands};
use crate::audit::words;
use crate::shell;
use crate::usecase::management::policy::shown::{Guarded, PAGE, Shown, Stands};

/// Which page of its secrets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    pub(super) page: Option<usize>,
}

/// The page.
pub(super) fn page(visit: &Visit, _: &Query, shown: &Shown) -> Sheet {
    let row = &shown.row;
    let may_change = visit.may(PoliciesWrite) && row.managed_by.is_none();
    let body = html! {
        @if let Some(object) = &row.managed_by {
            (managed::notice(object, &managed::manifest_of(object, &managed::policy_fields(&shown.document))))
        }
        section.card {
            h2 { "Reads are allowed" }
            (axes(&row.words))
            @if !row.description.is_empty() { p.quiet { (row.description) } }
            p.quiet { "Every one of these must allow a read. Machines need a grant besides." }
        }
        section.card { h2.hidden { "How it stands" } (facts(&about(visit, shown))) }
        @if row.protected { (protected(shown)) }
        h2 { "Secrets that it guards" }
        (secrets(visit, shown, may_change, &one(visit, &row.id)))
    };
    let sheet = Sheet::new(Section::Policies, row.name.clone(), body);
    if visit.may(PoliciesWrite) { sheet.actions(actions(visit, shown)) } else { sheet }
}

fn actions(visit: &Visit, shown: &Shown) -> Markup {
    let own = one(visit, &shown.row.id);
    let is_managed = shown.row.managed_by.is_some();
    html! {
        @if shown.row.stands != Stands::Withdrawn {
            a.button href={ (own) "/bind" } { "Guard a secret" }
        }
        @if !is_managed { a.button.primary href={ (own) "/edit" } { "Change" } }
        @if !is_managed || shown.row.stands == Stands::Withdrawn {
            a.button.danger href={ (own) "/delete" } { "Delete" }
        }
    }
}

fn about(visit: &Visit, shown: &Shown) -> Vec<(&'static str, Markup)> {
    let row = &shown.row;
    let mut facts = vec![
        ("Now", stands(row)),
        ("Project", html! { (row.project_name) }),
        ("Revision", html! { (row.revision) }),
        ("Denied in 24 h", html! { (row.denied_lately) }),
    ];
    if !shown.denied_by.is_empty() {
        let by = html! { ul.lines { @for (reason, times) in &shown.denied_by { li { (times) " × " (words::denial(*reason)) } } } };
        facts.push(("Denied since ever", by));
    }
    if let Some(left) = shown.remaining_reads {
        facts.push(("Reads that are left", html! { (left) span.sub { "of the secret that has the fewest" } }));
    }
    if shown.document.co_sign.is_some() {
        facts.push(("Waiting for approval", html! { a href=(visit.href("co-signs")) { (row.waiting) } }));
    }
    facts
}

/// What nobody but a person does to it.
fn protected(shown: &Shown) -> Markup {
    html! {
        section.card {
            h2 { "Protected" }
            p {
                "Agents, operators among them, may tighten this policy, and may not loosen it, rename it, take it off a secret or delete it. "
                "People may. Its co-signer is a host that a person approved."
            }
            p.quiet {
                "Whoever runs the server lifts that: " code { "sikkerkey-server admin policy unprotect --project " (shown.row.project) " --name " (shell::word(&shown.row.name)) }
            }
        }
    }
}

/// A page of what a policy guards.
pub(super) fn secrets(visit: &Visit, shown: &Shown, may_change: bool, href: &str) -> Markup {
    if shown.secrets.is_empty() {
        let action =
            may_change.then(|| html! { a.button href={ (one(visit, &shown.row.id)) "/bind" } { "Guard a secret" } });
        return empty(
            "It guards nothing yet",
            html! { "A secret of its project that it guards is read as it says, and not otherwise." },
            action,
        );
    }
    html! {
        (data_table(
            Called::As("Secrets that it guards"),
            html! {
                th scope="col" { "Secret" }
                th.number scope="col" { "Granted to" }
                th.number scope="col" { "Denied in 24 h" }
                @if may_change { th scope="col" { span.hidden { "Actions" } } }
            },
            html! { @for it in &shown.secrets { (secret(visit, shown, it, may_change)) } },
        ))
        (pages(shown.page, PAGE, shown.row.secrets, |page| format!("{href}?page={page}")))
    }
}

fn secret(visit: &Visit, shown: &Shown, it: &Guarded, may_change: bool) -> Markup {
    html! {
        tr {
            th scope="row" {
                @if visit.may(SecretsRead) { a href=(visit.href(&format!("secrets/{}", it.id))) { (it.label) } } @else { (it.label) }
                @if let Some(object) = &it.managed_by { " " (managed::mark(object)) }
            }
            td.number { (it.readers) }
            td.number { (it.denied_lately) }
            @if may_change {
                td {
                    @match &it.managed_by {
                        None => a.button href={ (one(visit, &shown.row.id)) "/secrets/" (it.id) "/unbind" } {
                            "Take off" span.hidden { " " (it.label) }
                        },
                        Some(_) => (pill(Tone::Plain, "its object says it")),
                    }
                }
            }
        }
    }
}
