//! The one-time token that stands in the command with which a host begins. A person approves the host's key afterwards.

use std::fmt::Write as _;

use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::secret_text::SecretText;

use super::super::admin::{TOKEN_SECONDS, check_name};
use super::super::author::Author;
use super::super::fresh_id::fresh_token;
use super::super::steps::Steps;
use super::temporary;
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::model::Entity;
use crate::model::millis::Millis;
use crate::model::token::{ForHost, Token, TokenPurpose};
use crate::refusal::{Refusal, invalid};

/// A token that was made. Its text is kept nowhere.
pub(crate) struct Begun {
    pub(crate) token: SecretText,
    pub(crate) hash: String,
    pub(crate) expires_at: Millis,
}

/// Makes a token for a host: of this name, or of the name that the host has. With a lifetime, the machine is a temporary one.
pub(crate) fn begin(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    name: Option<String>,
    lifetime_seconds: Option<u64>,
) -> Result<(Begun, Steps), Refusal> {
    if lifetime_seconds.is_some_and(|it| !temporary::LIFETIME.contains(&it)) {
        return Err(invalid("a temporary machine lasts from 1 hour to 12 months (366d)"));
    }
    if let Some(name) = &name {
        check_name("the name", name)?;
    }
    let (token, hash) = fresh_token("", context);
    let expires_at = context.now.plus_seconds(TOKEN_SECONDS);
    let mut detail = format!("for machine {}", name.as_deref().unwrap_or("(its host name)"));
    if let Some(seconds) = lifetime_seconds {
        // Writing to a String does not fail.
        let _ = write!(detail, ", temporary, for {seconds} s");
    }
    let mut steps = Steps::default();
    steps.audit.push(author.entry(Action::BootstrapTokenCreate, vault, detail));
    let purpose = TokenPurpose::Host(Box::new(ForHost { name, fleet: None, lifetime_seconds }));
    let vault = vault.clone();
    steps.put(Entity::Token(Token { hash, vault, expires_at, purpose, used: None, in_order: true }));
    Ok((Begun { token, hash: hash.to_string(), expires_at }, steps))
}
