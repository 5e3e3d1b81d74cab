//! What a person does at the server's command line.

pub mod account;
pub mod adopt;
pub mod agent;
pub mod allowlist;
pub mod application;
pub mod canary;
pub mod cluster;
pub mod enrolment_token;
pub mod grant;
pub mod machine;
pub mod member;
pub mod policy;
pub mod project;
pub mod project_key;
pub mod restore;
pub mod root_key;
pub mod sealing_key;
pub mod secret;
pub mod vault;

use sikkerkey_protocol::id::VaultId;

use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::Context;
use crate::model::account::{Account, Vault};
use crate::refusal::{Refusal, conflict, invalid, not_found};

/// How long a one-time token of a person is good, in seconds.
pub const TOKEN_SECONDS: u64 = 600;

const MAX_NAME: usize = 255;

fn by_person(action: Action, vault: Option<&VaultId>, detail: String) -> Entry {
    Entry { vault: vault.cloned(), detail, ..Entry::new(action, Actor::Administrator) }
}

/// The account of an e-mail address.
pub(crate) fn find_account<'a>(context: &Context<'a>, email: &str) -> Result<&'a Account, Refusal> {
    let account = context.state.account_named(email.trim());
    account.ok_or_else(|| not_found(format!("there is no account {email}: account list shows them")))
}

fn check_email(email: &str) -> Result<(), Refusal> {
    let parts = email.split_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
    let plain = email.len() <= 254 && !email.chars().any(|it| it.is_control() || it.is_whitespace());
    if parts.is_some() && plain { Ok(()) } else { Err(invalid(format!("{email} is not an e-mail address"))) }
}

pub(crate) fn find_vault<'a>(context: &Context<'a>, id: &VaultId) -> Result<&'a Vault, Refusal> {
    context.state.vaults.get(id).ok_or_else(|| not_found(format!("there is no vault {id}: vault list shows them")))
}

pub(super) fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    name_flaw(name).map_or(Ok(()), |flaw| Err(invalid(format!("{what} {flaw}"))))
}

/// Why a name cannot be shown to people as it is, to be read behind what is named.
pub(super) fn name_flaw(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Some(format!("must be from 1 to {MAX_NAME} printable characters"));
    }
    let hidden = name.chars().find(|it| is_hidden(*it))?;
    Some(format!(
        "must not contain U+{:04X}, a character that is invisible or turns the direction of text",
        u32::from(hidden)
    ))
}

/// With one of these a name looks like another, or makes what stands beside it be read in another order.
fn is_hidden(it: char) -> bool {
    matches!(
        it,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests;
