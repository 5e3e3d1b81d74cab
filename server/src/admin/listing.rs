//! What there is, for a person.

use serde_json::json;

use super::Answer;
use super::table::table;
use crate::live::World;
use crate::model::secret::SecretPhase;
use crate::policy::window::instant;

pub(super) fn vaults(world: &World) -> Answer {
    let mut rows: Vec<_> = world
        .state
        .vaults
        .values()
        .map(|it| {
            let account = world.state.accounts.get(&it.account);
            let owner = account.map(|it| it.email.clone()).unwrap_or_default();
            [
                it.id.to_string(),
                it.name.clone(),
                owner,
                account.map(|it| format!("{:?}", it.standing)).unwrap_or_default(),
            ]
        })
        .collect();
    rows.sort();
    let json = rows.iter().map(
        |[id, name, owner, standing]| json!({ "vaultId": id, "name": name, "owner": owner, "standing": standing }),
    );
    Answer::new(json!({ "vaults": json.collect::<Vec<_>>() }), table(["VAULT", "NAME", "OWNER", "STANDING"], &rows))
}

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

pub(super) fn accounts(world: &World) -> Answer {
    let mut rows: Vec<[String; 3]> = world
        .state
        .accounts
        .values()
        .map(|it| {
            let vaults = world.state.vaults.values().filter(|vault| vault.account == it.id).count();
            [it.email.clone(), format!("{:?}", it.standing), vaults.to_string()]
        })
        .collect();
    rows.sort();
    let json = rows.iter().map(|[email, standing, vaults]| {
        json!({ "email": email, "standing": standing, "vaults": vaults.parse::<u64>().unwrap_or(0) })
    });
    Answer::new(json!({ "accounts": json.collect::<Vec<_>>() }), table(["ACCOUNT", "STANDING", "VAULTS"], &rows))
}

pub(super) fn secrets(world: &World) -> Answer {
    let state = &world.state;
    let mut rows: Vec<[String; 6]> = state
        .secrets
        .values()
        .map(|it| {
            let project = state.projects.get(&it.project).map(|it| it.name.clone()).unwrap_or_default();
            let phase = match it.phase {
                SecretPhase::Active if it.held => "Held since a restore".to_owned(),
                SecretPhase::Active => "Active".to_owned(),
                SecretPhase::Retained => "Retained".to_owned(),
                SecretPhase::Trashed(since) => format!("In the trash since {}", instant(since)),
            };
            [it.id.to_string(), project, it.name.clone(), it.version.to_string(), it.field_names.join(","), phase]
        })
        .collect();
    rows.sort_by(|a, b| (&a[1], &a[2], &a[0]).cmp(&(&b[1], &b[2], &b[0])));
    let json = rows.iter().map(|[id, project, name, version, fields, phase]| {
        json!({ "secretId": id, "project": project, "name": name, "version": version.parse::<u64>().unwrap_or(0), "fields": fields, "phase": phase })
    });
    let headings = ["SECRET", "PROJECT", "NAME", "VERSION", "FIELDS", "PHASE"];
    Answer::new(json!({ "secrets": json.collect::<Vec<_>>() }), table(headings, &rows))
}
