//! One machine or fleet.

use maud::{Markup, html};
use sikkerkey_protocol::management::MachineDetail;
use sikkerkey_protocol::management::Scope::{AuditRead, MachinesWrite, MembersRead, MembersWrite};

use super::super::element::{Called, Tone, button, data_table, facts, pill, time, time_or};
use super::super::managed;
use super::super::page::Nothing;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::{ask, list, settings};
use crate::usecase::machine::status::{Sort, Status};
use crate::usecase::management::machine::portrait::{GRANTS, Granted, PODS, Portrait};

/// Projects that it is in that are named.
const PROJECTS: usize = 50;

/// The page.
pub(super) fn page(visit: &Visit, _: &Nothing, it: &Portrait) -> Sheet {
    let may = visit.may(MachinesWrite);
    let row = &it.row.row;
    let body = html! {
        @if it.row.waits && may { (ask::card(visit, &it.row)) }
        (locks(it))
        section.card {
            h2 { "Facts" }
            (known(visit, it))
        }
        (granted(visit, it))
        @if it.row.sort == Sort::Fleet { (machines(visit, it)) }
        (last(visit, it))
        @if let Some(object) = &row.managed_by { (managed::notice(object, &manifest(object, &it.detail))) }
        (settings::cards(visit, it))
    };
    let sort = if it.row.sort == Sort::Fleet { "Fleet" } else { "Machine" };
    let sheet = Sheet::new(Section::Machines, format!("{sort} {}", row.name), body);
    if may { sheet.actions(actions(visit, it)) } else { sheet }
}

fn actions(visit: &Visit, it: &Portrait) -> Markup {
    let row = &it.row.row;
    let to = |end: &str| visit.href(&format!("machines/{}/{end}", row.id));
    let is_own = row.managed_by.is_none();
    html! {
        @if is_own && !it.row.waits {
            @if row.enabled { (button(&to("disable"), "", "Disable")) } @else { (button(&to("enable"), "", "Enable")) }
        }
        @if it.row.sort == Sort::Fleet && it.row.status == Status::Denied {
            a.button href=(to("approve")) { "Approve…" }
        } @else if !it.row.waits {
            a.button.danger href=(to("revoke")) { @if it.row.sort == Sort::Fleet { "Deny…" } @else { "Revoke…" } }
        }
    }
}

fn locks(it: &Portrait) -> Markup {
    html! {
        @if !it.locks.is_empty() {
            div.notice.bad {
                p {
                    strong { "Locked out. " }
                    "Requests failed to authenticate as this machine too often:"
                }
                ul {
                    @for (address, until) in &it.locks {
                        li {
                            @match address {
                                Some(address) => { "from " code { (address) } }
                                None => "from every address that it never came from"
                            }
                            ", until " (time(*until))
                        }
                    }
                }
                p { "If it is the machine itself, look at its clock and its key. Whoever runs the server ends a lock with "
                    code { "sikkerkey-server admin unlock --machine " (it.row.row.id) } "." }
            }
        }
    }
}

fn known(visit: &Visit, it: &Portrait) -> Markup {
    let (row, detail) = (&it.row.row, &it.detail);
    let mut known: Vec<(&str, Markup)> = vec![
        ("Status", list::status(&it.row)),
        ("Kind", html! { (list::sort(it.row.sort)) }),
        ("Id", html! { code { (row.id) } }),
    ];
    if let Some(key) = &row.fingerprint {
        known.push(("Fingerprint of its key", html! { code { (key) } }));
    }
    known.push(("Last seen", time_or(row.last_seen, "never")));
    known.push(("Address", html! { @match row.address { Some(it) => code { (it) }, None => span.quiet { "–" } } }));
    if let Some(os) = &row.os {
        known.push(("Operating system", html! { (os) }));
    }
    if let Some(name) = &row.hostname {
        known.push(("Host name", html! { (name) }));
    }
    if let Some(first) = &detail.first_contact {
        known.push(("Registered", html! { (time(first.at)) " from " code { (first.address) } }));
    } else if let Some(at) = row.created_at {
        known.push(("Registered", time(at)));
    }
    if let Some(end) = row.expires_at {
        known.push(("Ends", time(end)));
    } else if let Some(seconds) = it.lifetime_seconds {
        known.push(("Lasts", html! { (lasts(seconds)) " from its approval on" }));
    }
    if row.approval == sikkerkey_protocol::kubernetes::Approval::Approved && it.row.sort != Sort::Fleet {
        let by = if detail.approved_by_person { "a person, who approved this key" } else { "what let it in" };
        known.push(("Approved by", html! { (by) }));
    }
    if let Some(token) = &detail.enrollment_token_id {
        let to = visit.href(&format!("enrolment/{token}"));
        known.push(("Let in by", html! { a href=(to) { "enrolment token" } }));
    }
    if let (Some(object), Some(id)) = (&it.fleet, &row.fleet_id) {
        let to = visit.href(&format!("machines/{id}"));
        known.push(("Belongs to", html! { a href=(to) { (object) } }));
    }
    if let Some(pod) = &detail.pod {
        known.push(("Pod", html! { (pod.namespace) "/" (pod.name) }));
        known.push(("Node", html! { (pod.node) }));
        known.push(("Service account", html! { (pod.service_account) }));
        known.push(("Cluster", html! { (pod.cluster) }));
        known.push(("Pod’s uid", html! { code { (pod.uid) } }));
    }
    known.push(("Projects", html! {
        @let count = if detail.memberships.is_empty() { it.row.projects.len() } else { detail.memberships.len() };
        @if count == 0 { span.quiet { "none" } }
        @if detail.memberships.is_empty() {
            @for (index, name) in it.row.projects.iter().take(PROJECTS).enumerate() { @if index > 0 { ", " } (name) }
        }
        @for (index, of) in detail.memberships.iter().take(PROJECTS).enumerate() { @if index > 0 { ", " } a href=(visit.href(&format!("projects/{}", of.project_id))) { (of.project_name) } }
        @if count > PROJECTS { " and " (count - PROJECTS) " more" }
    }));
    facts(&known)
}

/// A length of time in the largest unit that it is a whole number of.
pub(in super::super) fn lasts(seconds: u64) -> String {
    let units = [(24 * 3600, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "second"));
    let count = seconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

fn granted(visit: &Visit, it: &Portrait) -> Markup {
    let (rows, count) = &it.grants;
    let access = visit.href(&format!("machines/{}/access", it.row.row.id));
    html! {
        section aria-labelledby="grants" {
            div.section-head {
                h2 #grants { "What it may read" }
                @if visit.may(MembersWrite) && it.row.row.managed_by.is_none() {
                    a.button href=(access) { "Configure access" }
                }
            }
            @if rows.is_empty() {
                div.card.quiet { "Nothing yet: no secret is granted to it." }
            } @else {
                (data_table(
                    Called::By("grants"),
                    html! {
                        th scope="col" { "Secret" } th scope="col" { "Project" } th scope="col" { "Until" }
                        th.number scope="col" { "Reads" } th scope="col" { "Last read" } th.number scope="col" { "Denied" }
                        th scope="col" { "Last denied" } th.number scope="col" { "Version" }
                    },
                    html! { @for grant in rows { (grant_row(visit, grant)) } },
                ))
                @if *count > GRANTS {
                    @let more = format!("and {} more", count - GRANTS);
                    p { @if visit.may(MembersRead) { a href=(access) { (more) } } @else { (more) } }
                }
            }
        }
    }
}

fn grant_row(visit: &Visit, it: &Granted) -> Markup {
    let has_ended = it.until.is_some_and(|end| end <= visit.now.0);
    html! {
        tr {
            th scope="row" {
                a href=(visit.href(&format!("secrets/{}", it.secret))) { (it.name) }
                @for object in &it.managed_by { " " (managed::mark(object)) }
            }
            td { (it.project_name) }
            td {
                @if has_ended { (pill(Tone::Plain, "ended")) " " }
                (time_or(it.until, "without end"))
            }
            td.number { (it.usage.reads) }
            td { (time_or(it.usage.last_read, "never")) }
            td.number { (it.usage.denied) }
            td {
                @match &it.usage.last_denied {
                    Some(last) => { (time(last.time)) span.sub { (last.message) } }
                    None => span.quiet { "never" }
                }
            }
            td.number {
                @match it.version.0 { Some(has) => { (has) " of " (it.version.1) }, None => { (it.version.1) } }
            }
        }
    }
}

fn machines(visit: &Visit, it: &Portrait) -> Markup {
    let (rows, count) = &it.machines;
    html! {
        section aria-labelledby="machines" {
            div.section-head {
                h2 #machines { "Its machines" }
                @if *count > PODS {
                    a.button href={ (visit.href("machines")) "?fleet=" (it.row.row.id) } { "All " (count) }
                }
            }
            @if rows.is_empty() { div.card.quiet { "None is there just now." } }
            @else { (list::plain_rows(visit, "Its machines", rows)) }
        }
    }
}

fn last(visit: &Visit, it: &Portrait) -> Markup {
    if !visit.may(AuditRead) {
        return html! {};
    }
    let all = format!("{}?q={}", visit.href("audit"), it.row.row.id);
    html! {
        section aria-labelledby="last" {
            div.section-head {
                h2 #last { "Last reads and denials" }
                a.button href=(all) { "All in the audit" }
            }
            @match &it.last {
                None => div.card.quiet { "The audit is being looked through for you in another window: open this page again." },
                Some(last) if last.entries.is_empty() => div.card.quiet {
                    @if last.is_cut { "None lately. The audit has what is older." } @else { "It has read nothing yet." }
                },
                Some(last) => { (data_table(
                    Called::By("last"),
                    html! { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Secret" } th scope="col" { "From" } th scope="col" { "Detail" } },
                    html! {
                        @for entry in &last.entries {
                            tr {
                                td { a href=(visit.href(&format!("audit/{}", entry.id))) { (time(entry.timestamp)) } }
                                td {
                                    @match entry.reason {
                                        Some(reason) => (pill(Tone::Bad, reason.as_str())),
                                        None => (pill(Tone::Good, "read")),
                                    }
                                }
                                td {
                                    @if let Some(id) = &entry.secret_id {
                                        @match last.secrets.get(id) {
                                            Some(name) => a href=(visit.href(&format!("secrets/{id}"))) { (name) },
                                            None => code { (id) },
                                        }
                                    }
                                }
                                td { @if let Some(address) = entry.source_ip { code.address { (address) } } }
                                td { (entry.reason_text.as_deref().unwrap_or(&entry.detail)) }
                            }
                        }
                    },
                )) },
            }
        }
    }
}

/// What to write in its object: what this page shows of it.
fn manifest(object: &str, detail: &MachineDetail) -> String {
    let suspend = if detail.machine.enabled { "false" } else { "true" };
    managed::manifest(object, &[("suspend", suspend)])
}
