//! The audit: its rows, one row, files of them, reads over time, and whether the chain holds.

mod chain;
mod file;
mod list;
mod plot;
mod question;
mod reads;
mod row;
mod when;

use axum::response::Response;
use maud::{Markup, html};
use sikkerkey_protocol::management::ExportFormat;
use sikkerkey_protocol::management::Scope::AuditRead;

use self::question::Question;
use super::page::{Nothing, finds, finds_file};
use super::visit::Visit;
use crate::decision::{Context, Decided};
use crate::http::route::Route;
use crate::usecase::management::Manager;
use crate::usecase::management::audit::{WrittenFile, browse, chain as chains, reads as counted, row as rows};

/// The routes.
pub(super) fn routes() -> [Route; 7] {
    [
        finds(
            AuditRead,
            "GET /vaults/{vault}/audit",
            |context, manager, [], it: Question| browse::browse(context, manager, it.filter(context.now)),
            browse::find,
            list::page,
        ),
        finds(AuditRead, "GET /vaults/{vault}/audit/reads", reads::wanted, counted::count, reads::page),
        finds(AuditRead, "GET /vaults/{vault}/audit/chain", chain::wanted, chains::check, chain::page),
        finds(
            AuditRead,
            "GET /vaults/{vault}/audit/file",
            |context, manager, [], it: Question| browse::file(context, manager, it.filter(context.now)),
            browse::count,
            file::page,
        ),
        finds_file(
            AuditRead,
            "GET /vaults/{vault}/audit/rows.csv",
            |context, manager, [], it| written(context, manager, &it, ExportFormat::Csv),
            browse::write,
            respond,
        ),
        finds_file(
            AuditRead,
            "GET /vaults/{vault}/audit/rows.jsonl",
            |context, manager, [], it| written(context, manager, &it, ExportFormat::Jsonl),
            browse::write,
            respond,
        ),
        finds(
            AuditRead,
            "GET /vaults/{vault}/audit/{seq}",
            |context, manager, [seq], Nothing {}| rows::row(context, manager, [seq]),
            rows::find,
            row::page,
        ),
    ]
}

fn written(
    context: &Context<'_>,
    manager: &Manager<'_>,
    question: &Question,
    format: ExportFormat,
) -> Decided<(browse::Wanted, ExportFormat)> {
    let decision = browse::file(context, manager, question.filter(context.now))?;
    let answer = decision.answer;
    let answer = Box::new(move |context: &Context<'_>| (answer(context), format));
    Ok(crate::decision::Decision { changes: decision.changes, audit: decision.audit, answer })
}

fn respond(_: &Visit, question: &Question, file: WrittenFile) -> Response {
    file::respond(question, file)
}

/// The parts of the audit, as tabs. `here` is the end of this one's address.
fn tabs(visit: &Visit, here: &str) -> Markup {
    let tabs = [("audit", "Rows"), ("audit/reads", "Reads over time"), ("audit/chain", "Chain")];
    html! {
        ul.tabs {
            @for (end, name) in tabs {
                li { a href=(visit.href(end)) aria-current=[(end == here).then_some("page")] { (name) } }
            }
        }
    }
}
