//! Everything the server knows, in memory.
//!
//! [`State`] is a value: [`State::apply`] takes it from one state to the next, nothing else changes it, and nothing in it
//! does I/O. The writer owns the only one that changes; request handlers look at it behind a lock they hold for moments.

mod account;
mod co_sign;
mod index;
mod people;
mod sealing_key;
pub mod undo;
mod webhook;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sikkerkey_protocol::id::{AgentId, FleetId, MachineId, ProjectId, SecretId, VaultId};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::kubernetes::{Approval, Kind, ObjectKey};

use self::index::{Indexes, Key};
use crate::audit::digest::Digest;
use crate::model::account::{Account, Vault};
use crate::model::agent::{Agent, AgentTrust};
use crate::model::allowlist::Allowlist;
use crate::model::application::Application;
use crate::model::canary::Canary;
use crate::model::cluster::{Cluster, GonePod, SpentLogin};
use crate::model::co_sign::CoSignRequest;
use crate::model::credential::Credential;
use crate::model::enrolment::EnrolmentToken;
use crate::model::fleet::Fleet;
use crate::model::grant::Grant;
use crate::model::machine::{Grantee, Machine, PodUid};
use crate::model::managed::Managed;
use crate::model::member::Member;
use crate::model::membership::Membership;
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::model::sealing_key::SealingKey;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::session::Session;
use crate::model::token::Token;
use crate::model::version::Sealed;
use crate::model::webhook::{Alerts, Progress, Webhook};
use crate::model::{Change, Entity, EntityKey, EntityKind};
use crate::pool::Pool;

/// Everything the server knows. See the module's page.
#[derive(Default)]
pub struct State {
    /// By id.
    pub accounts: HashMap<String, Account>,
    /// By id.
    pub vaults: HashMap<VaultId, Vault>,
    /// By name.
    pub clusters: BTreeMap<String, Cluster>,
    /// By id.
    pub agents: HashMap<AgentId, Agent>,
    /// By id.
    pub projects: HashMap<ProjectId, Project>,
    /// By id.
    pub fleets: HashMap<FleetId, Fleet>,
    /// By id.
    pub machines: HashMap<MachineId, Arc<Machine>>,
    /// By id.
    pub secrets: HashMap<SecretId, Secret>,
    /// By id.
    pub policies: HashMap<String, Policy>,
    /// By id.
    pub grants: HashMap<String, Grant>,
    /// By hash.
    pub tokens: HashMap<Digest, Box<Token>>,
    /// By [`GonePod::id`].
    pub gone_pods: HashMap<String, GonePod>,
    /// By hash.
    pub spent_logins: HashMap<String, SpentLogin>,
    /// By id.
    pub applications: BTreeMap<String, Application>,
    /// By the id of their secrets.
    pub canaries: HashMap<SecretId, Canary>,
    /// By [`CoSignRequest::key`].
    pub co_signs: HashMap<String, CoSignRequest>,
    /// By vault.
    pub allowlists: HashMap<VaultId, Allowlist>,
    /// By id.
    pub enrolment_tokens: HashMap<String, EnrolmentToken>,
    /// By id.
    pub sealing_keys: BTreeMap<String, SealingKey>,
    /// By [`AgentTrust::id`].
    pub agent_trusts: BTreeMap<String, AgentTrust>,
    /// By id.
    pub webhooks: BTreeMap<String, Webhook>,
    /// By the id of their webhooks.
    pub webhook_progress: HashMap<String, Progress>,
    /// By vault.
    pub alerts: HashMap<VaultId, Alerts>,
    /// By account.
    pub credentials: HashMap<String, Credential>,
    /// By id.
    pub sessions: HashMap<String, Session>,
    /// By [`Member::id`].
    pub vault_members: BTreeMap<String, Member>,
    /// The newest version of each secret that has one.
    values: HashMap<SecretId, Arc<Sealed>>,

    by_object: HashMap<(Kind, String, ObjectKey), String>,
    project_of_namespace: HashMap<(String, String), ProjectId>,
    secret_by_name: HashMap<(ProjectId, String), SecretId>,
    policy_by_name: HashMap<(ProjectId, String), String>,
    /// The ids of the grants, in their order. Looked at by every read, and almost always of one.
    granted: HashMap<Grantee, BTreeMap<SecretId, Vec<String>>>,
    machines_of_fleet: HashMap<FleetId, HashSet<MachineId>>,
    machines_by: Indexes,
    /// Of pods: clusters, namespaces, nodes, service accounts.
    names: Pool<str>,
    /// Machines and fleets that wait for approval: every page of the dashboard says how many.
    waiting: HashMap<VaultId, BTreeSet<Grantee>>,
    grantees_of_secret: HashMap<SecretId, BTreeSet<Grantee>>,
    secrets_of_policy: HashMap<(ProjectId, String), BTreeSet<SecretId>>,
    memberships: HashMap<MachineId, BTreeMap<ProjectId, Membership>>,
    members: HashMap<ProjectId, BTreeSet<MachineId>>,
    application_of_project: HashMap<ProjectId, String>,
    enrolment_token_of_hash: HashMap<String, String>,
    co_sign_of_request: HashMap<String, String>,
    co_signs_of_policy: HashMap<String, BTreeSet<String>>,
    session_of_hash: HashMap<String, String>,
    sessions_of_account: HashMap<String, BTreeSet<String>>,
}

impl State {
    /// The next state.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Put(entity) => {
                self.remove(&entity.key());
                self.put(*entity);
            }
            Change::Remove(key) => {
                self.remove(&key);
                if key.kind == EntityKind::Secret
                    && let Ok(id) = key.id.parse()
                {
                    self.values.remove::<SecretId>(&id);
                }
            }
            Change::PutVersion(version) => {
                // Sealing an old one anew does not bring its value back.
                if self.secrets.get(&version.secret).is_none_or(|it| it.version <= version.version) {
                    self.values.insert(version.secret, version.sealed);
                }
            }
            Change::ForgetVersion(..) | Change::WrapMaster(_) => {}
        }
    }

    /// The newest version's sealed value.
    pub fn value(&self, secret: &SecretId) -> Option<&Arc<Sealed>> {
        self.values.get(secret)
    }

    /// The id of the entity behind a Kubernetes object. A retained secret keeps its object's key.
    pub fn object(&self, kind: Kind, cluster: &str, key: &ObjectKey) -> Option<&str> {
        self.by_object.get(&(kind, cluster.to_owned(), key.clone())).map(String::as_str)
    }

    /// The fleet behind a `Machine` object.
    pub fn fleet_of(&self, cluster: &str, key: &ObjectKey) -> Option<&Fleet> {
        self.fleets.get(&self.object(Kind::Machine, cluster, key)?.parse().ok()?)
    }

    /// The secret behind a `Secret` object, retained ones included.
    pub fn secret_of(&self, cluster: &str, key: &ObjectKey) -> Option<&Secret> {
        self.secrets.get(&self.object(Kind::Secret, cluster, key)?.parse().ok()?)
    }

    /// The grant behind a `Grant` object.
    pub fn grant_of(&self, cluster: &str, key: &ObjectKey) -> Option<&Grant> {
        self.grants.get(self.object(Kind::Grant, cluster, key)?)
    }

    /// The policy behind an `AccessPolicy` object.
    pub fn policy_of(&self, cluster: &str, key: &ObjectKey) -> Option<&Policy> {
        self.policies.get(self.object(Kind::AccessPolicy, cluster, key)?)
    }

    /// The project that stands for a namespace.
    pub fn project_of(&self, cluster: &str, namespace: &str) -> Option<&Project> {
        self.projects.get(self.project_of_namespace.get(&(cluster.to_owned(), namespace.to_owned()))?)
    }

    /// A secret of a project by name, those in the trash excepted.
    pub fn secret_named(&self, project: &ProjectId, name: &str) -> Option<&Secret> {
        self.secrets.get(self.secret_by_name.get(&(project.clone(), name.to_owned()))?)
    }

    /// A policy of a project by name, unless it is withdrawn: that one denies, as if it were not there.
    pub fn policy_in_force(&self, project: &ProjectId, name: &str) -> Option<&Policy> {
        self.policy_named(project, name).filter(|it| !it.withdrawn)
    }

    /// A policy of a project by name, in force or withdrawn.
    pub fn policy_named(&self, project: &ProjectId, name: &str) -> Option<&Policy> {
        self.policies.get(self.policy_by_name.get(&(project.clone(), name.to_owned()))?)
    }

    /// Every grant, ended ones included, that names this pair.
    pub fn grants_for(&self, grantee: &Grantee, secret: &SecretId) -> impl Iterator<Item = &Grant> {
        let ids = self.granted.get(grantee).and_then(|secrets| secrets.get(secret));
        ids.into_iter().flatten().filter_map(|id| self.grants.get(id))
    }

    /// Every secret that some grant, ended ones included, names for this grantee.
    pub fn secrets_granted_to(&self, grantee: &Grantee) -> impl Iterator<Item = &Secret> {
        self.granted.get(grantee).into_iter().flatten().filter_map(|(id, _)| self.secrets.get(id))
    }

    /// Whether some grant that has not ended names this secret for this grantee.
    pub fn is_granted(&self, grantee: &Grantee, secret: &SecretId, now: Millis) -> bool {
        self.grants_for(grantee, secret).any(|it| it.is_live(now))
    }

    /// Every grant to this grantee that names a secret, ended ones included, by id.
    pub fn grants_to(&self, grantee: &Grantee) -> BTreeMap<&str, &Grant> {
        let ids = self.granted.get(grantee).into_iter().flatten().flat_map(|(_, ids)| ids);
        ids.filter_map(|id| Some((id.as_str(), self.grants.get(id)?))).collect()
    }

    /// Everybody to whom some grant, ended ones included, names this secret.
    pub fn grantees_of(&self, secret: &SecretId) -> impl Iterator<Item = &Grantee> {
        self.grantees_of_secret.get(secret).into_iter().flatten()
    }

    /// The secrets of a project that name this policy, those in the trash included.
    pub fn secrets_naming(&self, project: &ProjectId, policy: &str) -> impl Iterator<Item = &Secret> {
        let ids = self.secrets_of_policy.get(&(project.clone(), policy.to_owned()));
        ids.into_iter().flatten().filter_map(|id| self.secrets.get(id))
    }

    /// The machines that sign with this key, of which there is at most one.
    pub fn machines_with_key<'s>(&'s self, key: &PublicKey) -> impl Iterator<Item = &'s Arc<Machine>> + use<'s> {
        self.machines_by.with(Key::Public(*key.as_bytes()))
    }

    /// How many machines and fleets of a vault wait for approval.
    pub fn waiting_in(&self, vault: &VaultId) -> usize {
        self.waiting.get(vault).map_or(0, BTreeSet::len)
    }

    /// The machines of a fleet.
    pub fn machines_in(&self, fleet: &FleetId) -> impl Iterator<Item = &Arc<Machine>> {
        self.machines_of_fleet.get(fleet).into_iter().flatten().filter_map(|id| self.machines.get(id))
    }

    /// The machines of a pod, of which at most one is live.
    pub fn machines_of_pod<'s>(
        &'s self,
        cluster: &'s str,
        pod_uid: &'s PodUid,
    ) -> impl Iterator<Item = &'s Arc<Machine>> {
        self.machines_by.with(Key::Pod(cluster, pod_uid))
    }

    /// The account that owns a vault.
    pub fn account_of(&self, vault: &VaultId) -> Option<&Account> {
        self.accounts.get(&self.vaults.get(vault)?.account)
    }

    fn put(&mut self, entity: Entity) {
        let id = entity.key().id;
        match entity {
            Entity::Account(it) => drop(self.accounts.insert(it.id.clone(), it)),
            Entity::Vault(it) => drop(self.vaults.insert(it.id.clone(), it)),
            Entity::Cluster(it) => drop(self.clusters.insert(it.name.clone(), it)),
            Entity::Agent(it) => drop(self.agents.insert(it.id.clone(), it)),
            Entity::Project(it) => {
                if let Some(ns) = &it.namespace {
                    self.project_of_namespace.insert((ns.cluster.clone(), ns.name.clone()), it.id.clone());
                }
                self.projects.insert(it.id.clone(), it);
            }
            Entity::Fleet(it) => {
                self.by_object.insert(object_key(Kind::Machine, &it.managed), id);
                if it.approval == Approval::Pending {
                    self.waits(&it.vault, Grantee::Fleet(it.id.clone()));
                }
                self.fleets.insert(it.id.clone(), it);
            }
            Entity::Machine(mut it) => {
                it.name.shrink_to_fit();
                if let Some(pod) = &mut it.pod {
                    pod.share(&mut self.names);
                }
                let it = Arc::new(it);
                if let Some(fleet) = &it.fleet {
                    self.machines_of_fleet.entry(fleet.clone()).or_default().insert(it.id.clone());
                }
                self.machines_by.insert(&it);
                if it.approval == Approval::Pending {
                    self.waits(&it.vault, Grantee::Machine(it.id.clone()));
                }
                self.machines.insert(it.id.clone(), it);
            }
            Entity::Secret(it) => {
                if !matches!(it.phase, SecretPhase::Trashed(_)) {
                    self.secret_by_name.insert((it.project.clone(), it.name.clone()), it.id.clone());
                    if let Some(managed) = &it.managed {
                        self.by_object.insert(object_key(Kind::Secret, managed), id);
                    }
                }
                if let Some(policy) = &it.policy {
                    let key = (it.project.clone(), policy.clone());
                    self.secrets_of_policy.entry(key).or_default().insert(it.id.clone());
                }
                self.secrets.insert(it.id.clone(), it);
            }
            Entity::Policy(it) => {
                self.policy_by_name.insert((it.project.clone(), it.name.clone()), it.id.clone());
                if let Some(managed) = &it.managed {
                    self.by_object.insert(object_key(Kind::AccessPolicy, managed), id);
                }
                self.policies.insert(it.id.clone(), it);
            }
            Entity::Grant(it) => {
                let granted = self.granted.entry(it.grantee.clone()).or_default();
                for secret in &it.secrets {
                    let ids = granted.entry(secret.clone()).or_default();
                    if let Err(place) = ids.binary_search(&it.id) {
                        ids.insert(place, it.id.clone());
                    }
                    self.grantees_of_secret.entry(secret.clone()).or_default().insert(it.grantee.clone());
                }
                if let Some(managed) = &it.managed {
                    self.by_object.insert(object_key(Kind::Grant, managed), id);
                }
                self.grants.insert(it.id.clone(), it);
            }
            Entity::Token(it) => drop(self.tokens.insert(it.hash, Box::new(it))),
            Entity::GonePod(it) => drop(self.gone_pods.insert(id, it)),
            Entity::SpentLogin(it) => drop(self.spent_logins.insert(it.hash.clone(), it)),
            Entity::Application(it) => self.put_application(it),
            Entity::Membership(it) => self.put_membership(it),
            Entity::Canary(it) => drop(self.canaries.insert(it.secret.clone(), it)),
            Entity::CoSign(it) => self.put_co_sign(id, it),
            Entity::Allowlist(it) => drop(self.allowlists.insert(it.vault.clone(), it)),
            Entity::EnrolmentToken(it) => self.put_enrolment_token(it),
            Entity::SealingKey(it) => drop(self.sealing_keys.insert(id, it)),
            Entity::AgentTrust(it) => drop(self.agent_trusts.insert(id, it)),
            Entity::Webhook(it) => drop(self.webhooks.insert(id, it)),
            Entity::WebhookProgress(it) => drop(self.webhook_progress.insert(id, it)),
            Entity::Alerts(it) => drop(self.alerts.insert(it.vault.clone(), it)),
            Entity::Credential(it) => drop(self.credentials.insert(id, it)),
            Entity::Session(it) => self.put_session(it),
            Entity::Member(it) => drop(self.vault_members.insert(id, it)),
        }
    }

    fn remove(&mut self, key: &EntityKey) {
        let id = &key.id;
        match key.kind {
            EntityKind::Account => drop(self.accounts.remove(id)),
            EntityKind::Vault => drop(parsed(id).and_then(|id: VaultId| self.vaults.remove(&id))),
            EntityKind::Cluster => drop(self.clusters.remove(id)),
            EntityKind::Agent => drop(parsed(id).and_then(|id: AgentId| self.agents.remove(&id))),
            EntityKind::Project => {
                let gone = parsed(id).and_then(|id: ProjectId| self.projects.remove(&id));
                if let Some(ns) = gone.and_then(|it| it.namespace) {
                    self.project_of_namespace.remove(&(ns.cluster, ns.name));
                }
            }
            EntityKind::Fleet => {
                if let Some(gone) = parsed(id).and_then(|id: FleetId| self.fleets.remove(&id)) {
                    self.forget_object(Kind::Machine, &gone.managed, id);
                    forget_member(&mut self.waiting, &gone.vault, &Grantee::Fleet(gone.id));
                }
            }
            EntityKind::Machine => {
                if let Some(gone) = parsed(id).and_then(|id: MachineId| self.machines.remove(&id)) {
                    self.forget_machine(&gone);
                }
            }
            EntityKind::Secret => {
                if let Some(gone) = parsed(id).and_then(|id: SecretId| self.secrets.remove(&id)) {
                    if let Some(managed) = &gone.managed {
                        self.forget_object(Kind::Secret, managed, id);
                    }
                    if let Some(policy) = gone.policy {
                        forget_member(&mut self.secrets_of_policy, &(gone.project.clone(), policy), &gone.id);
                    }
                    remove_if(&mut self.secret_by_name, &(gone.project, gone.name), |it| it.as_str() == id);
                }
            }
            EntityKind::Policy => {
                if let Some(gone) = self.policies.remove(id) {
                    if let Some(managed) = &gone.managed {
                        self.forget_object(Kind::AccessPolicy, managed, id);
                    }
                    remove_if(&mut self.policy_by_name, &(gone.project, gone.name), |it| it == id);
                }
            }
            EntityKind::Grant => {
                if let Some(gone) = self.grants.remove(id) {
                    self.forget_grant(&gone);
                }
            }
            EntityKind::Token => drop(Token::hash_of(id).and_then(|hash| self.tokens.remove(&hash))),
            EntityKind::GonePod => drop(self.gone_pods.remove(id)),
            EntityKind::SpentLogin => drop(self.spent_logins.remove(id)),
            EntityKind::Application => self.remove_application(id),
            EntityKind::Membership => self.remove_membership(id),
            EntityKind::Canary => drop(parsed(id).and_then(|id: SecretId| self.canaries.remove(&id))),
            EntityKind::CoSign => self.remove_co_sign(id),
            EntityKind::Allowlist => drop(parsed(id).and_then(|id: VaultId| self.allowlists.remove(&id))),
            EntityKind::EnrolmentToken => self.remove_enrolment_token(id),
            EntityKind::SealingKey => drop(self.sealing_keys.remove(id)),
            EntityKind::AgentTrust => drop(self.agent_trusts.remove(id)),
            EntityKind::Webhook => drop(self.webhooks.remove(id)),
            EntityKind::WebhookProgress => drop(self.webhook_progress.remove(id)),
            EntityKind::Alerts => drop(parsed(id).and_then(|id: VaultId| self.alerts.remove(&id))),
            EntityKind::Credential => drop(self.credentials.remove(id)),
            EntityKind::Session => self.remove_session(id),
            EntityKind::Member => drop(self.vault_members.remove(id)),
        }
    }

    fn forget_object(&mut self, kind: Kind, managed: &Managed, id: &str) {
        remove_if(&mut self.by_object, &object_key(kind, managed), |it| it == id);
    }

    fn forget_machine(&mut self, gone: &Machine) {
        if let Some(fleet) = &gone.fleet
            && let Some(machines) = self.machines_of_fleet.get_mut(fleet)
        {
            machines.remove(&gone.id);
            if machines.is_empty() {
                self.machines_of_fleet.remove(fleet);
            }
        }
        self.machines_by.remove(gone);
        forget_member(&mut self.waiting, &gone.vault, &Grantee::Machine(gone.id.clone()));
    }

    fn waits(&mut self, vault: &VaultId, who: Grantee) {
        self.waiting.entry(vault.clone()).or_default().insert(who);
    }

    fn forget_grant(&mut self, gone: &Grant) {
        if let Some(managed) = &gone.managed {
            self.forget_object(Kind::Grant, managed, &gone.id);
        }
        let Some(granted) = self.granted.get_mut(&gone.grantee) else { return };
        for secret in &gone.secrets {
            let Some(ids) = granted.get_mut(secret) else { continue };
            ids.retain(|id| id != &gone.id);
            if ids.is_empty() {
                granted.remove(secret);
                forget_member(&mut self.grantees_of_secret, secret, &gone.grantee);
            }
        }
        if granted.is_empty() {
            self.granted.remove(&gone.grantee);
        }
    }
}

fn forget_member<K: Eq + std::hash::Hash, V: Ord>(map: &mut HashMap<K, BTreeSet<V>>, key: &K, member: &V) {
    let Some(members) = map.get_mut(key) else { return };
    members.remove(member);
    if members.is_empty() {
        map.remove(key);
    }
}

fn object_key(kind: Kind, managed: &Managed) -> (Kind, String, ObjectKey) {
    (kind, managed.cluster.clone(), managed.object.key.clone())
}

fn parsed<T: std::str::FromStr>(id: &str) -> Option<T> {
    id.parse().ok()
}

fn remove_if<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, key: &K, is_it: impl Fn(&V) -> bool) {
    if map.get(key).is_some_and(is_it) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests;
