//! A workload logs in with a token of an issuer that a person trusts.

use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::management::{AgentLoggedIn, AgentLogin};

use super::super::fresh_id::fresh_uuid;
use super::super::key_owner::require_unused;
use super::super::source::Source;
use super::super::steps::Steps;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::agent::{Agent, Workload};
use crate::model::cluster::SpentLogin;
use crate::oidc;
use crate::refusal::{Refusal, RefusalKind};

const MAX_NAME: usize = 255;

/// Makes an agent that ends by itself. Each token is accepted once: whoever finds one that was used has nothing.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn login(context: &Context<'_>, source: Source, request: AgentLogin) -> Decided<AgentLoggedIn> {
    let token = request.token.expose();
    let meant = context.state.agent_trusts.values().filter(|it| {
        request.vault_id.as_ref().is_none_or(|vault| it.vault == *vault)
            && request.trust.as_ref().is_none_or(|name| it.name == *name)
    });
    let verified =
        oidc::verify_workload(meant, token, context.now).map_err(|error| unauthenticated(error.to_string()))?;
    let proof = possession(Purpose::Login, token, &request.public_key);
    request.public_key.verify(&proof, &request.proof).map_err(|_| {
        unauthenticated("the proof of possession does not verify: sign it with the key that logs in".to_owned())
    })?;
    let hash = oidc::unspent(&context.state.spent_logins, token)
        .ok_or_else(|| unauthenticated("the token was used before: ask for a new one for each login".to_owned()))?;
    require_unused(context.state, &request.public_key)?;

    let trust = verified.trust;
    let expires_at = context.now.plus_seconds(trust.lifetime_seconds);
    let subject: String = verified.subject.chars().filter(|it| !it.is_control()).collect();
    let agent = Agent {
        id: fresh_uuid(context)?,
        vault: trust.vault.clone(),
        name: cut(format!("{} {subject}", trust.name)),
        public_key: request.public_key,
        cluster: None,
        approved: true,
        enabled: true,
        expires_at: Some(expires_at),
        pod: None,
        scopes: Some(trust.scopes.clone()),
        projects: trust.projects.clone(),
        created_at: Some(context.now),
        earlier_names: Vec::new(),
        workload: Some(Workload { trust: trust.name.clone(), subject }),
    };
    let mut steps = Steps::default();
    steps.audit.push(Entry {
        vault: Some(agent.vault.clone()),
        source_ip: Some(source.address),
        detail: format!("{}, key {}", agent.name, agent.public_key.fingerprint()),
        ..Entry::new(Action::AgentLogin, Actor::Agent(agent.id.clone()))
    });
    steps.put(Entity::SpentLogin(SpentLogin { hash, expires_at: oidc::forget_at(verified.expires_at) }));
    steps.put(Entity::Agent(agent.clone()));
    let answer = AgentLoggedIn {
        agent_id: agent.id,
        name: agent.name,
        vault_id: agent.vault,
        scopes: trust.scopes.iter().copied().collect(),
        expires_at: expires_at.0,
    };
    Ok(steps.decide(move |_| answer))
}

fn cut(mut name: String) -> String {
    while name.len() > MAX_NAME {
        name.pop();
    }
    name
}

fn unauthenticated(text: String) -> Refusal {
    Refusal::new(RefusalKind::Unauthenticated, text)
}

#[cfg(test)]
mod tests;
