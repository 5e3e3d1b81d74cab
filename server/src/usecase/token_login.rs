//! What every login by a token of an issuer has in common: the token says for whom, the key that comes with it signs from
//! then on, and neither is taken twice.

use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::key::{PublicKey, Signature};

use super::key_owner::require_unused;
use super::source::Source;
use super::steps::Steps;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::Context;
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::cluster::SpentLogin;
use crate::model::millis::Millis;
use crate::oidc;
use crate::refusal::{Refusal, unauthenticated};

/// Whoever brings a token that verified has the key, and neither was used before. Answers by what the token is remembered.
pub(super) fn require_new(
    context: &Context<'_>,
    token: &str,
    key: &PublicKey,
    proof: &Signature,
) -> Result<String, Refusal> {
    let message = possession(Purpose::Login, token, key);
    key.verify(&message, proof)
        .map_err(|_| unauthenticated("the proof of possession does not verify: sign it with the key that logs in"))?;
    let hash = oidc::unspent(&context.state.spent_logins, token)
        .ok_or_else(|| unauthenticated("the token was used before: ask for a new one for each login"))?;
    require_unused(context.state, key)?;
    Ok(hash)
}

/// Lets an agent in. Its token, which ends then, is spent.
pub(super) fn let_in(agent: &Agent, source: Source, token: String, token_ends: Millis) -> Steps {
    let mut steps = Steps::default();
    steps.audit.push(Entry {
        vault: Some(agent.vault.clone()),
        source_ip: Some(source.address),
        detail: format!("{}, key {}", agent.name, agent.public_key.fingerprint()),
        ..Entry::new(Action::AgentLogin, Actor::Agent(agent.id.clone()))
    });
    steps.put(Entity::SpentLogin(SpentLogin { hash: token, expires_at: oidc::forget_at(token_ends) }));
    steps.put(Entity::Agent(agent.clone()));
    steps
}
