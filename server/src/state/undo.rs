//! Taking a step back.

use std::sync::Arc;

use sikkerkey_protocol::id::SecretId;

use super::{State, parsed};
use crate::model::version::Sealed;
use crate::model::{Change, Entity, EntityKey, EntityKind};

/// What takes one [`Change`] back.
pub struct Undo(Step);

enum Step {
    Put(Box<Entity>, Option<(SecretId, Arc<Sealed>)>),
    Remove(EntityKey),
    Value(SecretId, Option<Arc<Sealed>>),
}

impl State {
    /// The entity of that key.
    pub fn entity(&self, key: &EntityKey) -> Option<Entity> {
        let id = &key.id;
        match key.kind {
            EntityKind::Account => self.accounts.get(id).cloned().map(Entity::Account),
            EntityKind::Vault => self.vaults.get(&parsed(id)?).cloned().map(Entity::Vault),
            EntityKind::Cluster => self.clusters.get(id).cloned().map(Entity::Cluster),
            EntityKind::Agent => self.agents.get(&parsed(id)?).cloned().map(Entity::Agent),
            EntityKind::Project => self.projects.get(&parsed(id)?).cloned().map(Entity::Project),
            EntityKind::Fleet => self.fleets.get(&parsed(id)?).cloned().map(Entity::Fleet),
            EntityKind::Machine => self.machines.get(&parsed(id)?).map(|it| Entity::Machine((**it).clone())),
            EntityKind::Secret => self.secrets.get(&parsed(id)?).cloned().map(Entity::Secret),
            EntityKind::Policy => self.policies.get(id).cloned().map(Entity::Policy),
            EntityKind::Grant => self.grants.get(id).cloned().map(Entity::Grant),
            EntityKind::Token => self.tokens.get(id).cloned().map(Entity::Token),
            EntityKind::GonePod => self.gone_pods.get(id).cloned().map(Entity::GonePod),
            EntityKind::SpentLogin => self.spent_logins.get(id).cloned().map(Entity::SpentLogin),
        }
    }

    /// [`State::apply`], with the way back.
    pub fn apply_with_undo(&mut self, change: Change) -> Undo {
        let key = match &change {
            Change::Put(entity) => entity.key(),
            Change::Remove(key) => key.clone(),
            Change::PutVersion(version) => {
                let undo = Undo(Step::Value(version.secret.clone(), self.value(&version.secret).cloned()));
                self.apply(change);
                return undo;
            }
        };
        let value = match (&change, key.kind) {
            // Removing a secret removes its value with it.
            (Change::Remove(_), EntityKind::Secret) => {
                parsed(&key.id).and_then(|id: SecretId| self.value(&id).cloned().map(|value| (id, value)))
            }
            _ => None,
        };
        let undo = match self.entity(&key) {
            Some(entity) => Step::Put(Box::new(entity), value),
            None => Step::Remove(key),
        };
        self.apply(change);
        Undo(undo)
    }

    /// Takes a step back. Steps are taken back in the reverse of their order.
    pub fn undo(&mut self, undo: Undo) {
        match undo.0 {
            Step::Put(entity, value) => {
                self.apply(Change::Put(entity));
                if let Some((secret, value)) = value {
                    self.values.insert(secret, value);
                }
            }
            Step::Remove(key) => self.apply(Change::Remove(key)),
            Step::Value(secret, Some(value)) => drop(self.values.insert(secret, value)),
            Step::Value(secret, None) => drop(self.values.remove(&secret)),
        }
    }
}
