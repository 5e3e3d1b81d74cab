//! Agents. What one may do, and tokens for new ones, are a person's word: there is no route for either.

use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::{AgentList, AgentView, ApproveAgent, AuditQuery, NameHistory, Rename, WhoAmI};

use super::{Manager, not_found};
use crate::app::App;
use crate::decision::{Context, Decided, Decision};
use crate::model::agent::Agent;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::agent::{self, view};
use crate::usecase::audit::{self, Search};
use crate::usecase::author::Author;
use crate::usecase::machine::view::history;
use crate::usecase::steps::Steps;

/// How many rows of the audit an agent is told about itself.
const RECENT: u32 = 20;

/// Who asks, and which rows of the audit are looked for.
pub struct WhoAsks {
    agent: AgentView,
    search: Search,
}

/// Who asks. What it did last is told by [`with_activity`].
pub fn whoami(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<WhoAsks> {
    let Author::Agent(own, _) = manager.author() else {
        return Err(Refusal::new(RefusalKind::Forbidden, "this route is for agents: it answers who signed"));
    };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("itself".to_owned()));
    let query = AuditQuery { search: Some(own.id.to_string()), page_size: Some(RECENT), ..AuditQuery::default() };
    let projects = manager.projects.map(|it| it.iter().cloned().collect());
    let search = Search::new(&query, Some(manager.vault.clone()), projects)?.asked_by(manager.asker());
    let (own, sight) = (own.clone(), manager.sight());
    Ok(steps.decide(move |_| WhoAsks { agent: view(&own, |it| sight.sees(it)), search }))
}

/// Finds what [`whoami`] looks for.
pub async fn with_activity(app: App, asks: WhoAsks) -> Result<WhoAmI, Refusal> {
    Ok(WhoAmI { agent: asks.agent, recent_activity: audit::own(&app, &asks.search).await? })
}

/// The agents of the vault, by name.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<AgentList> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the agents".to_owned()));
    let (vault, sight) = (manager.vault.clone(), manager.sight());
    Ok(steps.decide(move |context| {
        let agents = context.state.agents.values().filter(|it| it.vault == vault);
        let mut agents: Vec<_> = agents.map(|it| view(it, |it| sight.sees(it))).collect();
        agents.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        AgentList { agents }
    }))
}

/// One agent.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<AgentView> {
    let agent = find(context, manager, id)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(format!("agent {}", agent.name)));
    let sight = manager.sight();
    Ok(steps.decide(move |_| view(&agent, |it| sight.sees(it))))
}

/// What an agent was called.
pub fn name_history(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<NameHistory> {
    let agent = find(context, manager, id)?;
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(format!("earlier names of agent {}", agent.name)));
    let answer = history(agent.id.to_string(), agent.name.clone(), &agent.earlier_names);
    Ok(steps.decide(move |_| answer))
}

/// Approves an agent's key, if it may do no more than who approves it.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn approve(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [id]: [&str; 1],
    wanted: ApproveAgent,
) -> Decided<AgentView> {
    let agent = find(context, manager, id)?;
    let steps = agent::approve(manager.author(), agent, wanted.fingerprint.as_deref())?;
    Ok(done(manager, agent, steps))
}

/// Removes an agent that waits for approval.
pub fn deny(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<AgentView> {
    let agent = find(context, manager, id)?;
    let steps = agent::deny(manager.author(), agent)?;
    Ok(done(manager, agent, steps))
}

/// Switches an agent off.
pub fn disable(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<AgentView> {
    let agent = find(context, manager, id)?;
    let steps = agent::set_enabled(manager.author(), agent, false)?;
    Ok(done(manager, agent, steps))
}

/// Switches an agent on again, if it may do no more than who does it.
pub fn enable(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<AgentView> {
    let agent = find(context, manager, id)?;
    let steps = agent::set_enabled(manager.author(), agent, true)?;
    Ok(done(manager, agent, steps))
}

/// Gives an agent another name.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn rename(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1], to: Rename) -> Decided<AgentView> {
    let agent = find(context, manager, id)?;
    let steps = agent::rename(context, manager.author(), agent, &to.name)?;
    Ok(done(manager, agent, steps))
}

/// Takes an agent its identity.
pub fn revoke(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<AgentView> {
    let agent = find(context, manager, id)?;
    let steps = agent::revoke(manager.author(), agent)?;
    Ok(done(manager, agent, steps))
}

/// Answers with the agent as it is afterwards; one that is gone is denied.
fn done(manager: &Manager<'_>, agent: &Agent, steps: Steps) -> Decision<AgentView> {
    let steps = manager.settle_around(steps, || format!("agent {}: nothing to change", agent.name));
    let (agent, sight) = (agent.clone(), manager.sight());
    steps.decide(move |context| match context.state.agents.get(&agent.id) {
        Some(it) => view(it, |it| sight.sees(it)),
        None => AgentView { approval: Approval::Denied, enabled: false, ..view(&agent, |it| sight.sees(it)) },
    })
}

fn find<'s>(context: &Context<'s>, manager: &Manager<'_>, id: &str) -> Result<&'s Agent, Refusal> {
    let agent = id.parse().ok().and_then(|id| context.state.agents.get(&id));
    let agent = agent.filter(|it| it.vault == *manager.vault);
    agent.ok_or_else(|| not_found("this vault has no agent of that id"))
}

#[cfg(test)]
mod tests;
