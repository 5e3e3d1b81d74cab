//! What there is, for a person.

use serde_json::json;
use sikkerkey_protocol::kubernetes::Approval;

use super::Answer;
use super::table::table;
use crate::live::World;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::policy::window::instant;

pub(super) fn clusters(world: &World) -> Answer {
    let rows: Vec<_> = world
        .state
        .clusters
        .values()
        .map(|it| [it.name.clone(), it.vault.to_string(), it.issuer.clone(), it.subject.clone()])
        .collect();
    let json = rows.iter().map(|[name, vault, issuer, subject]| json!({ "name": name, "vaultId": vault, "issuer": issuer, "subject": subject }));
    Answer::new(json!({ "clusters": json.collect::<Vec<_>>() }), table(["NAME", "VAULT", "ISSUER", "SUBJECT"], &rows))
}

pub(super) fn agents(world: &World) -> Answer {
    let mut rows: Vec<_> = world
        .state
        .agents
        .values()
        .map(|it| {
            [
                it.id.to_string(),
                it.name.clone(),
                it.cluster.clone().unwrap_or_default(),
                if it.approved { "Approved" } else { "Pending" }.to_owned(),
                until(it.expires_at),
                it.public_key.fingerprint(),
            ]
        })
        .collect();
    rows.sort_by(|a, b| (&a[1], &a[0]).cmp(&(&b[1], &b[0])));
    let json = rows.iter().map(|[id, name, cluster, approval, expires, fingerprint]| {
        json!({ "agentId": id, "name": name, "cluster": cluster, "approval": approval, "expires": expires, "fingerprint": fingerprint })
    });
    let headings = ["AGENT", "NAME", "CLUSTER", "APPROVAL", "EXPIRES", "KEY"];
    Answer::new(json!({ "agents": json.collect::<Vec<_>>() }), table(headings, &rows))
}

pub(super) fn machines(world: &World) -> Answer {
    let state = &world.state;
    let fleet_name = |id| state.fleets.get(id).map(|it| it.managed.object.key.to_string()).unwrap_or_default();
    let mut rows: Vec<[String; 9]> = state
        .machines
        .values()
        .map(|it| {
            let pod = it.pod.as_ref().map(|it| &it.pod);
            [
                it.id.to_string(),
                kind(it).to_owned(),
                it.name.clone(),
                it.fleet.as_ref().map(fleet_name).unwrap_or_default(),
                pod.map(|it| it.node.clone()).unwrap_or_default(),
                if it.enabled { approval(it.approval) } else { "Disabled" }.to_owned(),
                until(it.expires_at),
                world.ledger.last_seen(&it.id).map(instant).unwrap_or_default(),
                it.public_key.fingerprint(),
            ]
        })
        .collect();
    rows.extend(state.fleets.values().map(|it| {
        let suspended = if it.suspended { "Suspended" } else { approval(it.approval) };
        let alive = state.machines_in(&it.id).count();
        [
            it.id.to_string(),
            "fleet".to_owned(),
            it.managed.object.key.to_string(),
            format!(
                "{} of cluster {}",
                if alive == 1 { "1 machine".to_owned() } else { format!("{alive} machines") },
                it.managed.cluster
            ),
            String::new(),
            suspended.to_owned(),
            String::new(),
            String::new(),
            String::new(),
        ]
    }));
    rows.sort_by(|a, b| (&a[1], &a[2], &a[0]).cmp(&(&b[1], &b[2], &b[0])));
    let json = rows.iter().map(|[id, kind, name, fleet, node, approval, expires, seen, fingerprint]| {
        json!({
            "id": id, "kind": kind, "name": name, "fleet": fleet, "node": node, "approval": approval, "expires": expires,
            "lastSeen": seen, "fingerprint": fingerprint,
        })
    });
    let headings = ["ID", "KIND", "NAME", "FLEET", "NODE", "APPROVAL", "EXPIRES", "LAST-SEEN", "FINGERPRINT"];
    Answer::new(json!({ "machines": json.collect::<Vec<_>>() }), table(headings, &rows))
}

fn kind(machine: &Machine) -> &'static str {
    match (&machine.pod, &machine.enrolled_by) {
        (Some(_), _) => "pod",
        (None, Some(_)) => "ephemeral",
        (None, None) => "host",
    }
}

fn approval(approval: Approval) -> &'static str {
    match approval {
        Approval::Approved => "Approved",
        Approval::Pending => "Pending",
        Approval::Denied => "Denied",
    }
}

fn until(end: Option<Millis>) -> String {
    end.map(instant).unwrap_or_default()
}
