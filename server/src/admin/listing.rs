//! What there is, for a person.

use serde_json::json;

use super::Answer;
use super::table::table;
use crate::live::World;

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
