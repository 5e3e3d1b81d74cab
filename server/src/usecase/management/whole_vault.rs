//! What belongs to no single project: machines, agents, enrolment tokens, the allowlist.
//!
//! Whoever has a list of projects sees the machines that are members of one of these or of none, and changes those that
//! are members of no other: what he does is felt nowhere else.

use std::collections::BTreeSet;

use sikkerkey_protocol::id::{ProjectId, VaultId};

use super::{Manager, not_found};
use crate::decision::Context;
use crate::model::machine::Machine;
use crate::model::project::Project;
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::usecase::machine::{Found, find};
use crate::usecase::steps::Steps;

/// Which projects of a vault are seen.
pub(super) struct Sight {
    vault: VaultId,
    projects: Option<BTreeSet<ProjectId>>,
}

impl Sight {
    /// Whether a project of the vault is seen.
    pub(super) fn sees(&self, project: &ProjectId) -> bool {
        self.projects.as_ref().is_none_or(|it| it.contains(project))
    }

    /// Whether it is a project of the vault that is seen.
    pub(super) fn has(&self, project: &Project) -> bool {
        project.vault == self.vault && self.sees(&project.id)
    }

    /// Whether a machine or fleet is seen.
    pub(super) fn sees_machine(&self, state: &State, found: Found<'_>) -> bool {
        found.vault() == &self.vault
            && match found {
                Found::Fleet(it) => self.sees(&it.project),
                Found::Machine(Machine { fleet: Some(id), .. }) => {
                    state.fleets.get(id).map_or(self.projects.is_none(), |it| self.sees(&it.project))
                }
                Found::Machine(it) => {
                    let mut memberships = state.memberships_of(&it.id).peekable();
                    memberships.peek().is_none() || memberships.any(|it| self.sees(&it.project))
                }
            }
    }
}

impl Manager<'_> {
    /// A change that changes nothing leaves the row of one that only looks.
    pub(super) fn settle_around(&self, mut steps: Steps, detail: impl FnOnce() -> String) -> Steps {
        if steps.audit.is_empty() {
            steps.audit.push(self.looked_at_vault(detail()));
        }
        steps
    }

    /// What is seen, for an answer that is made later.
    pub(super) fn sight(&self) -> Sight {
        Sight { vault: self.vault.clone(), projects: self.projects.cloned() }
    }

    /// A machine or fleet of the vault that may be looked at.
    pub(super) fn machine<'s>(&self, context: &Context<'s>, id: &str) -> Result<Found<'s>, Refusal> {
        let found = find(context.state, id).filter(|it| self.sight().sees_machine(context.state, *it));
        found.ok_or_else(|| not_found("this vault has no machine of that id"))
    }

    /// A machine or fleet of the vault that may be changed.
    pub(super) fn own_machine<'s>(&self, context: &Context<'s>, id: &str) -> Result<Found<'s>, Refusal> {
        let found = self.machine(context, id)?;
        if let Found::Machine(machine) = found {
            self.reach(context.state, machine)?;
        }
        Ok(found)
    }

    /// Whether what is done to a machine is felt only in projects that are seen.
    pub(super) fn reach(&self, state: &State, machine: &Machine) -> Result<(), Refusal> {
        let sight = self.sight();
        if state.memberships_of(&machine.id).all(|it| sight.sees(&it.project)) {
            return Ok(());
        }
        let text = format!(
            "machine {} is a member of projects that are not on the list of who asks: detach it from those that are, or ask \
             a person",
            machine.name
        );
        Err(Refusal::new(RefusalKind::Forbidden, text))
    }
}
