//! The secrets of a vault.

use maud::{Markup, html};
use sikkerkey_protocol::management::Scope::{SecretsWrite, TrashRead};
use sikkerkey_protocol::management::{SecretType, VersionOrigin};

use super::super::element::{Called, Tone, address, data_table, empty, field, pages, pill, time, time_or};
use super::super::managed;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::fields;
use crate::usecase::management::secret::overview::{Only, Overview, ROWS, SecretRow, SecretsQuery, Sort};

/// The sorts to choose from.
const ONLY: [(Only, &str, &str); 5] = [
    (Only::Due, "due", "Rotation due"),
    (Only::Empty, "empty", "Without a value"),
    (Only::Held, "held", "Held after a restore"),
    (Only::Kubernetes, "kubernetes", "Managed by Kubernetes"),
    (Only::Canaries, "canaries", "Canaries"),
];

/// The secrets of a vault.
pub(super) fn list(visit: &Visit, query: &SecretsQuery, answer: &Overview) -> Sheet {
    let actions = html! {
        @if visit.may(TrashRead) { a.button href=(visit.href("trash")) { "Trash" } }
        @if visit.may(SecretsWrite) { a.button.primary href=(visit.href("secrets/new")) { "New secret" } }
    };
    let body = if answer.all == 0 {
        let action =
            visit.may(SecretsWrite).then(|| html! { a.button href=(visit.href("secrets/new")) { "Create a secret" } });
        let text = html! { "A secret is a value that machines read: a password, a key, a certificate. Create one, then say which machines may read it." };
        empty("No secrets yet", text, action)
    } else {
        html! {
            (toolbar(visit, query, answer))
            div #secrets {
                @if answer.rows.is_empty() { p { "Nothing of that kind. Search for less, or " a href=(visit.href("secrets")) { "show all" } "." } }
                @else { (table(visit, query, answer)) }
                (pages(answer.page, ROWS, answer.total, |page| {
                    address(visit, "secrets", &SecretsQuery { page: Some(page), ..query.clone() })
                }))
            }
        }
    };
    Sheet::new(Section::Secrets, "Secrets", body).actions(actions)
}

fn toolbar(visit: &Visit, query: &SecretsQuery, answer: &Overview) -> Markup {
    let policy = query.policy.as_deref();
    html! {
        form.toolbar method="get" action=(visit.href("secrets")) data-filter="secrets" role="search" {
            (field("q", "Search", None, html! { input #q type="search" name="q" value=[query.q.as_deref()] maxlength="200" autocomplete="off" placeholder="Name, note or id"; }))
            (field("project", "Project", None, fields::project("project", &answer.projects, answer.more_projects, query.project.as_deref(), Some("All projects"))))
            (field("policy", "Policy", None, html! {
                select #policy name="policy" {
                    option value="" { "Any or none" }
                    option value="any" selected[policy == Some("any")] { "With a policy" }
                    option value="none" selected[policy == Some("none")] { "Without a policy" }
                    @for name in &answer.policies {
                        @let value = format!("={name}");
                        option value=(value) selected[policy == Some(value.as_str())] { (name) }
                    }
                }
            }))
            (field("only", "Only", None, html! {
                select #only name="only" {
                    option value="" { "All" }
                    @for (only, value, name) in ONLY.iter().filter(|(it, ..)| answer.sees_canaries || *it != Only::Canaries) {
                        option value=(value) selected[query.only == Some(*only)] { (name) }
                    }
                }
            }))
            @if let Some(sort) = query.sort { input type="hidden" name="sort" value=(sort_name(sort)); }
            button { "Search" }
        }
    }
}

/// As it stands in an address.
fn sort_name(sort: Sort) -> String {
    let query = SecretsQuery { sort: Some(sort), ..SecretsQuery::default() };
    let text = serde_html_form::to_string(&query).unwrap_or_default();
    text.strip_prefix("sort=").unwrap_or_default().to_owned()
}

fn table(visit: &Visit, query: &SecretsQuery, answer: &Overview) -> Markup {
    let heading = |name: &str, up: Sort, down: Sort| {
        let now = query.sort.unwrap_or_default();
        let (next, sorted) = match now {
            it if it == up => (down, Some("ascending")),
            it if it == down => (up, Some("descending")),
            _ => (if matches!(up, Sort::Read | Sort::Changed) { down } else { up }, None),
        };
        let href = address(visit, "secrets", &SecretsQuery { sort: Some(next), page: None, ..query.clone() });
        html! { th scope="col" aria-sort=[sorted] { a.sort href=(href) { (name) } } }
    };
    html! {
        (data_table(
            Called::As("Secrets"),
            html! {
                (heading("Name", Sort::Name, Sort::NameDown))
                (heading("Project", Sort::Project, Sort::ProjectDown))
                th scope="col" { "Value" }
                th.number scope="col" { "Version" }
                (heading("Rotation due", Sort::Due, Sort::DueDown))
                th scope="col" { "Policy" }
                th.number scope="col" { "Machines" }
                (heading("Last read", Sort::Read, Sort::ReadDown))
            },
            html! { @for it in &answer.rows { (row(visit, it)) } },
        ))
    }
}

fn row(visit: &Visit, it: &SecretRow) -> Markup {
    let view = &it.view;
    html! {
        tr {
            th scope="row" {
                a href=(visit.href(&format!("secrets/{}", view.id))) { (view.name) }
                @if let Some(object) = &view.managed_by { " " (managed::mark(object)) }
                @if let Some(armed) = it.canary { " " (canary_mark(armed)) }
                @if view.held { " " (pill(Tone::Bad, "held")) }
            }
            td { (it.project) @if it.frozen { " " (pill(Tone::Bad, "frozen")) } }
            td { (kind(view.kind, view.field_names.as_deref(), it.origin, view.version)) }
            td.number { (view.version) }
            td { (due(it.due, visit.now.0)) }
            td {
                @match &view.policy {
                    None => span.quiet { "none" },
                    Some(name) => { (name) @if !it.policy_in_force { " " (pill(Tone::Bad, "not in force")) } },
                }
            }
            td.number { (it.machines) }
            td { (time_or(it.last_read, "never")) }
        }
    }
}

/// The mark of a canary.
pub(super) fn canary_mark(armed: bool) -> Markup {
    if armed { pill(Tone::Warn, "canary") } else { pill(Tone::Plain, "canary, not armed") }
}

/// When the next value is due.
pub(super) fn due(due: Option<i64>, now: i64) -> Markup {
    html! {
        @match due {
            None => span.quiet { "–" },
            Some(at) if at <= now => { (pill(Tone::Warn, "due")) " " (time(at)) },
            Some(at) => (time(at)),
        }
    }
}

fn kind(kind: SecretType, fields: Option<&[String]>, origin: Option<VersionOrigin>, version: u64) -> Markup {
    let from = if version == 0 { "no value yet" } else { origin.map_or("set", origin_name) };
    html! {
        @match fields {
            Some(names) => { (names.len()) @if names.len() == 1 { " field, " } @else { " fields, " } (from) },
            None if kind == SecretType::Canary => "bait",
            None => (from),
        }
    }
}

/// Where a value came from.
pub(super) fn origin_name(origin: VersionOrigin) -> &'static str {
    match origin {
        VersionOrigin::Generated => "generated",
        VersionOrigin::Set => "set",
        VersionOrigin::Sealed => "sealed in its object",
        VersionOrigin::TakenOver => "taken over from a Kubernetes Secret",
        VersionOrigin::RolledBack => "rolled back",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_stands_in_an_address_as_it_is_read_from_there() {
        for sort in [Sort::Name, Sort::NameDown, Sort::Due, Sort::ReadDown, Sort::ChangedDown] {
            let read: SecretsQuery = serde_html_form::from_str(&format!("sort={}", sort_name(sort))).unwrap();
            assert_eq!(read.sort, Some(sort));
        }
    }

    #[test]
    fn what_is_due_is_marked_and_what_comes_is_not() {
        assert!(due(Some(5), 5).into_string().contains("pill warn"));
        assert!(!due(Some(6), 5).into_string().contains("pill"));
        assert_eq!(due(None, 5).into_string(), r#"<span class="quiet">–</span>"#);
    }
}
