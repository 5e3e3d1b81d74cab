//! `Machine`: who may read. Pods of its namespace, or one host outside the cluster.

mod delivery;
mod delivery_file;
mod pod_selector;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    CustomResource,
    core::{Reason as RuleReason, Rule},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    delivery::{ChangeNotice, Delivery, DeliveryMode, HttpPost, OnChange, OnDenied, Signal, SignalName},
    delivery_file::{DeliveryFile, FileContent, FileContentError, FileFormat, FileSecretRef, Pkcs12, Pkcs12Type},
    pod_selector::{LabelOperator, LabelRequirement, PodSelector},
};
use crate::{
    choice::{NotExactlyOne, exactly_one},
    condition::Condition,
    defaults,
    duration::Duration,
    shape::{self, check, check_at, rule},
};

/// Who may read: pods of this namespace, or one host outside the cluster. A pod assumes a Machine by the label
/// `sikkerkey.com/machine`. What a Machine may read is said by Grants.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sikkerkey.com",
    version = "v1alpha1",
    kind = "Machine",
    plural = "machines",
    shortname = "skm",
    category = "sikkerkey",
    namespaced,
    schema = "manual",
    doc = "A Machine: who may read. Pods of its namespace, or one host outside the cluster.",
    derive = "PartialEq",
    derive = "Default",
    status = "MachineStatus",
    printcolumn = r#"{"name": "Type", "type": "string", "jsonPath": ".status.type"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Approved", "type": "string", "jsonPath": ".status.approval"}"#,
    printcolumn = r#"{"name": "Alive", "type": "integer", "jsonPath": ".status.pods.alive"}"#,
    printcolumn = r#"{"name": "Secrets", "type": "integer", "jsonPath": ".status.grantedSecrets"}"#,
    printcolumn = r#"{"name": "Last-Seen", "type": "date", "jsonPath": ".status.lastSeenTime"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Current", "type": "string", "jsonPath": ".status.pods.summary", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = check(
        "has(self.workload) != has(self.host)",
        "give exactly one of workload (pods of this namespace) and host (a machine outside the cluster)"
    ),
    transform = rule(
        Rule::new("has(self.workload) == has(oldSelf.workload)")
            .message("a Machine is for pods or for a host for life: make a new Machine")
            .reason(RuleReason::FieldValueForbidden)
            .field_path(".workload")
    ),
    transform = check_at(
        ".delivery",
        "!has(self.delivery) || has(self.workload)",
        "delivery is for pods: a host reads with an SDK or the CLI"
    ),
    transform = check_at(
        ".approval",
        "!has(self.host) || has(self.host.publicKey) || !has(self.approval) || self.approval == 'Manual'",
        "a host without a pinned publicKey is approved by a person: leave approval out, or pin the key"
    )
)]
pub struct MachineSpec {
    /// Pods of this namespace. Give exactly one of `workload` and `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// One machine outside the cluster. Give exactly one of `workload` and `host`. Empty (`{}`): the host enrols with a
    /// one-time command of `kubectl sikkerkey bootstrap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Whether a person must approve the machine before it may read: `Automatic` or `Manual`. Absent: `Automatic` for
    /// `workload`, `Manual` for a host. A pinned `host.publicKey` is approved by the pin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// True: nobody reads as this Machine until it is false again, and `onRevoked` says what becomes of files in running pods.
    /// Absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// The identity that pods and hosts get. Absent: one with the default lifetime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Consent: whose objects in other namespaces may name this Machine. Absent: only objects of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), transform = shape::map_list(["namespace"]))]
    pub allow_from: Option<Vec<Consent>>,
    /// The files that pods of this Machine get. What is said to be live reaches running pods within a moment, the rest when
    /// they are replaced. Absent: the sidecar without files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// Pods of this namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Service accounts of this namespace. Only pods that run as one of them may assume this Machine.
    #[schemars(length(min = 1, max = 16), transform = shape::set_list, transform = shape::each(shape::name))]
    pub service_account_names: Vec<String>,
    /// Narrows further, to pods with these labels. Absent: all pods of those service accounts. Labels alone prove
    /// nothing: whoever makes a pod sets them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<PodSelector>,
}

/// One machine outside the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// The host's raw Ed25519 public key: 32 bytes in base64. Pinning it here is the approval of that key. Absent: the
    /// host enrols with a one-time command and a person approves the fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 44), regex(pattern = r"^[A-Za-z0-9+/]{43}=$"))]
    pub public_key: Option<String>,
}

/// Who approves a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// Whoever may apply this object.
    Automatic,
    /// A person, at the server.
    Manual,
}

/// The identity that pods and hosts get.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// How long an identity is good for, for example `1h` or `720h`; from 5m to 8784h (366 days). Pods renew theirs
    /// after two thirds of it. Absent: 1h for pods; hosts do not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = check(
        "duration(self) >= duration('5m') && duration(self) <= duration('8784h')",
        "lifetime is from 5m to 8784h (366 days)"
    ))]
    pub lifetime: Option<Duration>,
}

/// Consent to objects of one other namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    /// The other namespace.
    #[schemars(transform = shape::label)]
    pub namespace: String,
    /// Which of its objects may name this Machine: `Grant` (it may be given Secrets of that namespace), `AccessPolicy`
    /// (it may be made a co-signer there).
    #[schemars(length(min = 1, max = 2), transform = shape::set_list)]
    pub kinds: Vec<ConsentKind>,
}

/// A kind that may name a Machine of another namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConsentKind {
    /// Grants.
    Grant,
    /// Access policies, which name a co-signer.
    AccessPolicy,
}

/// What a Machine stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subject<'a> {
    /// Pods of its namespace.
    Workload(&'a Workload),
    /// One machine outside the cluster.
    Host(&'a Host),
}

static NO_DELIVERY: Delivery = Delivery::EMPTY;

impl MachineSpec {
    /// What the Machine stands for.
    pub fn subject(&self) -> Result<Subject<'_>, NotExactlyOne> {
        exactly_one(
            "spec",
            &["workload", "host"],
            [self.workload.as_ref().map(Subject::Workload), self.host.as_ref().map(Subject::Host)],
        )
    }

    /// Whether a person must approve. A pinned key of a host is its own approval.
    pub fn approval(&self) -> Approval {
        let pinned = self.host.as_ref().is_some_and(|host| host.public_key.is_some());
        match (self.approval, &self.host) {
            _ if pinned => Approval::Automatic,
            (Some(approval), _) => approval,
            (None, Some(_)) => Approval::Manual,
            (None, None) => Approval::Automatic,
        }
    }

    /// Whether nobody may read as this Machine for now.
    pub fn suspended(&self) -> bool {
        self.suspend.unwrap_or(false)
    }

    /// How long an identity is good for. None: it does not expire.
    pub fn lifetime(&self) -> Option<std::time::Duration> {
        let given = self.identity.as_ref().and_then(|identity| identity.lifetime).map(Duration::get);
        given.or_else(|| self.host.is_none().then_some(defaults::POD_LIFETIME))
    }

    /// Whether objects of `kind` in the other namespace `namespace` may name this Machine.
    pub fn consents_to(&self, namespace: &str, kind: ConsentKind) -> bool {
        let mut consents = self.allow_from.iter().flatten();
        consents.any(|consent| consent.namespace == namespace && consent.kinds.contains(&kind))
    }

    /// The delivery, empty when absent.
    pub fn delivery(&self) -> &Delivery {
        self.delivery.as_ref().unwrap_or(&NO_DELIVERY)
    }
}

/// What the operator last saw of the Machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineStatus {
    /// The `metadata.generation` that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub observed_generation: Option<i64>,
    /// Accepted, `ResolvedRefs`, Programmed and their summary Ready; Stalled while only an edit can help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = shape::map_list(["type"]))]
    pub conditions: Vec<Condition>,
    /// `Workload` or `Host`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<MachineType>,
    /// Id of the fleet, or of the host, at the server.
    #[serde(rename = "machineID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub machine_id: Option<String>,
    /// `Approved`, `Pending` or `Denied`, as the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalState>,
    /// How many Secrets the live Grants give to this Machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub granted_secrets: Option<i32>,
    /// When a request of this Machine last reached the server. Coarse: written at most once in ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_time: Option<Time>,
    /// The pods that have an identity of this Machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<MachinePods>,
    /// The host, as the server knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostStatus>,
    /// How many problems there are in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub problem_count: Option<i32>,
    /// The worst 16 problems; `problemCount` says how many there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = shape::atomic_list)]
    pub problems: Vec<MachineProblem>,
}

/// What a Machine stands for, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MachineType {
    /// Pods of its namespace.
    Workload,
    /// One machine outside the cluster.
    Host,
}

/// How the server stands to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalState {
    /// It may read what it is granted.
    Approved,
    /// It waits for a person.
    Pending,
    /// An administrator denied it.
    Denied,
}

/// Counts of the pods of a Machine. No list: it would grow with the fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachinePods {
    /// Pods with a live identity, and in mode `Init` those that gave theirs up when they had their files.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub alive: Option<i32>,
    /// Pods that have all their files.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub ready: Option<i32>,
    /// Pods that run with an older `mode`, `mountPath` or `sizeLimit`: they take the new ones when they are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub outdated: Option<i32>,
    /// Up to date of alive, for example `5/6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub summary: Option<String>,
}

/// The host, as the server knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// Fingerprint of the key that enrolled. Compare it on the host before you approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub fingerprint: Option<String>,
    /// Address of the server that the host enrols at, without any token.
    #[serde(rename = "bootstrapURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub bootstrap_url: Option<String>,
    /// When the host's identity ends. Absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_time: Option<Time>,
}

/// Something that one pod, or one file, suffers from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineProblem {
    /// The pod. Absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
    /// The file. Absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub path: Option<String>,
    /// Why, in one word.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// What is and what to do.
    #[schemars(length(max = 512))]
    pub message: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}
