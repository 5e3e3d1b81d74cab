//! Agents of people, as people and other agents manage them.
//!
//! What an agent may do is a person's word alone. An agent may let in what has no more than itself, take away from whatever
//! does not speak for a cluster, and never from itself.

pub mod login;
pub(crate) mod trust;

use std::collections::BTreeSet;

use sikkerkey_protocol::id::{ProjectId, VaultId};
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::{AgentView, Scope};
use sikkerkey_protocol::secret_text::SecretText;

use super::admin::check_name;
use super::author::Author;
use super::fresh_id::fresh_token;
use super::machine::{compare, remember};
use super::steps::Steps;
use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::model::agent::Agent;
use crate::model::millis::Millis;
use crate::model::token::{ForAgent, Token, TokenPurpose};
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, RefusalKind, conflict};
use crate::state::State;

/// How long a one-time token of an agent is good, in seconds.
const TOKEN_SECONDS: u64 = 600;

/// What an agent may do. Nothing, unless it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// What it may do on the management plane.
    pub scopes: BTreeSet<Scope>,
    /// The projects it may see; none: every project of its vault.
    pub projects: Option<BTreeSet<ProjectId>>,
}

impl Rights {
    /// For a person.
    pub(crate) fn describe(&self) -> String {
        let scopes = self.scopes.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(" ");
        let scopes = if scopes.is_empty() { "no scope".to_owned() } else { format!("scopes {scopes}") };
        match &self.projects {
            None => format!("{scopes}, every project"),
            Some(projects) => {
                let ids = projects.iter().map(ProjectId::as_str).collect::<Vec<_>>().join(" ");
                format!("{scopes}, projects {}", if ids.is_empty() { "none" } else { &ids })
            }
        }
    }
}

/// Makes a one-time token with which an agent registers. A person's alone.
pub(crate) fn token(
    context: &Context<'_>,
    author: Author<'_>,
    vault: &VaultId,
    name: Option<String>,
    cluster: Option<String>,
    rights: Rights,
) -> Result<(SecretText, Millis, Steps), Refusal> {
    require_person(author, "makes tokens for agents")?;
    if let Some(name) = &name {
        check_name("the name", name)?;
    }
    if let Some(cluster) = &cluster {
        let trusted = context.state.clusters.get(cluster).filter(|it| it.vault == *vault);
        trusted.ok_or_else(|| {
            let text = format!("vault {vault} has no cluster {cluster}: trust it first with cluster trust");
            Refusal::new(RefusalKind::NotFound, text)
        })?;
        if rights != Rights::default() {
            let text = format!("an agent of cluster {cluster} has routes of its own: give it no scope and no project");
            return Err(Refusal::new(RefusalKind::Invalid, text));
        }
    }
    check_projects(context.state, vault, &rights)?;
    let (text, hash) = fresh_token("", context);
    let expires_at = context.now.plus_seconds(TOKEN_SECONDS);
    let mut steps = Steps::default();
    let of = cluster.as_ref().map_or_else(|| rights.describe(), |it| format!("of cluster {it}"));
    let detail = format!("for agent {}, {of}", name.as_deref().unwrap_or("(as it says)"));
    steps.audit.push(author.entry(Action::BootstrapTokenCreate, vault, detail));
    let agent = ForAgent { name, cluster, scopes: Some(rights.scopes), projects: rights.projects };
    let purpose = TokenPurpose::Agent(Box::new(agent));
    steps.put(Entity::Token(Token { hash, vault: vault.clone(), expires_at, purpose, used: None, in_order: true }));
    Ok((text, expires_at, steps))
}

/// Approves an agent's key.
pub(crate) fn approve(author: Author<'_>, agent: &Agent, fingerprint: Option<&str>) -> Result<Steps, Refusal> {
    compare(&format!("agent {}", agent.name), &agent.public_key.fingerprint(), fingerprint)?;
    refuse_more(author, agent)?;
    let mut steps = Steps::default();
    if !agent.approved {
        let detail = format!("agent {} approved, key {}", agent.name, agent.public_key.fingerprint());
        steps.audit.push(author.entry(Action::AgentApprove, &agent.vault, detail));
        steps.put(Entity::Agent(Agent { approved: true, ..agent.clone() }));
    }
    Ok(steps)
}

/// Removes an agent that waits for approval.
pub(crate) fn deny(author: Author<'_>, agent: &Agent) -> Result<Steps, Refusal> {
    refuse_taking(author, agent, "deny")?;
    if agent.approved {
        return Err(conflict(format!("agent {} is approved: revoke it, or switch it off", agent.name)));
    }
    let mut steps = Steps::default();
    let detail = format!("agent {} denied, key {}", agent.name, agent.public_key.fingerprint());
    steps.audit.push(author.entry(Action::AgentDeny, &agent.vault, detail));
    steps.remove(EntityKind::Agent, &agent.id);
    Ok(steps)
}

/// Switches an agent off, or on again.
pub(crate) fn set_enabled(author: Author<'_>, agent: &Agent, enabled: bool) -> Result<Steps, Refusal> {
    if enabled {
        refuse_more(author, agent)?;
    } else {
        refuse_taking(author, agent, "disable")?;
    }
    let mut steps = Steps::default();
    if agent.enabled != enabled {
        let what = if enabled { "enabled" } else { "disabled" };
        steps.audit.push(about(author, agent, format!("agent {} {what}", agent.name)));
        steps.put(Entity::Agent(Agent { enabled, ..agent.clone() }));
    }
    Ok(steps)
}

/// Takes an agent its identity.
pub(crate) fn revoke(author: Author<'_>, agent: &Agent) -> Result<Steps, Refusal> {
    refuse_taking(author, agent, "revoke")?;
    let mut steps = Steps::default();
    steps.audit.push(author.entry(Action::AgentRevoke, &agent.vault, format!("agent {} revoked", agent.name)));
    steps.remove(EntityKind::Agent, &agent.id);
    Ok(steps)
}

/// Gives an agent another name.
pub(crate) fn rename(context: &Context<'_>, author: Author<'_>, agent: &Agent, name: &str) -> Result<Steps, Refusal> {
    check_name("the name", name)?;
    refuse_of_cluster(author, agent)?;
    let mut steps = Steps::default();
    if agent.name != name {
        steps.audit.push(about(author, agent, format!("agent {} is called {name:?}", agent.name)));
        let mut renamed = Agent { name: name.to_owned(), ..agent.clone() };
        remember(&mut renamed.earlier_names, &agent.name, context.now);
        steps.put(Entity::Agent(renamed));
    }
    Ok(steps)
}

/// Says what an agent may do, in place of what was said before. A person's alone.
pub(crate) fn set_rights(
    context: &Context<'_>,
    author: Author<'_>,
    agent: &Agent,
    rights: &Rights,
) -> Result<Steps, Refusal> {
    require_person(author, "says what an agent may do")?;
    if let Some(cluster) = &agent.cluster {
        let text = format!("agent {} speaks for cluster {cluster}, and has routes of its own", agent.name);
        return Err(conflict(text));
    }
    check_projects(context.state, &agent.vault, rights)?;
    let mut steps = Steps::default();
    let changed = Agent { scopes: Some(rights.scopes.clone()), projects: rights.projects.clone(), ..agent.clone() };
    if changed != *agent {
        steps.audit.push(about(author, agent, format!("agent {}: {}", agent.name, rights.describe())));
        steps.put(Entity::Agent(changed));
    }
    Ok(steps)
}

/// A project that an agent made is one that it may see.
pub(crate) fn add_project(author: Author<'_>, project: &ProjectId, steps: &mut Steps) {
    if let Author::Agent(agent, _) = author
        && let Some(projects) = &agent.projects
    {
        let mut projects = projects.clone();
        projects.insert(project.clone());
        steps.put(Entity::Agent(Agent { projects: Some(projects), ..agent.clone() }));
    }
}

/// An agent for whoever sees the projects that `sees` lets through.
pub(crate) fn view(agent: &Agent, sees: impl Fn(&ProjectId) -> bool) -> AgentView {
    let all = || Scope::ALL.iter().copied().collect::<BTreeSet<_>>();
    AgentView {
        id: agent.id.clone(),
        name: agent.name.clone(),
        approval: if agent.approved { Approval::Approved } else { Approval::Pending },
        enabled: agent.enabled,
        scopes: agent.scopes.clone().unwrap_or_else(all).into_iter().collect(),
        project_ids: agent.projects.as_ref().map(|it| it.iter().filter(|it| sees(it)).cloned().collect()),
        created_at: agent.created_at.map(|it| it.0),
        expires_at: agent.expires_at.map(|it| it.0),
        fingerprint: agent.public_key.fingerprint(),
        cluster: agent.cluster.clone(),
        trust: agent.workload.as_ref().map(|it| it.trust.clone()),
        subject: agent.workload.as_ref().map(|it| it.subject.clone()),
    }
}

pub(crate) fn check_projects(state: &State, vault: &VaultId, rights: &Rights) -> Result<(), Refusal> {
    for id in rights.projects.iter().flatten() {
        if state.projects.get(id).is_none_or(|it| it.vault != *vault) {
            let text = format!("vault {vault} has no project {id}: project list shows them");
            return Err(Refusal::new(RefusalKind::NotFound, text));
        }
    }
    Ok(())
}

pub(crate) fn require_person(author: Author<'_>, what: &str) -> Result<(), Refusal> {
    if author.is_person() {
        return Ok(());
    }
    let text = format!("only a person {what}: sikkerkey-server admin agent");
    Err(Refusal::new(RefusalKind::Forbidden, text))
}

/// An agent lets nobody in who may do more than itself, in this request: a scope that it does not have, or a project that it
/// does not see.
fn refuse_more(author: Author<'_>, agent: &Agent) -> Result<(), Refusal> {
    let Author::Agent(own, _) = author else { return Ok(()) };
    refuse_of_cluster(author, agent)?;
    let all: BTreeSet<Scope> = Scope::ALL.iter().copied().collect();
    let (theirs, ours) = (agent.scopes.as_ref().unwrap_or(&all), own.scopes.as_ref().unwrap_or(&all));
    let what = if let Some(scope) = theirs.difference(ours).next() {
        format!("the scope {scope}")
    } else {
        match (&agent.projects, &own.projects) {
            (_, None) => return Ok(()),
            (None, Some(_)) => "every project".to_owned(),
            (Some(theirs), Some(ours)) if theirs.is_subset(ours) => return Ok(()),
            (Some(_), Some(_)) => "a project that this one does not see".to_owned(),
        }
    };
    let text = format!(
        "agent {} has {what}, which is more than this agent has: a person lets it in with sikkerkey-server admin agent",
        agent.name
    );
    Err(Refusal::new(RefusalKind::Forbidden, text))
}

fn refuse_taking(author: Author<'_>, agent: &Agent, what: &str) -> Result<(), Refusal> {
    let Author::Agent(own, _) = author else { return Ok(()) };
    if own.id == agent.id {
        let text = format!("an agent does not {what} itself: another agent or a person does it");
        return Err(Refusal::new(RefusalKind::Forbidden, text));
    }
    refuse_of_cluster(author, agent)
}

fn refuse_of_cluster(author: Author<'_>, agent: &Agent) -> Result<(), Refusal> {
    match agent.cluster.as_ref().filter(|_| !author.is_person()) {
        Some(cluster) => Err(conflict(format!(
            "agent {} speaks for cluster {cluster}: a person manages it with sikkerkey-server admin agent",
            agent.name
        ))),
        None => Ok(()),
    }
}

fn about(author: Author<'_>, agent: &Agent, detail: String) -> Entry {
    author.entry(Action::AgentUpdate, &agent.vault, detail)
}
