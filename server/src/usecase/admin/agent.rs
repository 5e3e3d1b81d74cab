//! Agents outside clusters.

use sikkerkey_protocol::id::{AgentId, VaultId};
use sikkerkey_protocol::secret_text::SecretText;

use super::{TOKEN_SECONDS, by_person, check_name, find_vault, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::model::millis::Millis;
use crate::model::token::{Token, TokenPurpose};
use crate::model::{Entity, EntityKind};
use crate::usecase::fresh_id::fresh_token;
use crate::usecase::steps::Steps;

/// Makes a one-time token with which an agent registers.
pub fn token(
    context: &Context<'_>,
    vault: &VaultId,
    name: String,
    cluster: Option<String>,
) -> Decided<(SecretText, Millis)> {
    find_vault(context, vault)?;
    check_name("the name", &name)?;
    if let Some(cluster) = &cluster {
        let trusted = context.state.clusters.get(cluster).filter(|it| it.vault == *vault);
        trusted.ok_or_else(|| {
            not_found(format!("vault {vault} has no cluster {cluster}: trust it first with cluster trust"))
        })?;
    }
    let (text, hash) = fresh_token("", context);
    let expires_at = context.now.plus_seconds(TOKEN_SECONDS);
    let mut steps = Steps::default();
    let detail =
        format!("for agent {name}{}", cluster.as_ref().map_or_else(String::new, |it| format!(" of cluster {it}")));
    steps.audit.push(by_person(Action::BootstrapTokenCreate, Some(vault), detail));
    let purpose = TokenPurpose::Agent { name, cluster };
    steps.put(Entity::Token(Token { hash, vault: vault.clone(), expires_at, purpose, used: None, in_order: true }));
    Ok(steps.decide(move |_| (text, expires_at)))
}

/// Approves an agent.
pub fn approve(context: &Context<'_>, id: &AgentId) -> Decided<()> {
    let agent = find(context, id)?;
    let mut steps = Steps::default();
    if !agent.approved {
        let detail = format!("agent {} approved, key {}", agent.name, agent.public_key.fingerprint());
        steps.audit.push(by_person(Action::AgentApprove, Some(&agent.vault), detail));
        steps.put(Entity::Agent(Agent { approved: true, ..agent.clone() }));
    }
    Ok(steps.decide(|_| ()))
}

/// Takes an agent its identity.
pub fn revoke(context: &Context<'_>, id: &AgentId) -> Decided<()> {
    let agent = find(context, id)?;
    let mut steps = Steps::default();
    let entry = by_person(Action::AgentRevoke, Some(&agent.vault), format!("agent {} revoked", agent.name));
    steps.audit.push(entry);
    steps.remove(EntityKind::Agent, id);
    Ok(steps.decide(|_| ()))
}

fn find<'a>(context: &Context<'a>, id: &AgentId) -> Result<&'a Agent, crate::refusal::Refusal> {
    context.state.agents.get(id).ok_or_else(|| not_found(format!("there is no agent {id}: agent list shows them")))
}
