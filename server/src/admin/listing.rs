//! What there is, for a person.

use serde_json::json;

use super::Answer;
use super::table::table;
use crate::live::World;

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
