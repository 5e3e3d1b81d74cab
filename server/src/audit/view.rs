//! A row of the audit as the management plane tells it.

use sikkerkey_protocol::management::{ActorKind, AuditEntry};

use super::entry::{Actor, Entry};
use super::words;
use crate::store::AuditRow;

/// What stands in a row. None: it cannot be read, which verify-audit tells.
pub fn parse(row: &AuditRow) -> Option<Entry> {
    serde_json::from_str(&row.entry).ok()
}

/// A row as it is told.
pub fn tell(row: &AuditRow, entry: Entry) -> AuditEntry {
    let kind = actor_kind(&entry.actor);
    let (mut machine, mut agent, mut person) = (entry.machine, None, None);
    match entry.actor {
        Actor::Machine(id) => machine = machine.or(Some(id)),
        Actor::Agent(id) => agent = Some(id),
        Actor::Person(id) => person = Some(id),
        Actor::Administrator | Actor::System | Actor::Anonymous => {}
    }
    AuditEntry {
        id: row.seq,
        action: entry.action.name(),
        severity: entry.action.severity(),
        actor_kind: kind,
        user_id: person,
        machine_id: machine,
        ai_agent_id: agent,
        project_id: entry.project,
        secret_id: entry.secret,
        source_ip: entry.source_ip,
        reason: entry.denial,
        reason_text: entry.denial.map(|it| words::denial(it).to_owned()),
        detail: entry.detail,
        timestamp: row.time.0,
    }
}

fn actor_kind(actor: &Actor) -> ActorKind {
    match actor {
        Actor::Machine(_) => ActorKind::Machine,
        Actor::Agent(_) => ActorKind::AiAgent,
        Actor::Administrator | Actor::Person(_) => ActorKind::User,
        Actor::System => ActorKind::System,
        Actor::Anonymous => ActorKind::External,
    }
}
