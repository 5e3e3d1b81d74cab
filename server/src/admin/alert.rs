//! `admin alert …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::Alerts;

use super::Answer;
use super::execute::{Desk, through};
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::refusal::Refusal;
use crate::usecase::admin::find_vault;
use crate::usecase::author::Author;
use crate::usecase::steps::answer;
use crate::usecase::webhook::{names, set_alerts};

/// Alerts: which actions are told in the server's log, and by webhooks that name none of their own.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Alert {
    /// Shows which actions are told.
    Get {
        /// Of which vault.
        #[arg(long)]
        vault: VaultId,
    },
    /// Says which actions are told, and no others.
    Set {
        /// Of which vault.
        #[arg(long)]
        vault: VaultId,
        /// An action. May be given several times; left out: none is told.
        #[arg(long = "action", value_enum, hide_possible_values = true)]
        actions: Vec<Action>,
    },
}

pub(super) async fn execute(desk: Desk<'_>, command: Alert) -> Result<Answer, Refusal> {
    let actions = match command {
        Alert::Get { vault } => {
            let get = move |it: &Context<'_>| {
                find_vault(it, &vault)?;
                Ok(answer(move |it| it.state.alerts_of(&vault)))
            };
            through(desk, "alert get", get).await?
        }
        Alert::Set { vault, actions } => {
            let wanted = names(&actions);
            let set = move |it: &Context<'_>| {
                find_vault(it, &vault)?;
                let (actions, steps) = set_alerts(it, Author::Person, &vault, &wanted)?;
                Ok(steps.decide(move |_| actions))
            };
            through(desk, "alert set", set).await?
        }
    };
    let enabled_actions = names(&actions);
    let text = if enabled_actions.is_empty() { "nothing is told".to_owned() } else { enabled_actions.join("\n") };
    Ok(Answer::new(json!(Alerts { enabled_actions }), text))
}
