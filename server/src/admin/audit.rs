//! The audit for a person.

pub(super) mod export;
pub(super) mod query;
pub(super) mod verify;

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId, VaultId};

use self::query::Query;
use super::command::absolute;
use super::execute::Desk;
use super::table::table;
use super::{Answer, Request};
use crate::audit::entry::{Action, Actor, Entry, Severity};
use crate::model::millis::Millis;
use crate::policy::window::instant as instant_text;
use crate::state::State;
use crate::store::{AuditRow, StoreError};

/// The audit.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Looks for rows, in all of the audit. `--output csv` and `--output jsonl` write out up to 10,000 of them.
    Query(Box<Query>),
    /// How checkpoints and anchors stand.
    Status,
    /// Makes a checkpoint now.
    Checkpoint,
    /// Writes rows to a file that can be checked by itself: `verify-audit --from-export FILE --public-key KEY`.
    Export {
        /// From here on: the number of a row, a day (YYYY-MM-DD, in UTC) or RFC 3339; left out: from the first row.
        #[arg(long)]
        from: Option<Bound>,
        /// Up to here: the number of a row, included; or an instant, not included; left out: up to the last row.
        #[arg(long)]
        to: Option<Bound>,
        /// The new file. Made by the server when it runs, for its owner alone.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl Audit {
    pub(super) fn into_request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::Query(it) => it.into_request(),
            Self::Status => Request::AuditStatus,
            Self::Checkpoint => Request::AuditCheckpoint,
            Self::Export { from, to, out } => Request::AuditExport { from, to, out: absolute(&out)? },
        })
    }
}

/// How many rows are read at a time.
const PAGE: u32 = 1000;
const MINUTE: i64 = 60_000;

/// One row, with names beside the ids where they are still known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    seq: u64,
    timestamp: i64,
    time: String,
    action: Action,
    severity: Severity,
    actor_kind: &'static str,
    actor_id: Option<String>,
    vault_id: Option<VaultId>,
    project_id: Option<ProjectId>,
    project_name: Option<String>,
    machine_id: Option<MachineId>,
    machine_name: Option<String>,
    pod: Option<String>,
    pod_uid: Option<String>,
    node: Option<String>,
    secret_id: Option<SecretId>,
    secret_name: Option<String>,
    source_ip: Option<IpAddr>,
    reason: Option<DenialReason>,
    detail: String,
}

pub(super) async fn newest(desk: Desk<'_>, limit: u32, machine: Option<&MachineId>) -> Result<Answer, String> {
    let rows = desk.app.records.newest(limit, machine).await.map_err(|error| failed(&error))?;
    let lines: Vec<Line> = {
        let world = desk.app.live.read();
        rows.iter().map(|row| line(&world.state, row)).collect::<Result<_, _>>()?
    };
    let cells: Vec<[String; 10]> = lines.iter().map(cells).collect();
    let headings = ["TIME", "ACTION", "ACTOR", "MACHINE", "POD", "NODE", "IP", "SECRET", "REASON", "DETAIL"];
    Ok(Answer::new(json!({ "rows": lines }), table(headings, &cells)))
}

pub(super) fn key(desk: Desk<'_>) -> Answer {
    let key = desk.app.keyring.audit_signer().public_key();
    Answer::new(json!({ "publicKey": key, "fingerprint": key.fingerprint() }), key.to_string())
}

pub(super) fn status(desk: Desk<'_>) -> Result<Answer, String> {
    let keeper = keeper(desk)?;
    let (status, head) = (keeper.status(), desk.app.writer.audit_head().borrow().seq);
    let mut lines = vec![match &status.last {
        Some(it) => {
            format!("the last checkpoint is of row {} at {}, the audit is at row {head}", it.seq, instant_text(it.time))
        }
        None => format!("there is no checkpoint yet, the audit is at row {head}"),
    }];
    lines.extend(status.local_failure.as_ref().map(|it| format!("it cannot be kept beside the data: {it}")));
    if status.anchors.is_empty() {
        lines.push(
            "no anchor is given (--audit-anchor): a database that is put back as a whole is not found".to_owned(),
        );
    }
    lines.extend(status.anchors.iter().map(|it| {
        let seq = it.seq.map_or_else(|| "nothing yet".to_owned(), |seq| format!("row {seq}"));
        let why = it.failure.as_ref().map(|why| format!("; it does not take the last checkpoint: {why}"));
        format!("{} has {seq}, {} failures{}", it.anchor, it.failures, why.unwrap_or_default())
    }));
    let installation = keeper.installation();
    let json = json!({
        "row": head,
        "installation": installation.id,
        "epoch": installation.epoch,
        "last": status.last,
        "anchors": status.anchors,
        "localFailure": status.local_failure,
    });
    Ok(Answer::new(json, lines.join("\n")))
}

pub(super) async fn checkpoint(desk: Desk<'_>) -> Result<Answer, String> {
    keeper(desk)?.now().await;
    status(desk)
}

fn keeper(desk: Desk<'_>) -> Result<&crate::anchor::Keeper, String> {
    let keeper = desk.app.checkpoints.get().map(|it| &**it);
    keeper.ok_or_else(|| "no server runs here: it makes checkpoints when it runs and when it ends".to_owned())
}

pub(super) async fn activity(desk: Desk<'_>, from: Option<Millis>, to: Option<Millis>) -> Result<Answer, String> {
    let now = desk.app.clock.now();
    let to = to.unwrap_or(Millis(now.0.saturating_add(MINUTE)));
    let from = from.unwrap_or(Millis(to.0.saturating_sub(61 * MINUTE)));
    let minute = |at: Millis| at.0.div_euclid(MINUTE);
    let found = desk.app.records.activity(minute(from), minute(to)).await.map_err(|error| failed(&error))?;
    let minutes = found.iter().map(|(key, it)| {
        let time = instant_text(Millis(key.minute.saturating_mul(MINUTE)));
        json!({ "minute": time, "kind": key.kind.as_str(), "count": it.count, "first": it.first, "last": it.last })
    });
    let cells = found.iter().map(|(key, it)| {
        let time = instant_text(Millis(key.minute.saturating_mul(MINUTE)));
        [time, key.kind.as_str().to_owned(), it.count.to_string(), it.first.clone(), it.last.clone()]
    });
    let text = table(["MINUTE", "KIND", "COUNT", "FIRST", "LAST"], &cells.collect::<Vec<_>>());
    Ok(Answer::new(json!({ "activity": minutes.collect::<Vec<_>>() }), text))
}

/// Where an export begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// At a row.
    Row(u64),
    /// At an instant.
    Time(Millis),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self::Row).or_else(|_| instant(text).map(Self::Time))
    }
}

/// A day in UTC, or RFC 3339.
pub(super) fn instant(text: &str) -> Result<Millis, String> {
    let day = || {
        let date: jiff::civil::Date = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok()
    };
    let at = text.parse::<jiff::Timestamp>().ok().or_else(day);
    at.map(|it| Millis(it.as_millisecond()))
        .ok_or_else(|| "give a day such as 2026-03-04, or an instant such as 2026-03-04T12:00:00Z".to_owned())
}

fn line(state: &State, row: &AuditRow) -> Result<Line, String> {
    let entry: Entry = serde_json::from_str(&row.entry)
        .map_err(|_| format!("row {} of the audit cannot be read: verify-audit", row.seq))?;
    let (actor_kind, actor_id) = match &entry.actor {
        Actor::Machine(id) => ("machine", Some(id.to_string())),
        Actor::Agent(id) => ("agent", Some(id.to_string())),
        Actor::Administrator => ("administrator", None),
        Actor::System => ("system", None),
        Actor::Anonymous => ("anonymous", None),
        Actor::Person(id) => ("user", Some(id.clone())),
    };
    let id = match &entry.actor {
        Actor::Machine(id) => Some(entry.machine.clone().unwrap_or_else(|| id.clone())),
        _ => entry.machine.clone(),
    };
    let machine = id.as_ref().and_then(|id| state.machines.get(id));
    let pod = machine.and_then(|it| it.pod.as_ref()).map(|it| &it.pod);
    Ok(Line {
        seq: row.seq,
        timestamp: row.time.0,
        time: instant_text(row.time),
        action: entry.action,
        severity: entry.action.severity(),
        actor_kind,
        actor_id,
        vault_id: entry.vault,
        project_name: entry.project.as_ref().and_then(|id| state.projects.get(id)).map(|it| it.name.clone()),
        project_id: entry.project,
        machine_id: id,
        machine_name: machine.map(|it| it.name.clone()),
        pod: pod.map(|it| format!("{}/{}", it.namespace, it.name)),
        pod_uid: pod.map(|it| it.uid.to_string()),
        node: pod.map(|it| it.node.to_string()),
        secret_name: entry.secret.as_ref().and_then(|id| state.secrets.get(id)).map(|it| it.name.clone()),
        secret_id: entry.secret,
        source_ip: entry.source_ip,
        reason: entry.denial,
        detail: entry.detail,
    })
}

fn cells(line: &Line) -> [String; 10] {
    let name = |name: &Option<String>, id: Option<String>| name.clone().or(id).unwrap_or_default();
    [
        line.time.clone(),
        // The name that stands in the JSON.
        serde_json::to_value(line.action).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default(),
        line.actor_kind.to_owned(),
        name(&line.machine_name, line.machine_id.as_ref().map(ToString::to_string)),
        line.pod.clone().unwrap_or_default(),
        line.node.clone().unwrap_or_default(),
        line.source_ip.map(|it| it.to_string()).unwrap_or_default(),
        name(&line.secret_name, line.secret_id.as_ref().map(ToString::to_string)),
        line.reason.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        line.detail.clone(),
    ]
}

fn failed(error: &StoreError) -> String {
    use std::error::Error as _;
    let cause = error.source().map(|it| format!(": {it}")).unwrap_or_default();
    format!("{error}{cause}")
}
