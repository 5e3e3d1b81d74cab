//! `admin machine bootstrap`: the command with which a host begins.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sikkerkey_protocol::bootstrap::{BootstrapCommand, Shell};
use sikkerkey_protocol::id::VaultId;

use super::Answer;
use super::duration::duration;
use super::execute::{Desk, through};
use crate::decision::Context;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::machine;

/// What the command is for.
#[derive(Debug, Args, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The vault.
    #[arg(long)]
    vault: VaultId,
    /// The machine's name; left out: its host name.
    #[arg(long)]
    name: Option<String>,
    /// For what the command is.
    #[arg(long = "for", value_enum, default_value_t = System::Unix)]
    system: System,
    /// Lets the machine in for a time only, which begins when it is approved, such as 12h, 30d or 2w; from 1 hour to 366d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    temporary: Option<u64>,
}

/// For what a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum System {
    /// Linux and macOS, typed on the host.
    Unix,
    /// Windows, typed in `PowerShell` on the host.
    Windows,
    /// Linux and macOS, typed on your own host: makes an identity that pods bring along in a Kubernetes Secret.
    Kubernetes,
}

impl From<System> for Shell {
    fn from(system: System) -> Self {
        match system {
            System::Unix => Self::Posix,
            System::Windows => Self::PowerShell,
            System::Kubernetes => Self::Kubernetes,
        }
    }
}

pub(super) async fn execute(desk: Desk<'_>, command: Bootstrap) -> Result<Answer, Refusal> {
    let Bootstrap { vault, name, system, temporary } = command;
    let of = vault.clone();
    let decide = move |it: &Context<'_>| match temporary {
        Some(seconds) => machine::bootstrap_temporary(it, &of, name, seconds),
        None => machine::bootstrap(it, &of, name),
    };
    let (token, expires_at) = through(desk, "machine bootstrap", decide).await?;
    let mut json = json!({ "token": token.expose(), "expiresAt": expires_at.0, "expires": instant(expires_at) });
    if !desk.serves {
        let text = format!(
            "{}\nThis is the token alone: no server runs here that could say its address. Once it runs, ask again for the whole \
             command, or fetch ORIGIN/v1/bootstrap/TOKEN.",
            token.expose()
        );
        return Ok(Answer::new(json, text));
    }
    let authority = desk.app.authority();
    let command = BootstrapCommand {
        url: &desk.app.public_url,
        token: token.expose(),
        authority: authority.as_deref(),
        temporary_in: temporary.is_some().then_some(&vault),
    };
    let all = [("unix", Shell::Posix), ("windows", Shell::PowerShell), ("kubernetes", Shell::Kubernetes)];
    // Temporary machines are hosts: there is no such script for pods.
    let all = all.into_iter().filter(|(_, shell)| temporary.is_none() || *shell != Shell::Kubernetes);
    let commands: serde_json::Map<String, Value> =
        all.map(|(name, shell)| (name.to_owned(), command.text(shell).into())).collect();
    if let Value::Object(json) = &mut json {
        json.insert("commands".to_owned(), commands.into());
    }
    Ok(Answer::new(json, command.text(system.into())))
}
