//! Taking a step back.

use std::sync::Arc;

use sikkerkey_protocol::id::SecretId;

use super::{State, parsed};
use crate::model::token::Token;
use crate::model::version::Sealed;
use crate::model::{Change, Entity, EntityKey, EntityKind};

/// What takes one [`Change`] back: what the entity was before it, and the value.
pub struct Undo {
    entity: Option<(EntityKey, Option<Box<Entity>>)>,
    value: Option<(SecretId, Option<Arc<Sealed>>)>,
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
            EntityKind::Token => self.tokens.get(&Token::hash_of(id)?).map(|it| Entity::Token((**it).clone())),
            EntityKind::GonePod => self.gone_pods.get(id).cloned().map(Entity::GonePod),
            EntityKind::SpentLogin => self.spent_logins.get(id).cloned().map(Entity::SpentLogin),
            EntityKind::Application => self.applications.get(id).cloned().map(Entity::Application),
            EntityKind::Membership => self.membership_of_id(id).cloned().map(Entity::Membership),
            EntityKind::Canary => self.canaries.get(&parsed(id)?).cloned().map(Entity::Canary),
            EntityKind::CoSign => self.co_signs.get(id).cloned().map(Entity::CoSign),
            EntityKind::Allowlist => self.allowlists.get(&parsed(id)?).cloned().map(Entity::Allowlist),
            EntityKind::EnrolmentToken => self.enrolment_tokens.get(id).cloned().map(Entity::EnrolmentToken),
            EntityKind::SealingKey => self.sealing_keys.get(id).cloned().map(Entity::SealingKey),
            EntityKind::AgentTrust => self.agent_trusts.get(id).cloned().map(Entity::AgentTrust),
            EntityKind::Webhook => self.webhooks.get(id).cloned().map(Entity::Webhook),
            EntityKind::WebhookProgress => self.webhook_progress.get(id).cloned().map(Entity::WebhookProgress),
            EntityKind::Alerts => self.alerts.get(&parsed(id)?).cloned().map(Entity::Alerts),
            EntityKind::Credential => self.credentials.get(id).cloned().map(Entity::Credential),
            EntityKind::Session => self.sessions.get(id).cloned().map(Entity::Session),
            EntityKind::Member => self.vault_members.get(id).cloned().map(Entity::Member),
        }
    }

    /// [`State::apply`], with the way back.
    pub fn apply_with_undo(&mut self, change: Change) -> Undo {
        let (key, secret) = match &change {
            Change::Put(entity) => (Some(entity.key()), None),
            // Removing a secret removes its value with it.
            Change::Remove(key) if key.kind == EntityKind::Secret => (Some(key.clone()), parsed(&key.id)),
            Change::Remove(key) => (Some(key.clone()), None),
            Change::PutVersion(version) => (None, Some(version.secret.clone())),
            Change::ForgetVersion(..) | Change::WrapMaster(_) => (None, None),
        };
        let entity = key.map(|key| {
            let entity = self.entity(&key).map(Box::new);
            (key, entity)
        });
        let value = secret.map(|secret: SecretId| {
            let value = self.value(&secret).cloned();
            (secret, value)
        });
        self.apply(change);
        Undo { entity, value }
    }

    /// Takes a step back. Steps are taken back in the reverse of their order.
    pub fn undo(&mut self, undo: Undo) {
        match undo.entity {
            None => {}
            Some((_, Some(entity))) => self.apply(Change::Put(entity)),
            Some((key, None)) => self.remove(&key),
        }
        match undo.value {
            None => {}
            Some((secret, Some(value))) => drop(self.values.insert(secret, value)),
            Some((secret, None)) => drop(self.values.remove(&secret)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sikkerkey_protocol::id::ProjectId;

    use super::*;
    use crate::model::grant::Grant;
    use crate::model::machine::Grantee;
    use crate::model::millis::Millis;
    use crate::model::secret::{Secret, SecretPhase};
    use crate::model::version::Version;

    fn secret_id(n: u8) -> SecretId {
        format!("sk_{n}").parse().unwrap()
    }

    fn grantee() -> Grantee {
        Grantee::Machine("00000000-0000-4000-8000-000000000001".parse().unwrap())
    }

    fn project() -> ProjectId {
        "proj_p".parse().unwrap()
    }

    fn change() -> impl Strategy<Value = Change> {
        let key = |kind, id: String| EntityKey { kind, id };
        prop_oneof![
            (0u8..3, 0u8..3).prop_map(|(n, version)| Change::put(Entity::Secret(Secret {
                id: secret_id(n),
                vault: "vault_v".parse().unwrap(),
                project: project(),
                name: format!("s{n}"),
                field_names: vec![],
                version: version.into(),
                version_time: None,
                policy: (version == 0).then(|| "guard".into()),
                origin: None,
                recipe: None,
                rotation: None,
                due_by_reads: None,
                bindings: 0,
                schedule: None,
                note: None,
                taken_over: false,
                history: <_>::default(),
                sealing: None,
                phase: if version == 2 { SecretPhase::Retained } else { SecretPhase::Active },
                held: false,
                managed: None,
            }))),
            (0u8..3, any::<u8>()).prop_map(|(n, byte)| Change::PutVersion(Version {
                vault: "vault_v".parse().unwrap(),
                project: project(),
                secret: secret_id(n),
                version: 1,
                time: Millis(0),
                field_names: vec![],
                sealed: Arc::new(Sealed { wrapped_key: vec![byte], ciphertext: vec![byte] }),
            })),
            (0u8..3, prop::collection::btree_set(0u8..3, 0..3)).prop_map(|(n, secrets)| {
                Change::put(Entity::Grant(Grant {
                    id: format!("g{n}"),
                    vault: "vault_v".parse().unwrap(),
                    project: project(),
                    grantee: grantee(),
                    secrets: secrets.into_iter().map(secret_id).collect(),
                    expires_at: None,
                    managed: None,
                }))
            }),
            (0u8..3).prop_map(move |n| Change::Remove(key(EntityKind::Secret, secret_id(n).to_string()))),
            (0u8..3).prop_map(move |n| Change::Remove(key(EntityKind::Grant, format!("g{n}")))),
        ]
    }

    /// Everything that can be asked about these, as text.
    fn seen(state: &State) -> String {
        let mut text = String::new();
        for n in 0..3 {
            let grants: Vec<_> = state.grants_for(&grantee(), &secret_id(n)).map(|it| &it.id).collect();
            let value = state.value(&secret_id(n)).map(|it| &it.ciphertext);
            let named = state.secret_named(&project(), &format!("s{n}")).map(|it| &it.id);
            let secret = state.entity(&EntityKey { kind: EntityKind::Secret, id: secret_id(n).to_string() });
            let grant = state.entity(&EntityKey { kind: EntityKind::Grant, id: format!("g{n}") });
            text = format!("{text}{grants:?} {value:?} {named:?} {secret:?} {grant:?}\n");
        }
        let granted: Vec<_> = state.secrets_granted_to(&grantee()).map(|it| &it.id).collect();
        let naming: Vec<_> = state.secrets_naming(&project(), "guard").map(|it| &it.id).collect();
        format!("{text}{granted:?} {naming:?}")
    }

    proptest! {
        #[test]
        fn what_is_taken_back_leaves_no_trace(
            before in prop::collection::vec(change(), 0..20),
            group in prop::collection::vec(change(), 0..20),
        ) {
            let mut state = State::default();
            for change in before {
                state.apply(change);
            }
            let was = seen(&state);
            let undo: Vec<_> = group.into_iter().map(|change| state.apply_with_undo(change)).collect();
            for step in undo.into_iter().rev() {
                state.undo(step);
            }
            prop_assert_eq!(seen(&state), was);
        }
    }
}
