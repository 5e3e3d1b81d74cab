//! `admin ip-allowlist …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::VaultId;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::decision::Context;
use crate::live::World;
use crate::refusal::Refusal;
use crate::usecase::admin::allowlist;

/// From where the machines of a vault may connect and enrol.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Allowlist {
    /// Adds an address or a range.
    Add {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// An address, or a CIDR in its shortest form.
        cidr: String,
        /// What people call it.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Removes an entry.
    Remove {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// The entry.
        cidr: String,
    },
    /// Changes what an entry is called.
    Label {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// The entry.
        cidr: String,
        /// What people are to call it.
        label: String,
    },
    /// Switches one entry on.
    Enable {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// The entry.
        cidr: String,
    },
    /// Switches one entry off and keeps it.
    Disable {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// The entry.
        cidr: String,
    },
    /// Puts the list in force. Without an enabled entry it lets nobody in.
    On {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
    },
    /// Takes the list out of force: every address may connect.
    Off {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
    },
    /// Shows the lists.
    List,
}

pub(super) async fn execute(desk: Desk<'_>, command: Allowlist) -> Result<Answer, Refusal> {
    let (cidr, what) = match command {
        Allowlist::Add { vault, cidr, label } => {
            let add = move |it: &Context<'_>| allowlist::add(it, &vault, &cidr, label);
            (through(desk, "ip-allowlist add", add).await?, "is on the list")
        }
        Allowlist::Remove { vault, cidr } => {
            let remove = move |it: &Context<'_>| allowlist::remove(it, &vault, &cidr);
            (through(desk, "ip-allowlist remove", remove).await?, "is off the list")
        }
        Allowlist::Label { vault, cidr, label } => {
            let change = move |it: &Context<'_>| allowlist::label(it, &vault, &cidr, &label);
            (through(desk, "ip-allowlist label", change).await?, "has its label")
        }
        Allowlist::Enable { vault, cidr } => {
            let enable = move |it: &Context<'_>| allowlist::set_entry(it, &vault, &cidr, true);
            (through(desk, "ip-allowlist enable", enable).await?, "counts")
        }
        Allowlist::Disable { vault, cidr } => {
            let disable = move |it: &Context<'_>| allowlist::set_entry(it, &vault, &cidr, false);
            (through(desk, "ip-allowlist disable", disable).await?, "does not count")
        }
        Allowlist::On { vault } => {
            let entries = through(desk, "ip-allowlist on", move |it| allowlist::switch(it, &vault, true)).await?;
            let text = match entries {
                0 => "the list is in force and has no enabled entry: every machine is kept out".to_owned(),
                some => format!("the list is in force, enabled entries: {some}"),
            };
            return Ok(Answer::new(json!({ "enabled": true, "entries": entries }), text));
        }
        Allowlist::Off { vault } => {
            let entries = through(desk, "ip-allowlist off", move |it| allowlist::switch(it, &vault, false)).await?;
            let text = "the list is not in force: every address may connect";
            return Ok(Answer::new(json!({ "enabled": false, "entries": entries }), text));
        }
        Allowlist::List => return Ok(list(&desk.app.live.read())),
    };
    Ok(Answer::new(json!({ "cidr": cidr }), format!("{cidr} {what}")))
}

fn list(world: &World) -> Answer {
    let mut lists: Vec<_> = world.state.allowlists.values().collect();
    lists.sort_by(|a, b| a.vault.cmp(&b.vault));
    let switch = |enabled: bool| if enabled { "on" } else { "off" }.to_owned();
    let mut rows: Vec<[String; 5]> = Vec::new();
    for list in &lists {
        let row = |cidr: &str, entry: String, label: &str| {
            [list.vault.to_string(), switch(list.enabled), cidr.to_owned(), entry, label.to_owned()]
        };
        if list.entries.is_empty() {
            rows.push(row("", String::new(), ""));
        }
        rows.extend(list.entries.iter().map(|it| row(&it.cidr, switch(it.enabled), &it.label)));
    }
    let json = lists.iter().map(|it| json!({ "vaultId": it.vault, "enabled": it.enabled, "entries": it.entries }));
    let headings = ["VAULT", "LIST", "CIDR", "ENTRY", "LABEL"];
    Answer::new(json!({ "allowlists": json.collect::<Vec<_>>() }), table(headings, &rows))
}
