//! `admin audit query`

use std::net::IpAddr;

use serde_json::json;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::{
    AuditEntry, AuditPage, AuditQuery, ExportFormat, Next, Severity, SortBy, SortDir,
};

use super::instant;
use crate::admin::execute::Desk;
use crate::admin::table::table;
use crate::admin::{Answer, Request};
use crate::audit::entry::Action;
use crate::model::millis::Millis;
use crate::policy::window::instant as instant_text;
use crate::refusal::Refusal;
use crate::usecase::audit::{Search, page};
use crate::usecase::management::audit::write_out;
use crate::usecase::webhook::names;

/// Which rows are looked for.
#[derive(Debug, clap::Args)]
pub struct Query {
    /// Only of this vault; left out: of all, and of the server itself.
    #[arg(long)]
    vault: Option<VaultId>,
    /// Only this action. May be given several times.
    #[arg(long = "action", value_enum, hide_possible_values = true)]
    actions: Vec<Action>,
    /// Only actions of this severity: info, low, medium, high or critical. May be given several times.
    #[arg(long = "severity", value_parser = severity)]
    severities: Vec<Severity>,
    /// Only from this address.
    #[arg(long)]
    ip: Option<IpAddr>,
    /// Only rows that have this in their detail, ids, action or reason.
    #[arg(long)]
    search: Option<String>,
    /// From this instant on: a day (YYYY-MM-DD, in UTC) or RFC 3339.
    #[arg(long, value_parser = instant)]
    from: Option<Millis>,
    /// Up to this instant, not included.
    #[arg(long, value_parser = instant)]
    to: Option<Millis>,
    /// By what they are sorted: timestamp, action, severity or source-ip. By anything but the time, only what one answer
    /// looks through is sorted.
    #[arg(long, value_parser = sort_by, default_value = "timestamp")]
    sort_by: SortBy,
    /// The least first: the oldest.
    #[arg(long)]
    ascending: bool,
    /// Which page; the first is 1.
    #[arg(long, default_value_t = 1)]
    page: u32,
    /// Rows on a page, 200 at most.
    #[arg(long, default_value_t = 50)]
    page_size: u32,
    /// Only rows below this number.
    #[arg(long)]
    before: Option<u64>,
    /// Only rows above this number.
    #[arg(long)]
    after: Option<u64>,
}

impl Query {
    pub(super) fn into_request(self) -> Request {
        let query = AuditQuery {
            actions: Some(names(&self.actions)),
            severities: Some(self.severities),
            source_ip: self.ip,
            search: self.search,
            from: self.from.map(|it| it.0),
            to: self.to.map(|it| it.0),
            sort_by: Some(self.sort_by),
            sort_dir: Some(if self.ascending { SortDir::Asc } else { SortDir::Desc }),
            page: Some(self.page),
            page_size: Some(self.page_size),
            before: self.before,
            after: self.after,
        };
        Request::AuditQuery { vault: self.vault, query: Box::new(query), format: None }
    }
}

fn severity(text: &str) -> Result<Severity, String> {
    let named = Severity::ALL.into_iter().find(|it| it.as_str() == text);
    named.ok_or_else(|| "give info, low, medium, high or critical".to_owned())
}

fn sort_by(text: &str) -> Result<SortBy, String> {
    Ok(match text {
        "timestamp" => SortBy::Timestamp,
        "action" => SortBy::Action,
        "severity" => SortBy::Severity,
        "source-ip" => SortBy::SourceIp,
        _ => return Err("give timestamp, action, severity or source-ip".to_owned()),
    })
}

pub(in crate::admin) async fn answer(
    desk: Desk<'_>,
    vault: Option<VaultId>,
    query: &AuditQuery,
    format: Option<ExportFormat>,
) -> Result<Answer, Refusal> {
    let search = Search::new(query, vault, None)?;
    if let Some(format) = format {
        let file = write_out(desk.app, &search, format).await?;
        let text = file.text.trim_end_matches(['\r', '\n']).to_owned();
        return Ok(Answer::new(json!({ "notAll": rest(&file.page) }), text));
    }
    let page = page(desk.app, &search).await?;
    let cells: Vec<[String; 9]> = page.entries.iter().map(cells).collect();
    let headings = ["ROW", "TIME", "ACTION", "SEVERITY", "ACTOR", "MACHINE", "SECRET", "IP", "DETAIL"];
    let mut text = table(headings, &cells);
    if let Some(rest) = rest(&page) {
        text = format!("{}\n{rest}", text.trim_end_matches('\n'));
    }
    Ok(Answer::new(json!(page), text))
}

/// What a person is told of an answer that is not all.
fn rest(page: &AuditPage) -> Option<String> {
    let go_on = match page.next? {
        Next::Before(seq) => format!("--before {seq}"),
        Next::After(seq) => format!("--after {seq}"),
    };
    let looked = match page.looked_back_to {
        Some(at) => format!("{} rows were looked through, as far as {}", page.looked_at, instant_text(Millis(at))),
        None => "there is more".to_owned(),
    };
    Some(format!("{looked}: go on with {go_on}"))
}

fn cells(entry: &AuditEntry) -> [String; 9] {
    fn text(it: Option<&impl ToString>) -> String {
        it.map(ToString::to_string).unwrap_or_default()
    }
    [
        entry.id.to_string(),
        instant_text(Millis(entry.timestamp)),
        entry.action.clone(),
        entry.severity.as_str().to_owned(),
        entry.actor_kind.as_str().to_owned(),
        text(entry.machine_id.as_ref()),
        text(entry.secret_id.as_ref()),
        text(entry.source_ip.as_ref()),
        entry.detail.clone(),
    ]
}
