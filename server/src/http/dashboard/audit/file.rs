//! Rows as a file: what it will hold, and the file.

use axum::response::Response;
use maud::{Markup, html};
use sikkerkey_protocol::management::{ExportFormat, Next};

use super::super::element::{empty, time};
use super::super::page;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::question::Question;
use super::tabs;
use crate::usecase::audit::MOST;
use crate::usecase::management::audit::WrittenFile;
use crate::usecase::management::audit::browse::Contents;

/// What the file will hold.
pub(super) fn page(visit: &Visit, question: &Question, contents: &Result<Contents, String>) -> Sheet {
    let body = html! {
        (tabs(visit, ""))
        @match contents {
            Ok(contents) => (told(visit, question, contents)),
            Err(wrong) => p.notice.bad role="alert" { "This cannot be looked for: " (wrong) "." },
        }
        p { a href=(visit.href(&format!("audit{}", question.query()))) { "Back to the rows" } }
    };
    Sheet::new(Section::Audit, "Rows as a file", body)
}

fn told(visit: &Visit, question: &Question, contents: &Contents) -> Markup {
    let page = &contents.page;
    // Rows that come meanwhile are not in the file that this page is about.
    let pinned = question.moved(question.before.or(Some(page.as_of.saturating_add(1))), None);
    let next = match page.next {
        Some(Next::Before(seq)) => Some(question.moved(Some(seq), None)),
        _ => None,
    };
    let to = |end: &str, question: &Question| visit.href(&format!("audit/{end}{}", question.query()));
    html! {
        @match contents.span {
            Some((newest, oldest)) => section.card {
                h2 { (contents.rows) @if contents.rows == 1 { " row" } @else { " rows" } }
                p { "From " (time(oldest)) " to " (time(newest)) ", the newest first." }
                p.actions {
                    a.button.primary href=(to("rows.csv", &pinned)) download { "CSV" }
                    a.button href=(to("rows.jsonl", &pinned)) download { "JSON lines" }
                }
                p.help { "CSV is for spreadsheets: what they would take for a formula has a ' before it. JSON lines are for programs, one object on each line." }
            },
            None => (empty("No rows", html! { "No row is what you look for, so there is nothing to write. Take something out of the question." }, None)),
        }
        @if let Some(next) = next {
            section.card {
                h2 { "There is more" }
                p {
                    @if let Some(at) = page.looked_back_to { (page.looked_at) " rows were looked through, back to " (time(at)) "." }
                    @else { "A file has " (MOST) " rows at most." }
                    " The next file goes on where this one ends, and no row is in both."
                }
                p { a.button href=(to("file", &next)) { "The next file" } }
            }
        }
        section.card {
            h2 { "As proof" }
            p { "These files are for reading. A file that an auditor can check with the server's public key alone is written at the server, by whoever runs it:" }
            p { code { "sikkerkey-server admin audit export --out FILE" } }
        }
    }
}

/// The file.
pub(super) fn respond(question: &Question, file: WrittenFile) -> Response {
    let (end, media_type) = match file.format {
        ExportFormat::Csv => ("csv", "text/csv; charset=utf-8"),
        ExportFormat::Jsonl => ("jsonl", "application/jsonl; charset=utf-8"),
    };
    let last = question.before.map_or(file.page.as_of, |it| it.saturating_sub(1));
    page::file(media_type, &format!("audit-up-to-row-{last}.{end}"), file.text)
}
