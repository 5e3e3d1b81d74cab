//! A workload logs in with a token of an issuer that a person trusts.

use sikkerkey_protocol::management::{AgentLoggedIn, AgentLogin};

use super::super::fresh_id::fresh_uuid;
use super::super::source::Source;
use super::super::token_login;
use crate::decision::{Context, Decided};
use crate::model::agent::{Agent, Workload};
use crate::oidc;
use crate::refusal::unauthenticated;

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
    let hash = token_login::require_new(context, token, &request.public_key, &request.proof)?;

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
    let steps = token_login::let_in(&agent, source, hash, verified.expires_at);
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

#[cfg(test)]
mod tests;
