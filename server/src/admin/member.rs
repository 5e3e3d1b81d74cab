//! `admin member …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::account::Role;
use sikkerkey_protocol::id::VaultId;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::live::World;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::member;

/// Members: what people may do in vaults that are not theirs.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Member {
    /// Gives an account a role in a vault, or another one.
    Add {
        /// The account's e-mail address.
        email: String,
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// auditor: looks at everything; manager: manages machines, projects, secrets and policies; owner: everything.
        #[arg(long)]
        role: Role,
    },
    /// Takes an account its role in a vault, at once.
    Remove {
        /// The account's e-mail address.
        email: String,
        /// The vault.
        #[arg(long)]
        vault: VaultId,
    },
    /// Lists who may do what in a vault.
    List {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
    },
}

pub(super) async fn execute(desk: Desk<'_>, command: Member) -> Result<Answer, Refusal> {
    Ok(match command {
        Member::Add { email, vault, role } => {
            let done = format!("account {email} is {role} of vault {vault}");
            through(desk, "member add", move |it| member::add(it, &vault, &email, role)).await?;
            Answer::done(done)
        }
        Member::Remove { email, vault } => {
            let done = format!("account {email} is no member of vault {vault} any more");
            through(desk, "member remove", move |it| member::remove(it, &vault, &email)).await?;
            Answer::done(done)
        }
        Member::List { vault } => list(&desk.app.live.read(), &vault)?,
    })
}

fn list(world: &World, vault: &VaultId) -> Result<Answer, Refusal> {
    let state = &world.state;
    let members = member::of(state, vault)?;
    let rows: Vec<[String; 4]> = members
        .into_iter()
        .map(|(account, role, since)| {
            [
                account.email.clone(),
                role.to_string(),
                format!("{:?}", account.standing),
                since.map(instant).unwrap_or_default(),
            ]
        })
        .collect();
    let json = rows.iter().map(
        |[email, role, standing, since]| json!({ "email": email, "role": role, "standing": standing, "since": since }),
    );
    Ok(Answer::new(
        json!({ "vaultId": vault, "members": json.collect::<Vec<_>>() }),
        table(["ACCOUNT", "ROLE", "STANDING", "SINCE"], &rows),
    ))
}
