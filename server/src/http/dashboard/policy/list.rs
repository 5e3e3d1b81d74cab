//! The table of a vault's policies.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::management::Scope::PoliciesWrite;

use super::super::element::{Called, Tone, address, data_table, empty, field, pages, pill};
use super::super::managed;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::{axes, one, stands, tabs};
use crate::usecase::management::policy::shown::{Asked, PAGE, Policies, Row, Sort};

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Query {
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<By>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Name,
    Project,
    Secrets,
    Denials,
}

impl Query {
    pub(super) fn asked(self) -> Asked {
        let sort = match self.sort {
            None | Some(By::Name) => Sort::Name,
            Some(By::Project) => Sort::Project,
            Some(By::Secrets) => Sort::Secrets,
            Some(By::Denials) => Sort::Denials,
        };
        Asked { text: self.q.unwrap_or_default(), project: self.project, sort, page: self.page.unwrap_or(1) }
    }
}

/// The page.
pub(super) fn page(visit: &Visit, query: &Query, found: &Policies) -> Sheet {
    let body = html! {
        (tabs(visit, "policies", found.waiting))
        @if found.all > 0 { (toolbar(visit, query, found)) }
        div #list {
            @if found.all == 0 { (nothing_yet(visit)) }
            @else if found.rows.is_empty() { (nothing_found(visit)) }
            @else { (rows(visit, query, found)) }
        }
    };
    let sheet = Sheet::new(Section::Policies, "Access policies", body);
    if visit.may(PoliciesWrite) { sheet.actions(new_policy(visit)) } else { sheet }
}

fn new_policy(visit: &Visit) -> Markup {
    html! { a.button.primary href=(visit.href("policies/new")) { "New policy" } }
}

fn nothing_yet(visit: &Visit) -> Markup {
    let text = html! {
        "A policy says when, from where, how often and with whose consent a secret may be read. "
        "Write one, then let it guard secrets of its project."
    };
    empty("No access policies yet", text, visit.may(PoliciesWrite).then(|| new_policy(visit)))
}

fn nothing_found(visit: &Visit) -> Markup {
    let all = html! { a.button href=(visit.href("policies")) { "Show all policies" } };
    empty("No policy is like that", html! { "Search for a part of its name, or choose another project." }, Some(all))
}

fn toolbar(visit: &Visit, query: &Query, found: &Policies) -> Markup {
    html! {
        form.toolbar role="search" method="get" action=(visit.href("policies")) data-filter="list" {
            (field("q", "Search", None, html! {
                input #q type="search" name="q" value=[query.q.as_deref()] maxlength="200" autocomplete="off" spellcheck="false" placeholder="Name, what it is for";
            }))
            (field("project", "Project", None, html! {
                select #project name="project" {
                    option value="" { "All" }
                    @for (id, name) in found.projects.iter().take(500) {
                        option value=(id) selected[query.project.as_deref() == Some(id.as_str())] { (name) }
                    }
                }
            }))
            @if let Some(sort) = query.sort { input type="hidden" name="sort" value=(word(sort)); }
            button { "Search" }
        }
    }
}

fn rows(visit: &Visit, query: &Query, found: &Policies) -> Markup {
    html! {
        (data_table(
            Called::As("Access policies"),
            html! {
                (head(visit, query, By::Name, "Name"))
                (head(visit, query, By::Project, "Project"))
                th scope="col" { "Reads are allowed" }
                (head(visit, query, By::Secrets, "Secrets"))
                th scope="col" { "Now" }
                (head(visit, query, By::Denials, "Denied in 24 h"))
            },
            html! { @for it in &found.rows { (row(visit, it)) } },
        ))
        (pages(found.page, PAGE, found.total, |page| href(visit, &Query { page: Some(page), ..query.clone() })))
    }
}

fn head(visit: &Visit, query: &Query, by: By, name: &str) -> Markup {
    let is_by_it = query.sort.unwrap_or(By::Name) == by;
    let is_number = matches!(by, By::Secrets | By::Denials);
    let says = is_by_it.then_some(if is_number { "descending" } else { "ascending" });
    let to = href(visit, &Query { sort: Some(by), page: None, ..query.clone() });
    html! { th scope="col" .number[is_number] aria-sort=[says] { a.sort href=(to) { (name) } } }
}

fn row(visit: &Visit, it: &Row) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(one(visit, &it.id)) { (it.name) }
                @if let Some(object) = &it.managed_by { " " (managed::mark(object)) }
                @if it.protected { " " (pill(Tone::Plain, "protected")) }
                @if !it.description.is_empty() { span.sub { (it.description) } }
            }
            td { (it.project_name) }
            td { (axes(&it.words)) }
            td.number { (it.secrets) }
            td { (stands(it)) }
            td.number { (it.denied_lately) }
        }
    }
}

fn word(by: By) -> &'static str {
    match by {
        By::Name => "name",
        By::Project => "project",
        By::Secrets => "secrets",
        By::Denials => "denials",
    }
}

fn href(visit: &Visit, query: &Query) -> String {
    address(visit, "policies", query)
}
