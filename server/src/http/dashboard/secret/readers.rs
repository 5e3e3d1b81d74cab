//! Who can read a secret, and who did.

use maud::{Markup, html};

use super::super::access::notes;
use super::super::element::{Called, Tone, data_table, empty, pill, time, time_or};
use super::super::visit::Visit;
use crate::usecase::management::secret::dossier::{Activity, Dossier};

/// Who is granted it.
pub(super) fn who_can(visit: &Visit, it: &Dossier) -> Markup {
    let Some(readers) = &it.readers else { return html! {} };
    let access = visit.href(&format!("secrets/{}/access", it.view.id));
    html! {
        section.card {
            h2 #readers { "Who can read it" }
            @if readers.is_empty() {
                (empty("No machine yet", html! { "Nobody reads a secret that is not granted to him." }, Some(html! { a.button href=(access) { "Configure access" } })))
            } @else {
                (data_table(
                    Called::By("readers"),
                    html! { th scope="col" { "Machine" } th.number scope="col" { "Reads" } th scope="col" { "Last read" } th.number scope="col" { "Denied" } th scope="col" { "Last denial" } },
                    html! {
                        @for reader in readers {
                            tr {
                                th scope="row" { a href=(visit.href(&format!("machines/{}", reader.who.id))) { (reader.who.name) } (notes(&reader.notes)) }
                                td.number { (reader.reads) }
                                td { (time_or(reader.last_read, "never")) }
                                td.number { (reader.denied) }
                                td { @match reader.last_denied { None => span.quiet { "never" }, Some((at, why)) => { (time(at)) br; span.quiet { (why) } } } }
                            }
                        }
                    },
                ))
                @if it.reader_count > readers.len() {
                    p { (it.reader_count - readers.len()) " more: " a href=(access) { "all of them" } "." }
                }
            }
        }
    }
}

/// The last reads and denials.
pub(super) fn who_did(visit: &Visit, it: &Dossier) -> Markup {
    let Some(activity) = &it.activity else { return html! {} };
    let (rows, back_to) = match activity {
        Activity::Found(rows, back_to) => (rows, back_to),
        Activity::Busy(why) => {
            return html! { section.card { h2 { "Last reads and denials" } p.notice.warn { "Not looked for just now: " (why) "." } } };
        }
    };
    html! {
        section.card {
            h2 #reads { "Last reads and denials" }
            @if rows.is_empty() { p.quiet { "None." } }
            @else {
                (data_table(
                    Called::By("reads"),
                    html! { th scope="col" { "When" } th scope="col" { "Machine" } th scope="col" { "From" } th scope="col" { "What" } },
                    html! {
                        @for (name, row) in rows {
                            tr {
                                td { (time(row.timestamp)) }
                                td {
                                    @match (&row.machine_id, name) {
                                        (Some(id), Some(name)) => a href=(visit.href(&format!("machines/{id}"))) { (name) },
                                        (Some(id), None) => { code { (id) } " " span.quiet { "(gone)" } },
                                        (None, _) => "–",
                                    }
                                }
                                td { @if let Some(address) = row.source_ip { code { (address) } } @else { "–" } }
                                td {
                                    @if row.action == "secret_read" { (pill(Tone::Good, "read")) }
                                    @else { (pill(Tone::Bad, "denied")) " " (row.reason_text.as_deref().unwrap_or_default()) }
                                }
                            }
                        }
                    },
                ))
            }
            @if let Some(at) = back_to { p.quiet { "Looked back to " (time(*at)) ". The audit holds what was before." } }
        }
    }
}
