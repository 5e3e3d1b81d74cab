//! The operator's routes: the four kinds as the server holds them, vouchers for pods, and what has happened since.
//!
//! Extensions of the management plane, signed by an agent. Objects are keyed by cluster, namespace and name. The
//! cluster is never in a body: it follows from the agent that signs, which the server bound to one cluster at login.
//! Every `apply` is level-based and idempotent: the same body twice changes nothing the second time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Call;
use crate::denial::DenialReason;
use crate::id::{AgentId, FleetId, MachineId, ProjectId, SecretId, VaultId};
use crate::key::{PublicKey, Signature};
use crate::policy::PolicyDocument;
use crate::secret_text::{self, SecretText};
use crate::sync::Delivery;

/// An object's name in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object as the operator saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Namespace and name.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Uid of the namespace: one that was made anew inherits nothing without a person's word.
    pub namespace_uid: String,
    /// Uid of the object.
    pub uid: String,
    /// `metadata.generation`: an older one of the same uid never replaces a newer one.
    pub generation: i64,
}

/// One of the four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the four kinds")]
pub enum Kind {
    Machine,
    Secret,
    Grant,
    AccessPolicy,
}

// ------------------------------------------------------------------------------------------------------------ login

/// An operator's replica logs in with a token of its cluster and a key it has just made. Unsigned.
///
/// The token's audience is the server's public URL, its issuer and subject are those of a cluster the server was told
/// to trust, it is bound to a pod, and each is accepted once. The agent ends with the token.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The service-account token.
    #[serde(serialize_with = "secret_text::serialize")]
    pub token: SecretText,
    /// The replica's key.
    pub public_key: PublicKey,
    /// Signature over [`possession`](crate::canonical::possession) with `Purpose::Login` and the token.
    pub proof: Signature,
}

/// The answer to [`Login`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggedIn {
    /// What to sign as.
    pub agent_id: AgentId,
    /// The vault that holds this cluster's projects.
    pub vault_id: VaultId,
    /// The cluster's name at the server.
    pub cluster: String,
    /// When the agent ends, in Unix milliseconds.
    pub expires_at: i64,
}

impl Call for Login {
    const PATH: &'static str = "/v1/ai/kubernetes/login";
    type Answer = LoggedIn;
}

// ---------------------------------------------------------------------------------------------------------- machine

/// Puts a `Machine` in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyMachine {
    /// Which one.
    pub object: ObjectMeta,
    /// Whether a person approves (once for a fleet, for each key of a host).
    pub manual_approval: bool,
    /// Whether nobody reads as it for now.
    pub suspended: bool,
    /// Pods or a host.
    pub subject: Subject,
}

/// Whom a `Machine` stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// The pods of a workload.
    #[serde(rename_all = "camelCase")]
    Workload {
        /// Names of the service accounts whose pods may assume it. A pod of another one loses its identity at once.
        service_accounts: Vec<String>,
        /// How long one pod's identity lasts before it renews, in seconds.
        lifetime_seconds: u64,
        /// What its sidecars write.
        delivery: Delivery,
    },
    /// A machine outside the cluster.
    #[serde(rename_all = "camelCase")]
    Host {
        /// The key it must have; pinning it is the approval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public_key: Option<PublicKey>,
        /// How long the identity lasts, in seconds; absent: for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifetime_seconds: Option<u64>,
    },
}

/// How approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Approval {
    Approved,
    Pending,
    Denied,
}

/// A `Machine` as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineState {
    /// Id of the fleet, or of the host (a host that has not enrolled has none).
    pub machine_id: Option<String>,
    /// How approval stands.
    pub approval: Approval,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Live pods.
    pub alive: u32,
    /// Secrets it is granted.
    pub granted_secrets: u32,
    /// Last signed request, in Unix milliseconds.
    pub last_seen: Option<i64>,
    /// Of a host: the fingerprint of its key.
    pub fingerprint: Option<String>,
    /// Of a host: when its identity ends, in Unix milliseconds.
    pub expires_at: Option<i64>,
}

impl Call for ApplyMachine {
    const PATH: &'static str = "/v1/ai/kubernetes/machines/apply";
    type Answer = MachineState;
}

// ----------------------------------------------------------------------------------------------------------- secret

/// Puts a `Secret` in force.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplySecret {
    /// Which one.
    pub object: ObjectMeta,
    /// Where its value comes from.
    pub source: SecretSource,
    /// The policy of the same namespace that guards it: locked while that is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// When a new value is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// Where a secret's value comes from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// The server makes it. A new recipe applies to the next version; it makes none by itself.
    Generate(Recipe),
    /// It was sealed to the server's key.
    #[serde(rename_all = "camelCase")]
    Sealed {
        /// Which key.
        key_id: String,
        /// Base64.
        ciphertext: String,
        /// Bound to the namespace only, not to the name.
        namespace_scope: bool,
    },
    /// It is taken over from a Kubernetes Secret; carried once per change of that Secret.
    #[serde(rename_all = "camelCase")]
    Supplied {
        /// The value.
        #[serde(serialize_with = "secret_text::serialize")]
        value: SecretText,
        /// Names of its fields; empty for a plain value.
        field_names: Vec<String>,
    },
    /// A person sets it at the server.
    External {
        /// The fields it is expected to have; empty for a plain value.
        fields: Vec<String>,
    },
}

/// How a value is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Recipe {
    /// One value.
    Plain(Generator),
    /// A structured value.
    Fields(Vec<RecipeField>),
}

/// One field of a structured value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipeField {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: FieldContent,
}

/// Content of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FieldContent {
    /// Made by the server.
    Generated(Generator),
    /// The text of the manifest.
    Literal(String),
}

/// How random text is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator {
    /// Characters; not used for a UUID.
    pub length: u32,
    /// Which characters.
    pub charset: Charset,
}

/// Which characters a generated value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Charset {
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits and symbols.
    Symbols,
    /// Digits.
    Numeric,
    /// A random UUID.
    #[serde(rename = "UUID")]
    Uuid,
}

/// When a new value is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// So long after the last version, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u64>,
    /// A version made before this instant (Unix milliseconds) is replaced, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<i64>,
}

/// A `Secret` as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretState {
    /// The secret's id.
    pub secret_id: SecretId,
    /// The namespace's project.
    pub project_id: ProjectId,
    /// The newest version; 0 while nobody has set a value.
    pub version: u64,
    /// When it was made, in Unix milliseconds.
    pub version_time: Option<i64>,
    /// When the next is due, in Unix milliseconds.
    pub next_rotation: Option<i64>,
    /// Whether a new value is due that the server cannot make itself.
    pub rotation_due: bool,
    /// Names of the fields.
    pub field_names: Vec<String>,
    /// Live grants that name it.
    pub grants: u32,
    /// Whether the policy it names is in force; true when it names none.
    pub policy_in_force: bool,
    /// Live machines that were delivered some version.
    pub pods_total: u32,
    /// Those that were delivered the newest.
    pub pods_current: u32,
}

impl Call for ApplySecret {
    const PATH: &'static str = "/v1/ai/kubernetes/secrets/apply";
    type Answer = SecretState;
}

// ------------------------------------------------------------------------------------------------------------ grant

/// Puts a `Grant` in force. What does not exist yet is left out and named in the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyGrant {
    /// Which one.
    pub object: ObjectMeta,
    /// Who may read. The operator has checked the consent of the Machine's namespace.
    pub machine: ObjectKey,
    /// What may be read: names of Secrets of the Grant's own namespace.
    pub secrets: Vec<String>,
    /// Until when, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// A `Grant` as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantState {
    /// The fleet's or host's id; absent when the server has no such Machine.
    pub machine_id: Option<String>,
    /// Names of the Secrets that are granted.
    pub granted: Vec<String>,
    /// Names of the Secrets that the server does not have.
    pub missing: Vec<String>,
    /// What has been read through it.
    pub usage: Usage,
}

/// Reads and denials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Values delivered.
    pub reads: u64,
    /// Reads denied.
    pub denied: u64,
    /// Last delivery, in Unix milliseconds.
    pub last_read: Option<i64>,
    /// Last denial.
    pub last_denied: Option<LastDenied>,
}

/// The last denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDenied {
    /// Unix milliseconds.
    pub time: i64,
    /// Name of the Secret.
    pub secret: String,
    /// Why.
    pub reason: DenialReason,
    /// Why, for a person.
    pub message: String,
}

impl Call for ApplyGrant {
    const PATH: &'static str = "/v1/ai/kubernetes/grants/apply";
    type Answer = GrantState;
}

// ----------------------------------------------------------------------------------------------------------- policy

/// Puts an `AccessPolicy` in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyPolicy {
    /// Which one.
    pub object: ObjectMeta,
    /// The policy.
    pub policy: PolicyDocument,
}

/// An `AccessPolicy` as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyState {
    /// Secrets that name it.
    pub secrets: u32,
    /// How its window stands.
    pub window: WindowState,
    /// When that changes, in Unix milliseconds.
    pub window_changes_at: Option<i64>,
    /// Reads and denials of the secrets it guards.
    pub usage: Usage,
    /// Denials by axis.
    pub denied_by: BTreeMap<DenialReason, u64>,
}

/// How a policy's window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WindowState {
    /// No window.
    Always,
    /// Open now.
    Open,
    /// Closed now.
    Closed,
    /// Its last day or last read is past.
    Ended,
}

impl Call for ApplyPolicy {
    const PATH: &'static str = "/v1/ai/kubernetes/policies/apply";
    type Answer = PolicyState;
}

// ----------------------------------------------------------------------------------------------------------- delete

/// Takes an object out of force. Access through it is over before the answer. Idempotent: one that is not there is fine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delete {
    /// Which kind.
    pub kind: Kind,
    /// Which one.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Only the object of this uid: a late delete never hits its successor of the same name.
    pub uid: String,
    /// Of a Secret: whether the value goes to the trash instead of being kept for a Secret of the same name.
    #[serde(default)]
    pub trash: bool,
}

/// It is out of force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {}

impl Call for Delete {
    const PATH: &'static str = "/v1/ai/kubernetes/delete";
    type Answer = Deleted;
}

// --------------------------------------------------------------------------------------------------------- inventory

/// Everything the server holds of this cluster, for comparison and for status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {}

/// The answer to [`Inventory`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inventoried {
    /// Machines.
    pub machines: Vec<Entry<MachineState>>,
    /// Secrets that some object stands for; kept values of deleted ones are not among them.
    pub secrets: Vec<Entry<SecretState>>,
    /// Grants.
    pub grants: Vec<Entry<GrantState>>,
    /// Policies.
    pub policies: Vec<Entry<PolicyState>>,
    /// Live machines of pods.
    pub pods: Vec<PodState>,
}

/// One object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry<S> {
    /// As it was applied last.
    pub object: ObjectMeta,
    /// As it stands.
    pub state: S,
}

/// A live machine of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodState {
    /// The pod.
    pub pod: PodIdentity,
    /// The `Machine` it assumed.
    pub machine: ObjectKey,
    /// Its own id.
    pub machine_id: MachineId,
    /// Last signed request, in Unix milliseconds.
    pub last_seen: Option<i64>,
}

impl Call for Inventory {
    const PATH: &'static str = "/v1/ai/kubernetes/inventory";
    type Answer = Inventoried;
}

// -------------------------------------------------------------------------------------------------------------- pods

/// A pod as the API server's token review names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodIdentity {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The node it runs on.
    pub node: String,
    /// Its service account's name.
    pub service_account: String,
}

/// Asks for a voucher: one key of one pod may become a machine of this fleet, once, within 60 seconds. A newer voucher
/// for the same pod voids the older ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssueVoucher {
    /// The `Machine` the pod assumes.
    pub machine: ObjectKey,
    /// The pod, from the token review and from nowhere else.
    pub pod: PodIdentity,
    /// The key the sidecar proved to have.
    pub public_key: PublicKey,
}

/// The voucher.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedVoucher {
    /// One-time token for [`Register`](crate::enrolment::Register).
    #[serde(serialize_with = "secret_text::serialize")]
    pub voucher: SecretText,
    /// The vault.
    pub vault_id: VaultId,
    /// The fleet.
    pub fleet_id: FleetId,
    /// When the voucher ends, in Unix milliseconds.
    pub expires_at: i64,
}

impl Call for IssueVoucher {
    const PATH: &'static str = "/v1/ai/kubernetes/vouchers/issue";
    type Answer = IssuedVoucher;
}

/// Pods that are gone: their machines are revoked and their uids get no voucher any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GonePods {
    /// Uids.
    pub uids: Vec<String>,
}

/// The answer to [`GonePods`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodsRevoked {
    /// Machines that were live until now.
    pub revoked: u32,
}

impl Call for GonePods {
    const PATH: &'static str = "/v1/ai/kubernetes/pods/gone";
    type Answer = PodsRevoked;
}
