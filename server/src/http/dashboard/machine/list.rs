//! The table of a vault's machines.

use maud::{Markup, html};
use sikkerkey_protocol::management::Scope::{EnrolmentRead, MachinesWrite};
use sikkerkey_protocol::management::SortDirection;

use super::super::element::{Called, Tone, address, data_table, empty, field, pages, pill, time, time_or};
use super::super::managed;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::ask;
use crate::usecase::machine::status::{Sort, Status};
use crate::usecase::management::machine::table::{Column, PAGE_SIZE, Table, TableRow, Wanted};

const COLUMNS: [(Column, &str); 8] = [
    (Column::Name, "Name"),
    (Column::Status, "Status"),
    (Column::Kind, "Kind"),
    (Column::Address, "Address"),
    (Column::Secrets, "Secrets"),
    (Column::LastSeen, "Last seen"),
    (Column::Project, "Project"),
    (Column::Node, "Pod and node"),
];

/// The page.
pub(super) fn page(visit: &Visit, wanted: &Wanted, table: &Table) -> Sheet {
    let body = html! {
        (tabs(visit, "machines"))
        p #waiting.hidden role="status" data-live="5" { (waiting(table.waiting)) }
        @if table.all > 0 { (toolbar(visit, wanted, table)) }
        div #list data-live="5" {
            @if table.all == 0 { (nothing_yet(visit)) }
            @else if table.rows.is_empty() { (nothing_found(visit)) }
            @else { (rows(visit, wanted, table)) }
        }
    };
    let sheet = Sheet::new(Section::Machines, "Machines", body);
    if visit.may(MachinesWrite) { sheet.actions(new_machine(visit)) } else { sheet }
}

/// Links between the pages about who is a machine.
pub(in super::super) fn tabs(visit: &Visit, here: &str) -> Markup {
    let all = [("machines", "Machines"), ("enrolment", "Enrolment tokens")];
    html! {
        @if visit.may(EnrolmentRead) {
            nav aria-label="Machines" {
                ul.tabs {
                    @for (end, name) in all {
                        li { a href=(visit.href(end)) aria-current=[(end == here).then_some("page")] { (name) } }
                    }
                }
            }
        }
    }
}

/// How a machine stands.
pub(super) fn status(row: &TableRow) -> Markup {
    let (tone, word) = match row.status {
        Status::Pending => (Tone::Warn, "pending"),
        Status::Approved => (Tone::Good, "approved"),
        Status::Disabled => (Tone::Plain, "disabled"),
        Status::Expired => (Tone::Plain, "expired"),
        Status::LockedOut => (Tone::Bad, "locked out"),
        Status::Denied => (Tone::Bad, "denied"),
    };
    pill(tone, word)
}

/// The words for a sort of machine.
pub(super) fn sort(sort: Sort) -> &'static str {
    match sort {
        Sort::Standard => "permanent",
        Sort::Temporary => "temporary",
        Sort::Ephemeral => "by token",
        Sort::Pod => "pod",
        Sort::Fleet => "fleet",
    }
}

/// A table of machines that cannot be sorted: the first of a fleet.
pub(super) fn plain_rows(visit: &Visit, label: &str, machines: &[TableRow]) -> Markup {
    html! {
        (data_table(
            Called::As(label),
            html! { @for (column, name) in COLUMNS { th scope="col" .number[column == Column::Secrets] { (name) } } },
            html! { @for it in machines { (row(visit, it)) } },
        ))
    }
}

fn new_machine(visit: &Visit) -> Markup {
    html! { a.button.primary href=(visit.href("machines/new")) { "New machine" } }
}

fn waiting(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "One machine waits for approval.".to_owned(),
        _ => format!("{count} machines wait for approval."),
    }
}

fn nothing_yet(visit: &Visit) -> Markup {
    let text = html! {
        "A machine is a host, a pod or a job that reads secrets with a key of its own. "
        "A host begins with one command that is typed there, and reads once you have approved its key."
    };
    empty("No machines yet", text, visit.may(MachinesWrite).then(|| new_machine(visit)))
}

fn nothing_found(visit: &Visit) -> Markup {
    let all = html! { a.button href=(visit.href("machines")) { "Show all machines" } };
    empty("No machine is like that", html! { "Search for a part of it, or take a filter away." }, Some(all))
}

fn toolbar(visit: &Visit, wanted: &Wanted, table: &Table) -> Markup {
    let order = wanted.order.map(|it| if it == SortDirection::Desc { "desc" } else { "asc" });
    html! {
        form.toolbar role="search" method="get" action=(visit.href("machines")) data-filter="list" {
            (field("q", "Search", None, html! {
                input #q type="search" name="q" value=[wanted.q.as_deref()] maxlength="200" autocomplete="off" spellcheck="false"
                    placeholder="Name, host, address, pod, fingerprint";
            }))
            (field("status", "Status", None, html! {
                select #status name="status" {
                    option value="" { "All" }
                    @for it in Status::ALL {
                        option value=(it.as_str()) selected[wanted.status == Some(it)] { (it.as_str().replace('-', " ")) }
                    }
                }
            }))
            (field("kind", "Kind", None, html! {
                select #kind name="kind" {
                    option value="" { "All" }
                    @for it in Sort::ALL { option value=(it.as_str()) selected[wanted.kind == Some(it)] { (sort(it)) } }
                }
            }))
            (field("project", "Project", None, html! {
                select #project name="project" {
                    option value="" { "All" }
                    @for (id, name) in &table.projects {
                        option value=(id) selected[wanted.project.as_ref() == Some(id)] { (name) }
                    }
                }
            }))
            @if let Some(fleet) = &wanted.fleet {
                (field("fleet", "Fleet", None, html! {
                    select #fleet name="fleet" {
                        option value="" { "All" }
                        option value=(fleet) selected { (table.fleet.as_deref().unwrap_or("that is gone")) }
                    }
                }))
            }
            @if let Some(column) = wanted.sort { input type="hidden" name="sort" value=(word(column)); }
            @if let Some(order) = order { input type="hidden" name="order" value=(order); }
            button { "Search" }
        }
    }
}

fn rows(visit: &Visit, wanted: &Wanted, table: &Table) -> Markup {
    html! {
        (data_table(
            Called::As("Machines"),
            html! { @for (column, name) in COLUMNS { (head(visit, wanted, column, name)) } },
            html! {
                @for it in &table.rows {
                    (row(visit, it))
                    @if it.waits && visit.may(MachinesWrite) {
                        tr.ask { td colspan=(COLUMNS.len()) { (ask::in_row(visit, it)) } }
                    }
                }
            },
        ))
        (pages(table.page, PAGE_SIZE, table.total, |page| href(visit, &Wanted { page: Some(page), ..wanted.clone() })))
    }
}

fn head(visit: &Visit, wanted: &Wanted, column: Column, name: &str) -> Markup {
    let is_by_it = wanted.sort == Some(column);
    let is_down = wanted.order == Some(SortDirection::Desc);
    // The most and the latest is what one looks for first.
    let first =
        if matches!(column, Column::Secrets | Column::LastSeen) { SortDirection::Desc } else { SortDirection::Asc };
    let next = match (is_by_it, is_down) {
        (false, _) => first,
        (true, true) => SortDirection::Asc,
        (true, false) => SortDirection::Desc,
    };
    let to = Wanted { sort: Some(column), order: Some(next), page: None, ..wanted.clone() };
    let says = is_by_it.then_some(if is_down { "descending" } else { "ascending" });
    html! {
        th scope="col" .number[column == Column::Secrets] aria-sort=[says] {
            a.sort href=(href(visit, &to)) { (name) }
        }
    }
}

fn row(visit: &Visit, it: &TableRow) -> Markup {
    let row = &it.row;
    let hostname = row.hostname.as_deref().filter(|name| *name != row.name);
    html! {
        tr.asks[it.waits && visit.may(MachinesWrite)] {
            th scope="row" {
                a href=(visit.href(&format!("machines/{}", row.id))) { (row.name) }
                @if let Some(object) = &row.managed_by { " " (managed::mark(object)) }
                @if let Some(name) = hostname { span.sub { (name) } }
                @else if let Some(os) = &row.os { span.sub { (os) } }
            }
            td {
                (status(it))
                @if it.status == Status::LockedOut {
                    @if let Some(until) = it.locked_until { span.sub { "until " (time(until)) } }
                } @else if it.sort == Sort::Temporary && it.status == Status::Approved {
                    @if let Some(end) = row.expires_at { span.sub { "until " (time(end)) } }
                }
            }
            td { (sort(it.sort)) }
            td { @match row.address { Some(address) => code.address { (address) }, None => span.quiet { "–" } } }
            td.number { (row.grant_count) }
            td { (time_or(row.last_seen, "never")) }
            td { (projects(&it.projects)) }
            td {
                @match &it.pod {
                    Some(pod) => { (pod.name) span.sub { (pod.node) } }
                    None => span.quiet { "–" }
                }
            }
        }
    }
}

/// The first three of them.
fn projects(names: &[String]) -> Markup {
    let more = names.len().saturating_sub(3);
    html! {
        @if names.is_empty() { span.quiet { "none" } }
        (names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", "))
        @if more > 0 { " and " (more) " more" }
    }
}

fn word(column: Column) -> &'static str {
    match column {
        Column::Name => "name",
        Column::Status => "status",
        Column::Kind => "kind",
        Column::Address => "address",
        Column::Secrets => "secrets",
        Column::LastSeen => "last-seen",
        Column::Project => "project",
        Column::Node => "node",
    }
}

/// The address of this list, asked for something else.
fn href(visit: &Visit, wanted: &Wanted) -> String {
    address(visit, "machines", wanted)
}
