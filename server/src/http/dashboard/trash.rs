//! The trash.

use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::management::Scope::{SecretsRead, TrashRead, TrashWrite};
use sikkerkey_protocol::management::{SecretPurged, SecretRestored, SecretType, TrashedSecret};

use super::element::{Called, Tone, address, data_table, empty, field, pages, pill, time};
use super::managed;
use super::page::{Nothing, Then, does, shows};
use super::sheet::{Section, Sheet};
use super::visit::Visit;
use crate::http::route::Route;
use crate::refusal::Refusal;
use crate::usecase::management::trash::{self, ROWS, TrashPage, TrashQuery};

/// The routes.
pub(super) fn routes() -> [Route; 4] {
    [
        shows(TrashRead, "GET /vaults/{vault}/trash", trash::page, list),
        does(
            TrashWrite,
            "POST /vaults/{vault}/trash/{trashed}/restore",
            Ok,
            |context, manager, [secret], Nothing {}| trash::restore(context, manager, [secret]),
            restored,
        ),
        shows(
            TrashWrite,
            "GET /vaults/{vault}/trash/{trashed}/purge",
            |context, manager, [secret], Nothing {}| trash::purging(context, manager, [secret]),
            purging,
        ),
        does(
            TrashWrite,
            "POST /vaults/{vault}/trash/{trashed}/purge",
            PurgeForm::parse,
            trash::purge_confirmed,
            |visit, [_], _: SecretPurged| Then::Go(visit.href("trash"), "secret-purged"),
        ),
    ]
}

#[derive(Deserialize)]
struct PurgeForm {
    name: String,
}

impl PurgeForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    fn parse(self) -> Result<String, Refusal> {
        Ok(self.name)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an answer is handed over")]
fn restored(visit: &Visit, [_]: [&str; 1], it: SecretRestored) -> Then {
    match (it.readable, it.policy_in_force) {
        (false, _) => Then::Go(visit.href("trash"), "secret-waiting"),
        (true, false) => Then::Go(visit.href(&format!("secrets/{}", it.id)), "secret-unguarded"),
        (true, true) => Then::Go(visit.href(&format!("secrets/{}", it.id)), "secret-restored"),
    }
}

fn list(visit: &Visit, query: &TrashQuery, answer: &TrashPage) -> Sheet {
    let body = if answer.all == 0 {
        empty(
            "The trash is empty",
            html! { "A secret that is deleted stays here for 30 days: nobody reads it, and it can come back." },
            None,
        )
    } else {
        html! {
            form.toolbar method="get" action=(visit.href("trash")) data-filter="trashed" role="search" {
                (field("q", "Search", None, html! { input #q type="search" name="q" value=[query.q.as_deref()] maxlength="200" autocomplete="off" placeholder="Secret or project"; }))
                button { "Search" }
            }
            div #trashed {
                @if answer.rows.is_empty() { p { "Nothing of that name." } } @else { (table(visit, &answer.rows)) }
                (pages(answer.page, ROWS, answer.total, |page| {
                    address(visit, "trash", &TrashQuery { page: Some(page), ..query.clone() })
                }))
            }
        }
    };
    let actions = visit.may(SecretsRead).then(|| html! { a.button href=(visit.href("secrets")) { "Secrets" } });
    let sheet = Sheet::new(Section::Secrets, "Trash", body);
    match actions {
        Some(actions) => sheet.actions(actions),
        None => sheet,
    }
}

fn table(visit: &Visit, rows: &[TrashedSecret]) -> Markup {
    let may = visit.may(TrashWrite);
    html! {
        (data_table(
            Called::As("Secrets in the trash"),
            html! {
                th scope="col" { "Name" } th scope="col" { "Project" } th.number scope="col" { "Version" }
                th scope="col" { "Deleted" } th scope="col" { "Gone for good" }
                @if may { th scope="col" { span.hidden { "What to do" } } }
            },
            html! {
                @for it in rows {
                    tr {
                        th scope="row" {
                            (it.name)
                            @if let Some(object) = &it.managed_by { " " (managed::mark(object)) }
                            @if it.kind == SecretType::Canary { " " (pill(Tone::Warn, "canary")) }
                        }
                        td { (it.project_name) }
                        td.number { (it.version) }
                        td { (time(it.deleted_at)) }
                        td { (time(it.purged_at)) }
                        @if may {
                            td {
                                div.actions {
                                    form.inline method="post" action=(visit.href(&format!("trash/{}/restore", it.id))) {
                                        button { "Restore" span.hidden { " " (it.name) } }
                                    }
                                    a.button.danger href=(visit.href(&format!("trash/{}/purge", it.id))) { "Purge" span.hidden { " " (it.name) } }
                                }
                            }
                        }
                    }
                }
            },
        ))
    }
}

fn purging(visit: &Visit, _: &Nothing, it: &TrashedSecret) -> Sheet {
    let body = html! {
        section.card {
            p { strong { (it.name) } " of project " (it.project_name) " is gone for good when you purge it, with its " (it.version) " versions. Nothing brings it back." }
            form.stack method="post" action=(visit.href(&format!("trash/{}/purge", it.id))) {
                (field("name", "Its name, to confirm", None, html! { input #name name="name" required maxlength="255" autocomplete="off" spellcheck="false"; }))
                div.actions {
                    button.danger { "Purge" }
                    a.button href=(visit.href("trash")) { "Keep it" }
                }
            }
        }
    };
    Sheet::new(Section::Secrets, format!("Purge {}", it.name), body)
}
