//! The audit of a vault. An agent with a list of projects sees the rows of those.

pub mod browse;
pub mod chain;
pub mod names;
pub mod reads;
pub mod row;

use sikkerkey_protocol::management::{
    AuditAction, AuditActions, AuditExport, AuditPage, AuditQuery, ExportFormat, RecentActivity,
};

use super::Manager;
use crate::app::App;
use crate::audit::entry::Action;
use crate::audit::lines;
use crate::decision::{Context, Decided};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::audit::{self, Search};
use crate::usecase::steps::Steps;

/// How many rows the last activity is.
const RECENT: u32 = 20;

/// What is to be written out, and how.
pub struct WantedFile {
    search: Search,
    format: ExportFormat,
}

/// Rows that are written out.
pub struct WrittenFile {
    /// How.
    pub format: ExportFormat,
    /// All of it.
    pub text: String,
    /// How far it was looked for them; without the rows.
    pub page: AuditPage,
}

/// Looks for rows. What is found is told by [`find`].
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn query(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], query: AuditQuery) -> Decided<Search> {
    let search = search(context, manager, &query)?;
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the audit".to_owned()));
    Ok(steps.decide(move |_| search))
}

/// Writes rows out. They are written by [`write`].
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn export(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], export: AuditExport) -> Decided<WantedFile> {
    let wanted =
        WantedFile { search: search(context, manager, &export.query)?, format: export.format.unwrap_or_default() };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the audit, for a file".to_owned()));
    Ok(steps.decide(move |_| wanted))
}

/// The last rows. What is found is told by [`find_recent`].
pub fn activity(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<Search> {
    let projects = manager.projects.map(|it| it.iter().cloned().collect());
    let search = Search::newest(RECENT, Some(manager.vault.clone()), projects)?.asked_by(manager.asker());
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the last activity".to_owned()));
    Ok(steps.decide(move |_| search))
}

/// Every action that a row can have.
pub fn actions(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<AuditActions> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the actions of the audit".to_owned()));
    Ok(steps.decide(|_| AuditActions { actions: every_action() }))
}

/// Every action, by name.
pub fn every_action() -> Vec<AuditAction> {
    let all = Action::all().iter();
    let mut actions: Vec<_> = all.map(|it| AuditAction { action: it.name(), severity: it.severity() }).collect();
    actions.sort_by(|a, b| a.action.cmp(&b.action));
    actions
}

/// Finds what [`query`] looks for.
pub async fn find(app: App, search: Search) -> Result<AuditPage, Refusal> {
    audit::page(&app, &search).await
}

/// Finds what [`activity`] looks for.
pub async fn find_recent(app: App, search: Search) -> Result<RecentActivity, Refusal> {
    Ok(RecentActivity { entries: audit::recent(&app, &search).await? })
}

/// Writes what [`export`] looks for.
pub async fn write(app: App, wanted: WantedFile) -> Result<WrittenFile, Refusal> {
    write_out(&app, &wanted.search, wanted.format).await
}

/// Writes rows out.
pub(crate) async fn write_out(app: &App, search: &Search, format: ExportFormat) -> Result<WrittenFile, Refusal> {
    let mut page = audit::export(app, search).await?;
    let entries = std::mem::take(&mut page.entries);
    let text = match format {
        ExportFormat::Csv => lines::csv(&entries).map_err(|error| error.to_string()),
        ExportFormat::Jsonl => lines::jsonl(&entries).map_err(|error| error.to_string()),
    };
    let text = text.map_err(|error| {
        tracing::error!(error, "rows of the audit cannot be written out");
        Refusal::new(RefusalKind::Unavailable, "the rows cannot be written out: see the server's log")
    })?;
    Ok(WrittenFile { format, text, page })
}

fn search(_: &Context<'_>, manager: &Manager<'_>, query: &AuditQuery) -> Result<Search, Refusal> {
    let projects = manager.projects.map(|it| it.iter().cloned().collect());
    Ok(Search::new(query, Some(manager.vault.clone()), projects)?.asked_by(manager.asker()))
}
