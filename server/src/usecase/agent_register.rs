//! An agent outside any cluster registers with a one-time token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::Call;
use sikkerkey_protocol::id::{AgentId, VaultId};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::secret_text::SecretText;

use super::admin::check_name;
use super::fresh_id::fresh_uuid;
use super::key_owner::require_unused;
use super::source::Source;
use super::steps::{Steps, answer};
use crate::audit::digest::Digest;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::token::{ForAgent, Token, TokenPurpose, Used};
use crate::refusal::{Refusal, RefusalKind, unauthenticated};

/// The request. Unsigned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterAgent {
    /// The one-time token, 64 hex digits.
    pub token: SecretText,
    /// The agent's key.
    pub public_key: PublicKey,
    /// What people are to call it, where the token does not say.
    #[serde(default)]
    pub name: Option<String>,
}

/// The answer. The agent waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentRegistered {
    /// What to sign as.
    pub agent_id: AgentId,
    /// What people call it.
    pub name: String,
    /// Its vault.
    pub vault_id: VaultId,
}

impl Call for RegisterAgent {
    const PATH: &'static str = "/v1/ai-bootstrap/register";
    type Answer = AgentRegistered;
}

/// Registers an agent, which a person approves afterwards.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn register(context: &Context<'_>, source: Source, request: RegisterAgent) -> Decided<AgentRegistered> {
    let hash = Digest::of(request.token.expose().as_bytes());
    let Some(token) = context.state.tokens.get(&hash) else {
        return Err(unauthenticated("the token is not known here, or ended some time ago: ask for a new one"));
    };
    let TokenPurpose::Agent(purpose) = &token.purpose else {
        return Err(unauthenticated("the token is for a machine: register it at /v1/bootstrap/register"));
    };
    let ForAgent { name, cluster, scopes, projects } = &**purpose;
    if token.expires_at <= context.now {
        return Err(unauthenticated("the token has expired: ask for a new one"));
    }
    if let Some(used) = &token.used {
        let held = context.state.agents.values().find(|it| it.public_key == used.public_key);
        return match held.filter(|it| it.public_key == request.public_key) {
            Some(agent) => {
                let registered = registered(agent);
                Ok(answer(move |_| registered))
            }
            None => Err(unauthenticated("the token was used by another key: ask for a new one")),
        };
    }
    require_unused(context.state, &request.public_key)?;
    // What a person wrote down is what that person looks for when it is approved.
    let Some(name) = name.as_ref().or(request.name.as_ref()) else {
        let text = "name must be given: the token gives the agent none";
        return Err(Refusal::new(RefusalKind::Invalid, text));
    };
    check_name("the name", name)?;
    let agent = Agent {
        id: fresh_uuid(context)?,
        vault: token.vault.clone(),
        name: name.clone(),
        public_key: request.public_key,
        cluster: cluster.clone(),
        approved: false,
        enabled: true,
        expires_at: None,
        pod: None,
        scopes: scopes.clone(),
        projects: projects.clone(),
        created_at: Some(context.now),
        earlier_names: Vec::new(),
        workload: None,
    };
    let mut steps = Steps::default();
    steps.audit.push(Entry {
        vault: Some(agent.vault.clone()),
        source_ip: Some(source.address),
        detail: format!("agent {name}, waits for approval, key {}", agent.public_key.fingerprint()),
        ..Entry::new(Action::AgentRegister, Actor::Agent(agent.id.clone()))
    });
    let registered = registered(&agent);
    let used = Box::new(Used { public_key: agent.public_key, registered: None });
    steps.put(Entity::Agent(agent));
    steps.put(Entity::Token(Token { used: Some(used), ..(**token).clone() }));
    Ok(steps.decide(move |_| registered))
}

fn registered(agent: &Agent) -> AgentRegistered {
    AgentRegistered { agent_id: agent.id.clone(), name: agent.name.clone(), vault_id: agent.vault.clone() }
}

#[cfg(test)]
mod tests;
