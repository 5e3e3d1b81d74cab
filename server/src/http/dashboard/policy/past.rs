//! What a policy would have done last week.

use maud::{Markup, html};

use super::super::element::{Called, data_table, time};
use crate::usecase::management::policy::past::{Group, Past};

/// The part of the editor.
pub(super) fn section(past: &Past) -> Markup {
    let changed = past.denied + past.waiting + past.let_through;
    html! {
        section.card #past aria-labelledby="past-head" {
            h2 #past-head { "Last week under this policy" }
            p {
                "Since " (time(past.since.0)) ", "
                @if past.is_bound { "of the secrets that it guards: " } @else { "if it had guarded every secret of the project: " }
                (count(past.reads, "read", "reads")) " and " (count(past.denials, "denial by a policy", "denials by a policy")) "."
            }
            @if past.is_cut {
                p.notice.warn { "There were more in this week than are looked at for one answer: older ones are not in it." }
            }
            @if changed == 0 {
                p.notice.good { "Nothing would have been otherwise." }
            } @else {
                ul.lines {
                    @if past.denied > 0 { li { strong { (past.denied) } " of the reads would have been denied." } }
                    @if past.waiting > 0 { li { strong { (past.waiting) } " of the reads would have waited for the co-signer." } }
                    @if past.let_through > 0 { li { strong { (past.let_through) } " of the denials would have been let through." } }
                }
                (table(&past.groups))
                @if past.found > past.groups.len() {
                    p.quiet { "Those are the first " (past.groups.len()) " of " (past.found) "." }
                }
            }
            p.quiet {
                "Decided by the rules by which reads are decided, with the time and the address of each. "
                "Which machines were approved and what they were granted is left as it was."
            }
        }
    }
}

fn table(groups: &[Group]) -> Markup {
    html! {
        (data_table(
            Called::As("What would have been otherwise"),
            html! {
                th scope="col" { "Reader" }
                th scope="col" { "Secret" }
                th.number scope="col" { "Reads" }
                th.number scope="col" { "Denied" }
                th.number scope="col" { "Waiting" }
                th.number scope="col" { "Let through" }
                th scope="col" { "The first for this reason" }
            },
            html! {
                @for it in groups {
                    tr {
                        th scope="row" { (it.reader) }
                        td { (it.label) }
                        td.number { (it.reads) }
                        td.number { (it.denied) }
                        td.number { (it.waiting) }
                        td.number { (it.let_through) }
                        td { @match &it.because { Some(text) => (text), None => span.quiet { "–" } } }
                    }
                }
            },
        ))
    }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
