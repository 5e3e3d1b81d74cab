//! Agents, and the workloads that may log in as one.

use sikkerkey_protocol::id::{AgentId, ProjectId, VaultId};
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::{AgentView, Scope, TrustView};
use sikkerkey_protocol::secret_text::SecretText;

use super::{find_vault, not_found, project};
use crate::decision::{Context, Decided, Decision};
use crate::model::agent::{Agent, AgentTrust};
use crate::model::millis::Millis;
use crate::refusal::Refusal;
use crate::usecase::agent::trust::{self, NewTrust};
use crate::usecase::agent::{self, Rights, view};
use crate::usecase::author::Author;
use crate::usecase::steps::Steps;

/// Makes a one-time token with which an agent registers that may do nothing until a person says what.
pub fn token(
    context: &Context<'_>,
    vault: &VaultId,
    name: String,
    cluster: Option<String>,
) -> Decided<(SecretText, Millis)> {
    token_with(context, vault, Some(name), cluster, &Said::default())
}

/// What an agent may do, as a person says it.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// What it may do on the management plane.
    pub scopes: Vec<Scope>,
    /// The projects it may see, by id or name; empty: every project of its vault.
    pub projects: Vec<String>,
}

impl Said {
    fn rights(&self, context: &Context<'_>) -> Result<Rights, Refusal> {
        let id = |text: &String| Ok(project::find(context, text)?.id.clone());
        let projects =
            self.projects.iter().map(id).collect::<Result<std::collections::BTreeSet<ProjectId>, Refusal>>()?;
        let projects = (!projects.is_empty()).then_some(projects);
        Ok(Rights { scopes: self.scopes.iter().copied().collect(), projects })
    }
}

/// Makes a one-time token with which an agent registers.
pub fn token_with(
    context: &Context<'_>,
    vault: &VaultId,
    name: Option<String>,
    cluster: Option<String>,
    said: &Said,
) -> Decided<(SecretText, Millis)> {
    find_vault(context, vault)?;
    let rights = said.rights(context)?;
    let (text, expires_at, steps) = agent::token(context, Author::Person, vault, name, cluster, rights)?;
    Ok(steps.decide(move |_| (text, expires_at)))
}

/// Approves an agent.
pub fn approve(context: &Context<'_>, id: &AgentId) -> Decided<AgentView> {
    approve_compared(context, id, None)
}

/// Approves an agent whose key has this fingerprint.
pub fn approve_compared(context: &Context<'_>, id: &AgentId, fingerprint: Option<&str>) -> Decided<AgentView> {
    let agent = find(context, id)?;
    Ok(done(agent, agent::approve(Author::Person, agent, fingerprint)?))
}

/// Removes an agent that waits for approval.
pub fn deny(context: &Context<'_>, id: &AgentId) -> Decided<AgentView> {
    let agent = find(context, id)?;
    Ok(done(agent, agent::deny(Author::Person, agent)?))
}

/// Switches an agent off, or on again.
pub fn set_enabled(context: &Context<'_>, id: &AgentId, enabled: bool) -> Decided<AgentView> {
    let agent = find(context, id)?;
    Ok(done(agent, agent::set_enabled(Author::Person, agent, enabled)?))
}

/// Gives an agent another name.
pub fn rename(context: &Context<'_>, id: &AgentId, name: &str) -> Decided<AgentView> {
    let agent = find(context, id)?;
    Ok(done(agent, agent::rename(context, Author::Person, agent, name)?))
}

/// Says what an agent may do, in place of what was said before.
pub fn set_rights(context: &Context<'_>, id: &AgentId, said: &Said) -> Decided<AgentView> {
    let agent = find(context, id)?;
    Ok(done(agent, agent::set_rights(context, Author::Person, agent, &said.rights(context)?)?))
}

/// Takes an agent its identity.
pub fn revoke(context: &Context<'_>, id: &AgentId) -> Decided<AgentView> {
    let agent = find(context, id)?;
    Ok(done(agent, agent::revoke(Author::Person, agent)?))
}

/// What to trust, as a person says it.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The vault of the agents.
    pub vault: VaultId,
    /// Its name.
    pub name: String,
    /// The `iss` of the tokens.
    pub issuer: String,
    /// The issuer's JWK set.
    pub jwks: String,
    /// The `aud` of the tokens; none: the server's own address.
    pub audience: Option<String>,
    /// What their `sub` looks like.
    pub subject: String,
    /// What the agents may do.
    pub said: Said,
    /// How long each agent lasts, in seconds.
    pub lifetime_seconds: u64,
}

/// Trusts an issuer for workloads of a subject, or replaces what was trusted under the name.
pub fn trust(context: &Context<'_>, request: Trust) -> Decided<TrustView> {
    find_vault(context, &request.vault)?;
    let rights = request.said.rights(context)?;
    let wanted = NewTrust {
        name: request.name,
        issuer: request.issuer,
        jwks: request.jwks,
        audience: request.audience.unwrap_or_else(|| context.public_url.to_owned()),
        subject: request.subject,
        rights,
        lifetime_seconds: request.lifetime_seconds,
    };
    let (trust, steps) = trust::trust(context, Author::Person, &request.vault, wanted)?;
    Ok(steps.decide(move |context| trust::view(context.state, &trust)))
}

/// Trusts no longer. Agents that logged in by it end now.
pub fn distrust(context: &Context<'_>, vault: &VaultId, name: &str) -> Decided<()> {
    let trust = context.state.agent_trusts.get(&AgentTrust::id(vault, name));
    let trust =
        trust.ok_or_else(|| not_found(format!("vault {vault} trusts nothing {name}: agent trusts shows them")))?;
    let steps = trust::distrust(context, Author::Person, trust)?;
    Ok(steps.decide(|_| ()))
}

fn done(agent: &Agent, steps: Steps) -> Decision<AgentView> {
    let agent = agent.clone();
    steps.decide(move |context| match context.state.agents.get(&agent.id) {
        Some(it) => view(it, |_| true),
        None => AgentView { approval: Approval::Denied, enabled: false, ..view(&agent, |_| true) },
    })
}

pub(crate) fn find<'a>(context: &Context<'a>, id: &AgentId) -> Result<&'a Agent, Refusal> {
    context.state.agents.get(id).ok_or_else(|| not_found(format!("there is no agent {id}: agent list shows them")))
}
