//! The rows, the newest first.

use maud::{Markup, html};
use sikkerkey_protocol::management::{ActorKind, AuditEntry, AuditPage, Next, Severity};

use super::super::element::{Called, Tone, data_table, empty, field, pill, time};
use super::super::refused::sentence;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::question::Question;
use super::tabs;
use crate::audit::entry::Action;
use crate::audit::words;
use crate::usecase::audit::By;
use crate::usecase::management::audit::browse::Browsed;
use crate::usecase::management::audit::names::Names;

/// How often the newest rows are asked for again, in seconds.
const LIVE: u32 = 5;
/// The longest detail in a row, in characters: all of it is on the row's own page.
const DETAIL: usize = 160;

/// The page.
pub(super) fn page(visit: &Visit, question: &Question, browsed: &Browsed) -> Sheet {
    // What lies further back does not change.
    let is_newest = question.before.is_none() && question.after.is_none() && question.to.is_none();
    let body = html! {
        (tabs(visit, "audit"))
        (form(visit, question))
        div #found data-live=[is_newest.then_some(LIVE)] {
            @match &browsed.page {
                Ok(page) => (found(visit, question, page, &browsed.names)),
                Err(wrong) => p.notice.bad role="alert" { (sentence(wrong)) },
            }
        }
    };
    Sheet::new(Section::Audit, "Audit", body)
}

fn found(visit: &Visit, question: &Question, page: &AuditPage, names: &Names) -> Markup {
    html! {
        @if page.entries.is_empty() { (nothing(visit, question, page)) } @else { (table(visit, &page.entries, names)) }
        (walk(visit, question, page))
    }
}

fn nothing(visit: &Visit, question: &Question, page: &AuditPage) -> Markup {
    if question.is_open() {
        let text = html! { "Every read, every denial and every change of this vault is written here. Add a machine and let it read a secret." };
        return empty("Nothing is written down yet", text, None);
    }
    let text = html! {
        @if let Some(at) = page.looked_back_to {
            (page.looked_at) " rows were looked through, back to " (time(at)) ", and none of them is what you look for. Go on further back, or ask for less."
        } @else { "No row is what you look for. Take something out of the question." }
    };
    let all = html! { a.button href=(visit.href("audit")) { "All rows" } };
    empty("No row found", text, Some(all))
}

fn table(visit: &Visit, entries: &[AuditEntry], names: &Names) -> Markup {
    html! {
        (data_table(
            Called::As("Rows of the audit"),
            html! { th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "From" } th scope="col" { "Outcome" } },
            html! { @for it in entries { (row(visit, it, names)) } },
        ))
    }
}

fn row(visit: &Visit, entry: &AuditEntry, names: &Names) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(visit.href(&format!("audit/{}", entry.id))) { (time(entry.timestamp)) } }
            td { (who(visit, entry, names)) }
            td { (what(visit, entry, names)) (more(entry)) }
            td.mono { @match entry.source_ip { Some(it) => (it), None => span.quiet { "–" } } }
            td { (ending(entry)) }
        }
    }
}

/// Whoever did it, with a link where there is a page.
pub(super) fn who(visit: &Visit, entry: &AuditEntry, names: &Names) -> Markup {
    let asked = |question: Question| visit.href(&format!("audit{}", question.query()));
    html! {
        @match entry.actor_kind {
            ActorKind::Machine => {
                @match &entry.machine_id {
                    Some(id) => (machine(visit, id.as_str(), names.machines.get(id))),
                    None => "a machine",
                }
            }
            ActorKind::AiAgent => {
                @match &entry.ai_agent_id {
                    Some(id) => {
                        a href=(asked(Question { who: Some(id.to_string()), ..Question::default() })) title="What this agent did" {
                            @match names.agents.get(id) { Some(name) => (name), None => (id) }
                        }
                        " " span.quiet { "agent" }
                    }
                    None => "an agent",
                }
            }
            ActorKind::User => {
                @match entry.user_id.as_ref().map(|id| (id, names.people.get(id))) {
                    Some((_, Some(email))) => a href=(asked(Question { who: Some(email.clone()), ..Question::default() })) title="What this person did" { (email) },
                    Some((id, None)) => { "an account that is gone " span.quiet { (id) } },
                    None => { "whoever runs the server " span.quiet { "command line" } },
                }
            }
            ActorKind::System => "the server itself",
            ActorKind::External => "nobody known",
        }
    }
}

/// What was done, in words, and to what.
pub(super) fn what(visit: &Visit, entry: &AuditEntry, names: &Names) -> Markup {
    let is_by_machine = entry.actor_kind == ActorKind::Machine;
    html! {
        (phrase(entry))
        @if let Some(id) = &entry.secret_id { " " (secret(visit, id.as_str(), names.secrets.get(id))) }
        @if let Some(id) = entry.machine_id.as_ref().filter(|_| !is_by_machine) { " " (machine(visit, id.as_str(), names.machines.get(id))) }
        @if let Some((id, name)) = entry.project_id.as_ref().and_then(|id| Some((id, names.projects.get(id)?))) {
            " " span.quiet { "in " a href=(visit.href(&format!("projects/{id}"))) { (name) } }
        }
    }
}

/// What else is known: why it was denied, and the detail.
fn more(entry: &AuditEntry) -> Markup {
    let is_look = Action::named(&entry.action) == Some(Action::ManagementRead);
    html! {
        @if let Some(text) = &entry.reason_text { ": " (text) }
        // Somebody looked at something: it is the detail that says at what.
        @if is_look { " " (short(&entry.detail)) } @else if !entry.detail.is_empty() { br; span.quiet { (short(&entry.detail)) } }
    }
}

/// How it ended, and why.
pub(super) fn outcome(entry: &AuditEntry) -> Markup {
    html! {
        (ending(entry))
        @if let Some(text) = &entry.reason_text { br; span.quiet { (text) } }
    }
}

fn ending(entry: &AuditEntry) -> Markup {
    let (tone, word) = match (entry.reason, Action::named(&entry.action)) {
        (Some(_), _) => (Tone::Bad, "denied"),
        (None, Some(Action::SecretReadDenied | Action::ManagementDenied | Action::VoucherRefused)) => {
            (Tone::Bad, "denied")
        }
        (None, Some(Action::AuthFailure | Action::AccountLoginRefused | Action::LockoutStart)) => {
            (Tone::Bad, "refused")
        }
        (None, Some(Action::CanaryTriggered)) => (Tone::Bad, "alarm"),
        _ if entry.severity >= Severity::High => (Tone::Warn, "done"),
        _ => (Tone::Plain, "done"),
    };
    pill(tone, word)
}

fn phrase(entry: &AuditEntry) -> String {
    // One of a newer server has its name at least.
    Action::named(&entry.action).map_or_else(|| entry.action.replace('_', " "), |it| words::action(it).to_owned())
}

fn machine(visit: &Visit, id: &str, name: Option<&String>) -> Markup {
    html! {
        @match name {
            Some(name) => a href=(visit.href(&format!("machines/{id}"))) { (name) },
            None => span.mono title="This machine is gone" { (id) },
        }
    }
}

fn secret(visit: &Visit, id: &str, name: Option<&(String, bool)>) -> Markup {
    html! {
        @match name {
            Some((name, true)) => a href=(visit.href(&format!("secrets/{id}"))) { (name) },
            Some((name, false)) => span title="This secret is in the trash, or its object is gone" { (name) },
            None => span.mono title="This secret is gone" { (id) },
        }
    }
}

/// Where to go on, and what can be done with what was found.
fn walk(visit: &Visit, question: &Question, page: &AuditPage) -> Markup {
    let to = |before, after| visit.href(&format!("audit{}", question.moved(before, after).query()));
    let (first, last) = (page.entries.first().map(|it| it.id), page.entries.last().map(|it| it.id));
    let is_moved = question.before.is_some() || question.after.is_some();
    let newer = match (question.after, page.next) {
        // Upwards it goes on where the answer says.
        (Some(_), Some(Next::After(seq))) => Some(seq),
        (Some(_), _) => None,
        (None, _) => first.or(question.before.map(|it| it.saturating_sub(1))).filter(|_| is_moved),
    };
    let older = match (question.after, page.next) {
        (Some(after), _) => Some(last.unwrap_or(after.saturating_add(1))),
        (None, Some(Next::Before(seq))) => Some(seq),
        (None, _) => None,
    };
    let file = format!("audit/file{}", question.moved(question.before, None).query());
    html! {
        nav.pages aria-label="Pages" {
            @if is_moved { a href=(to(None, None)) { "Newest" } }
            @if let Some(seq) = newer { a rel="prev" href=(to(None, Some(seq))) { "Newer" } }
            @if let Some(seq) = older { a rel="next" href=(to(Some(seq), None)) { @if page.looked_back_to.is_some() && page.entries.is_empty() { "Go on further back" } @else { "Older" } } }
            @if !page.entries.is_empty() { a href=(visit.href(&file)) { "Take these rows as a file" } }
            @if let Some(at) = page.looked_back_to.filter(|_| !page.entries.is_empty()) { span.quiet { "looked back to " (time(at)) } }
        }
    }
}

fn form(visit: &Visit, question: &Question) -> Markup {
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    html! {
        form.filters method="get" action=(visit.href("audit")) data-filter="found" {
            input type="hidden" name="zone" data-zone;
            div.toolbar {
                (field("q", "Search", None, html! { input #q type="search" name="q" maxlength="200" value=(text(&question.q)) placeholder="detail, id or reason"; }))
                (field("action", "Action", None, actions(question)))
                (field("from", "From", None, html! { input #from name="from" maxlength="64" size="12" value=(text(&question.from)) placeholder="yesterday" aria-describedby="when"; }))
                (field("to", "To", None, html! { input #to name="to" maxlength="64" size="12" value=(text(&question.to)) placeholder="now" aria-describedby="when"; }))
                button { "Look" }
                a href=(visit.href("audit")) { "All rows" }
            }
            details open[question.is_further()] {
                summary { "More: severity, who, machine, secret, project, address" }
                div.toolbar {
                    (field("severity", "Severity", None, severities(question)))
                    (field("by", "Done by", None, kinds(question)))
                    (field("who", "Person or agent", None, html! { input #who name="who" maxlength="200" size="18" value=(text(&question.who)) placeholder="e-mail or name"; }))
                    (field("machine", "Machine", None, html! { input #machine name="machine" maxlength="200" size="16" value=(text(&question.machine)) placeholder="name or id"; }))
                    (field("secret", "Secret", None, html! { input #secret name="secret" maxlength="200" size="16" value=(text(&question.secret)) placeholder="name or id"; }))
                    (field("project", "Project", None, html! { input #project name="project" maxlength="200" size="12" value=(text(&question.project)) placeholder="name or id"; }))
                    (field("address", "Address", None, html! { input #address name="address" maxlength="45" size="15" value=(text(&question.address)) placeholder="192.0.2.7"; }))
                }
            }
            p.help #when { "Times: 2026-03-04, 2026-03-04 14:30, 14:30, today, yesterday, 3 hours ago; in your browser's zone, or in UTC without scripts." }
        }
    }
}

fn actions(question: &Question) -> Markup {
    let mut all: Vec<(&str, String)> = Action::all().iter().map(|it| (words::action(*it), it.name())).collect();
    all.sort_unstable();
    html! {
        select #action name="action" {
            option value="" { "Any" }
            @for (words, name) in all { option value=(name) selected[question.action.contains(&name)] { (words) } }
        }
    }
}

fn severities(question: &Question) -> Markup {
    html! {
        select #severity name="severity" {
            option value="" { "Any" }
            @for it in Severity::ALL.into_iter().skip(1) {
                option value=(it.as_str()) selected[question.severity == Some(it)] { (it.as_str()) @if it != Severity::Critical { " or more" } }
            }
        }
    }
}

fn kinds(question: &Question) -> Markup {
    let name = |it| match it {
        By::Person => ("person", "a person"),
        By::Administrator => ("administrator", "whoever runs the server"),
        By::Machine => ("machine", "a machine"),
        By::Agent => ("agent", "an agent"),
        By::System => ("system", "the server itself"),
        By::Anonymous => ("anonymous", "nobody known"),
    };
    html! {
        select #by name="by" {
            option value="" { "Anybody" }
            @for it in By::ALL { @let (value, words) = name(it); option value=(value) selected[question.by == Some(it)] { (words) } }
        }
    }
}

fn short(detail: &str) -> String {
    let mut text: String = detail.chars().take(DETAIL).collect();
    if text.len() < detail.len() {
        text.push('…');
    }
    text
}
