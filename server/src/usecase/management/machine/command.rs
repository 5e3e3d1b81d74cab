//! The command with which a host begins, for a person who is going to approve it, and what has come of it.

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::secret_text::SecretText;

use super::super::{Manager, not_found};
use super::table::{self, Locks, TableRow};
use crate::audit::digest::Digest;
use crate::decision::{Context, Decided};
use crate::model::millis::Millis;
use crate::model::token::{Token, TokenPurpose};
use crate::usecase::machine::{Found, command};
use crate::usecase::steps::Steps;

/// The machine that is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewMachine {
    /// Its name; none: its host name.
    pub name: Option<String>,
    /// Of a temporary one: how long it lasts from its approval on, in seconds.
    pub lifetime_seconds: Option<u64>,
}

/// A command that was made.
#[derive(Debug)]
pub struct Command {
    /// What stands in the address of the script. Kept nowhere.
    pub token: SecretText,
    /// By which one asks what has come of it.
    pub id: String,
    /// The vault.
    pub vault: VaultId,
    /// The machine that is to be.
    pub machine: NewMachine,
    /// When it ends; Unix milliseconds.
    pub expires_at: i64,
    /// The server's public origin, without a trailing slash.
    pub url: String,
}

/// What has come of a command.
#[derive(Debug)]
pub enum Arrival {
    /// Nobody has used it.
    Awaited {
        /// When it ends; Unix milliseconds.
        until: i64,
    },
    /// Its time is over, and nobody used it; or that is so long ago that nobody knows.
    Over,
    /// It was used.
    Came(Box<TableRow>),
    /// It was used, and the machine is gone since: denied or revoked.
    Gone {
        /// What it was called.
        name: String,
    },
}

/// Makes a command. The same as `admin machine bootstrap`.
pub fn begin(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], machine: NewMachine) -> Decided<Command> {
    let NewMachine { name, lifetime_seconds } = machine.clone();
    let (begun, steps) = command::begin(context, manager.author(), manager.vault, name, lifetime_seconds)?;
    let (vault, url) = (manager.vault.clone(), context.public_url.to_owned());
    Ok(steps.decide(move |_| Command {
        token: begun.token,
        id: begun.hash,
        vault,
        machine,
        expires_at: begun.expires_at.0,
        url,
    }))
}

/// What has come of a command, by its id.
pub fn arrival(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<Arrival> {
    let Ok(hash) = id.parse::<Digest>() else { return Err(not_found("there is no such command")) };
    let token = context.state.tokens.get(&hash).map(|it| &**it).filter(|it| it.vault == *manager.vault);
    let token = token.filter(|it| matches!(it.purpose, TokenPurpose::Host(_))).cloned();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("what has come of a command for a machine".to_owned()));
    let sight = manager.sight();
    Ok(steps.decide(move |context| {
        let Some(registered) = token.as_ref().and_then(|it| it.used.as_ref()?.registered.as_ref()) else {
            return awaited(token.as_ref(), context.now);
        };
        match context.state.machines.get(&registered.machine_id) {
            Some(it) => Arrival::Came(Box::new(table::row(context, &sight, &Locks::new(), Found::Machine(it)))),
            None => Arrival::Gone { name: registered.machine_name.clone() },
        }
    }))
}

fn awaited(token: Option<&Token>, now: Millis) -> Arrival {
    match token {
        Some(it) if now < it.expires_at => Arrival::Awaited { until: it.expires_at.0 },
        _ => Arrival::Over,
    }
}

#[cfg(test)]
mod tests;
