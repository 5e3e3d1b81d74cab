//! `admin vault …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::live::World;
use crate::refusal::Refusal;
use crate::usecase::admin::vault;

/// Vaults: projects, machines and agents of one owner.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Vault {
    /// Makes a vault, and its owner's account when there is none. That one cannot log in until `account set-password`.
    Create {
        /// What people call it.
        #[arg(long)]
        name: String,
        /// The owner's e-mail address.
        #[arg(long)]
        owner: String,
    },
    /// Lists the vaults.
    List,
}

pub(super) async fn execute(desk: Desk<'_>, command: Vault) -> Result<Answer, Refusal> {
    Ok(match command {
        Vault::Create { name, owner } => {
            let id = through(desk, "vault create", move |it| vault::create(it, &name, &owner)).await?;
            Answer::new(json!({ "vaultId": id }), id.to_string())
        }
        Vault::List => list(&desk.app.live.read()),
    })
}

fn list(world: &World) -> Answer {
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
