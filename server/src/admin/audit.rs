//! The audit for a person.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::json;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId, VaultId};

use super::Answer;
use super::execute::Desk;
use super::table::table;
use crate::audit::entry::{Action, Actor, Entry, Severity};
use crate::audit::verify::Verifier;
use crate::policy::window::instant;
use crate::state::State;
use crate::store::{AuditRow, StoreError};

/// How many rows are checked at a time.
const PAGE: u32 = 1000;

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

pub(super) async fn verify(desk: Desk<'_>) -> Result<Answer, String> {
    let mut verifier = Verifier::new(desk.app.keyring.audit());
    loop {
        let rows = desk.app.records.after(verifier.head().seq, PAGE).await.map_err(|error| failed(&error))?;
        for row in &rows {
            verifier.next(row).map_err(|found| format!("the audit does not hold: {found}"))?;
        }
        if u32::try_from(rows.len()).unwrap_or(0) < PAGE {
            break;
        }
    }
    let head = verifier.head();
    let hash = hex(&head.hash);
    let text = format!(
        "rows 1 to {} follow each other and none was changed; the last has the hash {hash}.\n\
         Rows that were cut off after it can be told only by comparing with a hash that was kept elsewhere.",
        head.seq
    );
    Ok(Answer::new(json!({ "holds": true, "rows": head.seq, "head": hash }), text))
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
        time: instant(row.time),
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
        pod_uid: pod.map(|it| it.uid.clone()),
        node: pod.map(|it| it.node.clone()),
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

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn failed(error: &StoreError) -> String {
    use std::error::Error as _;
    let cause = error.source().map(|it| format!(": {it}")).unwrap_or_default();
    format!("{error}{cause}")
}
