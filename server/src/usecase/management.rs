//! The management plane: what agents of people look at and change, by the routes of the public protocol.
//!
//! An agent reaches its own vault. What is in another vault and what is nowhere are the same to it. An agent that speaks
//! for a cluster has routes of its own ([`super::kubernetes`]) and is refused here: what it decides comes from objects.
//! Nothing here answers a value.

pub mod explain;
pub mod policy;

use sikkerkey_protocol::id::ProjectId;

use super::author::Author;
use super::source::Source;
use super::steps::Steps;
use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::model::agent::Agent;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase};
use crate::refusal::{Refusal, RefusalKind};

/// An agent of people that was let in, for one request.
pub struct Manager<'a> {
    agent: &'a Agent,
    source: Source,
}

impl<'a> Manager<'a> {
    /// Lets an agent in that may manage ([`super::authenticate::may_manage`]).
    ///
    /// Every such agent may do everything here. When agents have scopes and lists of projects, this is where the route says
    /// which scope it asks for, and [`Manager::project`] is where the list is looked at.
    pub fn admit(agent: &'a Agent, source: Source) -> Result<Self, Refusal> {
        if let Some(cluster) = &agent.cluster {
            let text = format!(
                "this agent speaks for cluster {cluster}, and this route is for agents of people: apply an object there, \
                 or make an agent token without --cluster"
            );
            return Err(Refusal::new(RefusalKind::Forbidden, text));
        }
        Ok(Self { agent, source })
    }

    fn author(&self) -> Author<'a> {
        Author::Agent(self.agent, self.source)
    }

    /// A project of the agent's vault.
    fn project<'s>(&self, context: &Context<'s>, id: &str) -> Result<&'s Project, Refusal> {
        let project = id.parse::<ProjectId>().ok().and_then(|id| context.state.projects.get(&id));
        let project = project.filter(|it| it.vault == self.agent.vault);
        project.ok_or_else(|| not_found("this vault has no project of that id"))
    }

    /// A secret of the agent's vault that can be read.
    fn secret<'s>(&self, context: &Context<'s>, id: &str) -> Result<&'s Secret, Refusal> {
        let secret = id.parse().ok().and_then(|id| context.state.secrets.get(&id));
        let secret = secret.filter(|it| it.vault == self.agent.vault && it.phase == SecretPhase::Active);
        secret.ok_or_else(|| not_found("this vault has no secret of that id"))
    }

    /// A change that changes nothing leaves the row of one that only looks: every request leaves one.
    fn settle(&self, mut steps: Steps, project: &ProjectId, detail: impl FnOnce() -> String) -> Steps {
        if steps.audit.is_empty() {
            steps.audit.push(self.looked(project, detail()));
        }
        steps
    }

    /// The row of a request that only looks.
    fn looked(&self, project: &ProjectId, detail: String) -> Entry {
        let entry = self.author().entry(Action::ManagementRead, &self.agent.vault, detail);
        Entry { project: Some(project.clone()), ..entry }
    }
}

fn not_found(text: &str) -> Refusal {
    Refusal::new(RefusalKind::NotFound, text)
}

#[cfg(test)]
mod tests;
