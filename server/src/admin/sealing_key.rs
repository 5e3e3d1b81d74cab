//! `admin sealing-key …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::sealed::PublishedKey;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::live::World;
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::admin::sealing_key;

/// Keys that values in Git are sealed to. Their private halves never leave the server.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum SealingKey {
    /// Lists the keys of all vaults. The newest of a vault is published, and all of them open.
    List,
    /// Makes a new key for a vault, which is published from then on. Values that are sealed already go on opening.
    Rotate {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
    },
    /// Prints the public key of a vault as a small JSON file, for `sikkerkey-operator seal --key`. It is no secret.
    Show {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
    },
}

pub(super) async fn execute(desk: Desk<'_>, command: SealingKey) -> Result<Answer, Refusal> {
    match command {
        SealingKey::List => Ok(list(&desk.app.live.read())),
        SealingKey::Rotate { vault } => {
            let key = through(desk, "sealing-key rotate", move |it| sealing_key::rotate(it, &vault)).await?;
            let text =
                format!("{} is published from now on; what was sealed to earlier keys goes on opening", key.key_id);
            file(&key).map(|it| Answer { text, ..it })
        }
        SealingKey::Show { vault } => {
            file(&through(desk, "sealing-key show", move |it| sealing_key::show(it, &vault)).await?)
        }
    }
}

/// The file is the same for a program and for a person: it is made to be kept.
fn file(key: &PublishedKey) -> Result<Answer, Refusal> {
    let failed = |_| Refusal::new(RefusalKind::Unavailable, "the key has no JSON form");
    let text = serde_json::to_string_pretty(key).map_err(failed)?;
    Ok(Answer::new(serde_json::to_value(key).map_err(failed)?, text))
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let mut vaults: Vec<_> = state.vaults.keys().collect();
    vaults.sort();
    let keys = vaults.into_iter().flat_map(|vault| state.sealing_keys_of(vault).into_iter().enumerate());
    let rows: Vec<[String; 5]> = keys
        .map(|(place, key)| {
            let standing = if place == 0 { "published" } else { "opens" };
            let public_key = key.public_key.to_string();
            [key.vault.to_string(), key.id.clone(), standing.to_owned(), instant(key.made), public_key]
        })
        .collect();
    let json = rows.iter().map(|[vault, key, standing, made, public_key]| {
        json!({ "vaultID": vault, "keyID": key, "published": standing == "published", "made": made, "publicKey": public_key })
    });
    let headings = ["VAULT", "KEY", "STANDING", "MADE", "PUBLIC-KEY"];
    Answer::new(json!({ "sealingKeys": json.collect::<Vec<_>>() }), table(headings, &rows))
}
