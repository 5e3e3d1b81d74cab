//! The management plane: what agents of people look at and change, by the routes of the public protocol.
//!
//! An agent reaches its own vault, there the projects on its list, and the routes whose scope it has. What is elsewhere and
//! what is nowhere are the same to it. An agent that speaks
//! for a cluster has routes of its own ([`super::kubernetes`]) and is refused here: what it decides comes from objects.
//! Nothing here answers a value.
//!
//! A person with a session reaches the vaults in which the account has a role, and may there what the role says.

pub mod access;
pub mod agent;
pub mod alerts;
pub mod allowlist;
pub mod audit;
pub mod canary;
pub mod co_sign;
pub mod enrolment;
pub mod explain;
pub mod machine;
pub mod member;
pub mod object;
#[cfg(test)]
pub(super) mod office;
pub mod policy;
pub mod project;
pub mod schedule;
pub mod secret;
pub mod stats;
pub mod trash;
pub mod webhook;
mod whole_vault;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sikkerkey_protocol::account::Role;
use sikkerkey_protocol::id::{ProjectId, VaultId};
use sikkerkey_protocol::management::Scope;

use super::account::person::Person;
use super::authenticate::require_active_account;
use super::author::Author;
use super::source::Source;
use super::steps::Steps;
use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::model::agent::Agent;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase};
use crate::refusal::{Refusal, RefusalKind, not_found};

/// Whoever manages, for one request: what is done in whose name, and what may be looked at.
pub struct Manager<'a> {
    author: Author<'a>,
    vault: &'a VaultId,
    scopes: Option<&'a BTreeSet<Scope>>,
    projects: Option<&'a BTreeSet<ProjectId>>,
}

impl<'a> Manager<'a> {
    /// Lets an agent in that may manage ([`super::authenticate::may_manage`]), to a route that takes `scope`.
    pub fn admit(agent: &'a Agent, source: Source, scope: Option<Scope>) -> Result<Self, Refusal> {
        if let Some(cluster) = &agent.cluster {
            let text = format!(
                "this agent speaks for cluster {cluster}, and this route is for agents of people: apply an object there, \
                 or make an agent token without --cluster"
            );
            return Err(Refusal::new(RefusalKind::Forbidden, text));
        }
        let manager = Self {
            author: Author::Agent(agent, source),
            vault: &agent.vault,
            scopes: agent.scopes.as_ref(),
            projects: agent.projects.as_ref(),
        };
        scope.map_or(Ok(()), |it| manager.require(it))?;
        Ok(manager)
    }

    /// Lets a person in who has a role in that vault, to what takes `scope`. A vault of others and no vault are the same.
    pub fn person(
        context: &Context<'a>,
        person: Person<'a>,
        vault: &VaultId,
        scope: Option<Scope>,
    ) -> Result<Self, Refusal> {
        let state = context.state;
        let role = state.role_in(vault, &person.account.id);
        let (role, vault) = role.zip(state.vaults.get(vault)).ok_or_else(|| not_found("there is no such vault"))?;
        require_active_account(state, &vault.id)?;
        let author = Author::SignedIn(person);
        let manager = Self { author, vault: &vault.id, scopes: Some(scopes_of(role)), projects: None };
        scope.map_or(Ok(()), |it| manager.require(it))?;
        Ok(manager)
    }

    /// Asks for a scope.
    pub fn require(&self, scope: Scope) -> Result<(), Refusal> {
        if self.scopes.is_none_or(|it| it.contains(&scope)) {
            return Ok(());
        }
        let text = match self.author {
            Author::SignedIn(_) => {
                let role = if scopes_of(Role::Manager).contains(&scope) { Role::Manager } else { Role::Owner };
                format!("this needs the role {role} in the vault: ask whoever runs the server to give it")
            }
            _ => format!("this needs the scope {scope}: a person gives it with sikkerkey-server admin agent"),
        };
        Err(Refusal::new(RefusalKind::Forbidden, text))
    }

    /// In whose name it is done.
    pub(crate) fn author(&self) -> Author<'a> {
        self.author
    }

    /// Whose turn it is when this one asks for what takes long; none: a person at the server takes none.
    fn asker(&self) -> Option<String> {
        match self.author {
            Author::Person => None,
            Author::Agent(agent, _) => Some(agent.id.to_string()),
            Author::SignedIn(person) => Some(person.account.id.clone()),
        }
    }

    /// Whether a project may be looked at.
    fn sees(&self, project: &Project) -> bool {
        project.vault == *self.vault && self.projects.is_none_or(|it| it.contains(&project.id))
    }

    /// A project of the vault that may be looked at.
    fn project<'s>(&self, context: &Context<'s>, id: &str) -> Result<&'s Project, Refusal> {
        let project = id.parse::<ProjectId>().ok().and_then(|id| context.state.projects.get(&id));
        let project = project.filter(|it| self.sees(it));
        project.ok_or_else(|| not_found("this vault has no project of that id"))
    }

    /// A secret, of a project that may be looked at, that can be read.
    fn secret<'s>(&self, context: &Context<'s>, id: &str) -> Result<&'s Secret, Refusal> {
        let secret = id.parse().ok().and_then(|id| context.state.secrets.get(&id));
        let seen = |it: &&Secret| {
            it.phase == SecretPhase::Active && context.state.projects.get(&it.project).is_some_and(|it| self.sees(it))
        };
        let secret = secret.filter(seen);
        secret.ok_or_else(|| not_found("this vault has no secret of that id"))
    }

    /// A change that changes nothing leaves the row of one that only looks: every request leaves one.
    fn settle(&self, mut steps: Steps, project: &ProjectId, detail: impl FnOnce() -> String) -> Steps {
        if steps.audit.is_empty() {
            steps.audit.push(self.looked(project, detail()));
        }
        steps
    }

    /// The row of a request that only looks at what belongs to the vault as a whole.
    fn looked_at_vault(&self, detail: String) -> Entry {
        self.author().entry(Action::ManagementRead, self.vault, detail)
    }

    /// The row of a request that only looks.
    fn looked(&self, project: &ProjectId, detail: String) -> Entry {
        let entry = self.author().entry(Action::ManagementRead, self.vault, detail);
        Entry { project: Some(project.clone()), ..entry }
    }
}

/// Whether a scope lets nobody change anything.
pub(crate) fn only_looks(scope: Scope) -> bool {
    scope.as_str().rsplit_once('.').is_some_and(|(_, verb)| verb == "read")
}

/// What a role may do.
pub fn scopes_of(role: Role) -> &'static BTreeSet<Scope> {
    static AUDITOR: LazyLock<BTreeSet<Scope>> =
        LazyLock::new(|| Scope::ALL.iter().copied().filter(|it| only_looks(*it)).collect());
    static MANAGER: LazyLock<BTreeSet<Scope>> = LazyLock::new(|| {
        // Who else may manage, what is reported to whom, and from where machines connect is for the owner to say.
        let kept = [Scope::AgentsWrite, Scope::AlertsWrite, Scope::AllowlistWrite];
        Scope::ALL.iter().copied().filter(|it| !kept.contains(it)).collect()
    });
    static OWNER: LazyLock<BTreeSet<Scope>> = LazyLock::new(|| Scope::ALL.iter().copied().collect());
    match role {
        Role::Auditor => &AUDITOR,
        Role::Manager => &MANAGER,
        Role::Owner => &OWNER,
    }
}

#[cfg(test)]
mod tests;
