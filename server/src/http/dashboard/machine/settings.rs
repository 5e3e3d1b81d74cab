//! What a person changes of a machine: its name, its time, what it has to keep to.

use maud::{Markup, html};
use sikkerkey_protocol::management::Guardrails;
use sikkerkey_protocol::management::Scope::MachinesWrite;

use super::super::element::{Tone, button, field, pill, time};
use super::super::span;
use super::super::visit::Visit;
use crate::policy::words::DAYS;
use crate::usecase::machine::guardrails;
use crate::usecase::machine::status::Sort;
use crate::usecase::management::machine::portrait::Portrait;

/// A card for each. What an object says is not changed here.
pub(super) fn cards(visit: &Visit, it: &Portrait) -> Markup {
    if it.row.sort == Sort::Fleet || it.row.row.fleet_id.is_some() {
        return html! {};
    }
    html! {
        div.columns {
            (name(visit, it))
            @if it.row.sort == Sort::Temporary { (extensions(visit, it)) }
            (guardrails(visit, it))
        }
    }
}

fn to(visit: &Visit, it: &Portrait, end: &str) -> String {
    visit.href(&format!("machines/{}/{end}", it.row.row.id))
}

fn name(visit: &Visit, it: &Portrait) -> Markup {
    html! {
        section.card {
            h2 { "Name" }
            @if visit.may(MachinesWrite) {
                form.stack method="post" action=(to(visit, it, "rename")) {
                    (field("name", "Name", Some("Grants and projects stay: they go by the id."), html! {
                        input #name name="name" required maxlength="255" autocomplete="off" value=(it.row.row.name) aria-describedby="name-help";
                    }))
                    button { "Rename" }
                }
            }
            @if it.names.is_empty() {
                p.quiet { "It never had another name." }
            } @else {
                h3 { "Earlier names" }
                ul.plain {
                    @for former in it.names.iter().rev() { li { strong { (former.name) } " until " (time(former.until)) } }
                }
            }
        }
    }
}

fn extensions(visit: &Visit, it: &Portrait) -> Markup {
    let (extensions, end) = (&it.detail.extensions, it.row.row.expires_at);
    let is_running = end.is_some_and(|end| end > visit.now.0);
    html! {
        section.card {
            h2 { "Time" }
            p {
                @match end {
                    Some(end) if is_running => { "It ends " (time(end)) "." }
                    Some(end) => { "It ended " (time(end)) ". To read again it registers anew." }
                    None => "Its time begins when it is approved."
                }
            }
            @if is_running && visit.may(MachinesWrite) {
                form.stack method="post" action=(to(visit, it, "extend")) {
                    (span::fields("by", "How much longer", 7, &span::LONG))
                    (field("reason", "Why", None, html! { input #reason name="reason" required maxlength="255" autocomplete="off"; }))
                    button { "Extend" }
                }
            }
            @if !extensions.is_empty() {
                h3 { "Extensions" }
                ul.plain {
                    @for (index, by) in extensions.iter().enumerate().rev() {
                        li {
                            (time(by.at)) ", by " (by.by) ": " (by.reason)
                            span.sub { "from " (time(by.from)) " to " (time(by.to)) }
                            @if let Some(at) = by.reverted_at {
                                (pill(Tone::Plain, "taken back")) " " (time(at))
                            } @else if index + 1 == extensions.len() && is_running && visit.may(MachinesWrite) {
                                (button(&to(visit, it, "revert-extension"), "", "Take it back"))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn guardrails(visit: &Visit, it: &Portrait) -> Markup {
    let rails = &it.detail.guardrails;
    html! {
        section.card {
            h2 { "Guardrails" }
            p.quiet { "What each of its requests has to keep to, besides the vault’s allowlist and the policies of secrets. What is left empty does not restrict." }
            @if visit.may(MachinesWrite) { (guardrails_form(visit, it, rails)) } @else { (guardrails_in_words(rails)) }
        }
    }
}

fn guardrails_form(visit: &Visit, it: &Portrait, rails: &Guardrails) -> Markup {
    let window = rails.time_window.as_ref();
    html! {
        form.stack method="post" action=(to(visit, it, "guardrails")) {
            input type="hidden" name="seen" value=(guardrails::mark(rails));
            (field("ranges", "Only from these addresses", Some("Addresses or ranges such as 203.0.113.0/24, one on each line."), html! {
                textarea #ranges name="ranges" rows="3" spellcheck="false" aria-describedby="ranges-help" {
                    (rails.ip_allowlist.as_deref().unwrap_or_default().join("\n"))
                }
            }))
            fieldset {
                legend { "Only on these days" }
                @for (day, word) in DAYS {
                    label.choice { input type="checkbox" name="days" value=(word) checked[window.is_some_and(|it| it.days.contains(&day))]; " " (word) }
                }
            }
            div.toolbar {
                (field("start", "From", None, html! { input #start name="start" size="6" placeholder="07:00" value=[window.map(|it| &it.start)]; }))
                (field("end", "To", None, html! { input #end name="end" size="6" placeholder="19:00" value=[window.map(|it| &it.end)]; }))
                (field("zone", "Time zone", None, html! { input #zone name="zone" size="18" placeholder="Europe/Oslo" value=[rails.time_zone.as_ref()]; }))
            }
            button { "Save" }
        }
    }
}

fn guardrails_in_words(rails: &Guardrails) -> Markup {
    html! {
        ul.plain {
            @if let Some(ranges) = &rails.ip_allowlist { li { "only from " (ranges.join(", ")) } }
            @if let Some(window) = &rails.time_window {
                li {
                    "only "
                    @for (day, word) in DAYS { @if window.days.contains(&day) { (word) " " } }
                    (window.start) "–" (window.end) " " (rails.time_zone.as_deref().unwrap_or_default())
                }
            }
            @if *rails == Guardrails::default() { li.quiet { "none" } }
        }
    }
}
