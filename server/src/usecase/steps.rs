//! What a use case collects on its way to a decision.

use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decision};
use crate::model::machine::{Grantee, Machine};
use crate::model::membership::Membership;
use crate::model::{Change, Entity, EntityKey, EntityKind};
use crate::state::State;

/// Changes and rows for the audit, in their order.
#[derive(Default)]
pub(crate) struct Steps {
    pub(crate) changes: Vec<Change>,
    pub(crate) audit: Vec<Entry>,
}

impl Steps {
    pub(crate) fn put(&mut self, entity: Entity) {
        self.changes.push(Change::put(entity));
    }

    pub(crate) fn remove(&mut self, kind: EntityKind, id: &(impl ToString + ?Sized)) {
        self.changes.push(Change::Remove(EntityKey { kind, id: id.to_string() }));
    }

    /// Takes a machine its identity, with a row of its own. `entry` says who does it and from where.
    pub(crate) fn revoke(&mut self, machine: &Machine, entry: Entry, why: &str) {
        self.remove(EntityKind::Machine, &machine.id);
        let detail = format!("{}: {why}", describe(machine));
        let (vault, id) = (Some(machine.vault.clone()), Some(machine.id.clone()));
        self.audit.push(Entry { action: Action::MachineRevoke, vault, machine: id, detail, ..entry });
    }

    /// Takes a machine that belongs to no fleet its grants and memberships. Each grant has a row; `entry` says who does it.
    pub(crate) fn forget_access(&mut self, state: &State, machine: &Machine, entry: &Entry) {
        for grant in state.grants_to(&Grantee::Machine(machine.id.clone())).into_values() {
            self.audit.push(Entry {
                action: Action::GrantDelete,
                vault: Some(grant.vault.clone()),
                project: Some(grant.project.clone()),
                detail: format!("of machine {}", machine.name),
                ..entry.clone()
            });
            self.remove(EntityKind::Grant, &grant.id);
        }
        for membership in state.memberships_of(&machine.id) {
            self.remove(EntityKind::Membership, &Membership::id(&membership.project, &machine.id));
        }
    }

    pub(crate) fn decide<T>(self, answer: impl FnOnce(&Context<'_>) -> T + Send + 'static) -> Decision<T> {
        Decision { changes: self.changes, audit: self.audit, answer: Box::new(answer) }
    }
}

/// A decision that changes nothing.
pub(crate) fn answer<T>(answer: impl FnOnce(&Context<'_>) -> T + Send + 'static) -> Decision<T> {
    Steps::default().decide(answer)
}

/// A row by the server itself.
pub(crate) fn by_server(action: Action) -> Entry {
    Entry::new(action, Actor::System)
}

/// A machine for a person who reads the audit: its name, and of a pod its uid and node.
pub(crate) fn describe(machine: &Machine) -> String {
    match &machine.pod {
        Some(it) => format!(
            "machine {} (pod {}/{}, uid {}, node {}, service account {})",
            machine.name, it.pod.namespace, it.pod.name, it.pod.uid, it.pod.node, it.pod.service_account
        ),
        // It chose its name itself, and may have chosen another's: quoted, and told apart by the token that let it in.
        None => match &machine.enrolled_by {
            Some(token) => format!("ephemeral machine {:?} of enrolment token {token}", machine.name),
            None => format!("machine {}", machine.name),
        },
    }
}
