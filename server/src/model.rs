//! What the server knows, as plain values. No I/O, no clock, no random source.
//!
//! Every value here is an [`Entity`]: it is stored as one row, carries a MAC there, and is held in memory as a whole in
//! [`State`](crate::state::State). Secret values are not entities: they are sealed [`version::Version`]s.

pub mod account;
pub mod agent;
pub mod allowlist;
pub mod application;
pub mod canary;
pub mod cluster;
pub mod co_sign;
pub mod credential;
pub mod enrolment;
pub mod fleet;
pub mod grant;
pub mod machine;
pub mod managed;
pub mod member;
pub mod membership;
pub mod millis;
pub mod policy;
pub mod project;
pub mod sealing_key;
pub mod secret;
pub mod session;
pub mod spend;
pub mod token;
pub mod version;
pub mod webhook;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::SecretId;

use crate::crypto::master::WrappedMaster;

/// One stored value, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is documented at its type")]
pub enum Entity {
    Account(account::Account),
    Vault(account::Vault),
    Cluster(cluster::Cluster),
    Agent(agent::Agent),
    Project(project::Project),
    Fleet(fleet::Fleet),
    Machine(machine::Machine),
    Secret(secret::Secret),
    Policy(policy::Policy),
    Grant(grant::Grant),
    Token(token::Token),
    GonePod(cluster::GonePod),
    SpentLogin(cluster::SpentLogin),
    Application(application::Application),
    Membership(membership::Membership),
    Canary(canary::Canary),
    CoSign(co_sign::CoSignRequest),
    Allowlist(allowlist::Allowlist),
    EnrolmentToken(enrolment::EnrolmentToken),
    SealingKey(sealing_key::SealingKey),
    AgentTrust(agent::AgentTrust),
    Webhook(webhook::Webhook),
    WebhookProgress(webhook::Progress),
    Alerts(webhook::Alerts),
    Credential(credential::Credential),
    Session(session::Session),
    Member(member::Member),
}

/// The kind of an [`Entity`]: the first half of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants of Entity")]
pub enum EntityKind {
    Account,
    Vault,
    Cluster,
    Agent,
    Project,
    Fleet,
    Machine,
    Secret,
    Policy,
    Grant,
    Token,
    GonePod,
    SpentLogin,
    Application,
    Membership,
    Canary,
    CoSign,
    Allowlist,
    EnrolmentToken,
    SealingKey,
    AgentTrust,
    Webhook,
    WebhookProgress,
    Alerts,
    Credential,
    Session,
    Member,
}

/// Kind and id of an [`Entity`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityKey {
    /// The kind.
    pub kind: EntityKind,
    /// Unique within the kind, over all vaults.
    pub id: String,
}

impl EntityKey {
    /// Whether it is a machine's.
    pub fn is_machine(&self) -> bool {
        self.kind == EntityKind::Machine
    }
}

impl Entity {
    /// Kind and id.
    pub fn key(&self) -> EntityKey {
        let (kind, id) = match self {
            Self::Account(it) => (EntityKind::Account, it.id.clone()),
            Self::Vault(it) => (EntityKind::Vault, it.id.to_string()),
            Self::Cluster(it) => (EntityKind::Cluster, it.name.clone()),
            Self::Agent(it) => (EntityKind::Agent, it.id.to_string()),
            Self::Project(it) => (EntityKind::Project, it.id.to_string()),
            Self::Fleet(it) => (EntityKind::Fleet, it.id.to_string()),
            Self::Machine(it) => (EntityKind::Machine, it.id.to_string()),
            Self::Secret(it) => (EntityKind::Secret, it.id.to_string()),
            Self::Policy(it) => (EntityKind::Policy, it.id.clone()),
            Self::Grant(it) => (EntityKind::Grant, it.id.clone()),
            Self::Token(it) => (EntityKind::Token, it.id()),
            Self::GonePod(it) => (EntityKind::GonePod, cluster::GonePod::id(&it.cluster, &it.uid)),
            Self::SpentLogin(it) => (EntityKind::SpentLogin, it.hash.clone()),
            Self::Application(it) => (EntityKind::Application, it.id.clone()),
            Self::Membership(it) => (EntityKind::Membership, membership::Membership::id(&it.project, &it.machine)),
            Self::Canary(it) => (EntityKind::Canary, it.secret.to_string()),
            Self::CoSign(it) => (EntityKind::CoSign, co_sign::CoSignRequest::key(&it.secret, &it.reader)),
            Self::Allowlist(it) => (EntityKind::Allowlist, it.vault.to_string()),
            Self::EnrolmentToken(it) => (EntityKind::EnrolmentToken, it.id.clone()),
            Self::SealingKey(it) => (EntityKind::SealingKey, it.id.clone()),
            Self::AgentTrust(it) => (EntityKind::AgentTrust, agent::AgentTrust::id(&it.vault, &it.name)),
            Self::Webhook(it) => (EntityKind::Webhook, it.id.clone()),
            Self::WebhookProgress(it) => (EntityKind::WebhookProgress, it.webhook.clone()),
            Self::Alerts(it) => (EntityKind::Alerts, it.vault.to_string()),
            Self::Credential(it) => (EntityKind::Credential, it.account.clone()),
            Self::Session(it) => (EntityKind::Session, it.id.clone()),
            Self::Member(it) => (EntityKind::Member, member::Member::id(&it.vault, &it.account)),
        };
        EntityKey { kind, id }
    }
}

/// One step from a state to the next. A list of them is written, audited and applied as a whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Creates or replaces.
    Put(Box<Entity>),
    /// Removes; one that is not there is fine.
    Remove(EntityKey),
    /// Adds a version to a secret, or replaces how one is sealed. The one with the number that the secret says is the
    /// current one. The secret itself must be put before it.
    PutVersion(version::Version),
    /// Forgets an earlier version of a secret, which is not the current one.
    ForgetVersion(SecretId, u64),
    /// Stores the master key as another root key wraps it. Nothing in memory changes.
    WrapMaster(WrappedMaster),
}

impl Change {
    /// Shorthand for [`Change::Put`].
    pub fn put(entity: Entity) -> Self {
        Self::Put(Box::new(entity))
    }
}
