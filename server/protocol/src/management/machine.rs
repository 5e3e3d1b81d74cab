//! Machines on the management plane.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{FleetId, MachineId, ProjectId};
use crate::kubernetes::Approval;
use crate::policy::TimeWindow;

/// What sort of machine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MachineKind {
    /// A host that goes on until it is revoked.
    Standard,
    /// A pod, or a machine that an enrolment token let in: it ends by itself.
    Ephemeral,
    /// A host that was let in for a time.
    Temp,
    /// All pods, or the host, of a `Machine` object: it has approval and grants, and its machines have keys.
    Fleet,
}

impl MachineKind {
    /// As it stands in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Ephemeral => "ephemeral",
            Self::Temp => "temp",
            Self::Fleet => "fleet",
        }
    }
}

/// A machine among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineRow {
    /// What it signs as; of a fleet, its own id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What sort of machine it is.
    pub kind: MachineKind,
    /// How approval stands.
    pub approval: Approval,
    /// Whether it is switched on.
    pub enabled: bool,
    /// When it last signed a request; Unix milliseconds.
    pub last_seen: Option<i64>,
    /// From where it last signed a request, or registered.
    pub address: Option<IpAddr>,
    /// Its operating system, as it calls itself.
    pub os: Option<String>,
    /// Its host name, as it calls itself.
    pub hostname: Option<String>,
    /// Of how many projects it is a member, as far as the asker sees them.
    pub project_count: usize,
    /// How many secrets it is granted, as far as the asker sees them.
    pub grant_count: usize,
    /// When it registered; Unix milliseconds.
    pub created_at: Option<i64>,
    /// When its identity ends; Unix milliseconds.
    pub expires_at: Option<i64>,
    /// The fingerprint of its key: what is compared before it is approved.
    pub fingerprint: Option<String>,
    /// The fleet it belongs to.
    pub fleet_id: Option<FleetId>,
    /// The `Machine` object that speaks for it.
    pub managed_by: Option<String>,
    /// The machine that is revoked when this one is approved.
    pub replaces: Option<MachineId>,
}

/// The machines of a vault, by name, the fleets among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineList {
    /// The machines.
    pub machines: Vec<MachineRow>,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineDetail {
    /// What stands in the list.
    #[serde(flatten)]
    pub machine: MachineRow,
    /// Of which projects it is a member.
    pub memberships: Vec<MachineMembership>,
    /// The enrolment token that let it in.
    pub enrollment_token_id: Option<String>,
    /// Whether a person approved its key.
    pub approved_by_person: bool,
    /// From where it registered, and as what.
    pub first_contact: Option<FirstContactView>,
    /// Of a pod: where it runs.
    pub pod: Option<PodView>,
    /// Of a temporary machine: its extensions, oldest first.
    pub extensions: Vec<ExtensionView>,
    /// What each of its requests has to keep to.
    pub guardrails: Guardrails,
}

/// A project of which a machine is a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineMembership {
    /// The project.
    pub project_id: ProjectId,
    /// Its name.
    pub project_name: String,
    /// Since when; Unix milliseconds.
    pub added_at: i64,
}

/// What a machine said of itself when it registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FirstContactView {
    /// When; Unix milliseconds.
    pub at: i64,
    /// From where.
    pub address: IpAddr,
    /// Its operating system, as it calls itself.
    pub os: Option<String>,
    /// Its host name, as it calls itself.
    pub hostname: Option<String>,
}

/// Where a pod runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodView {
    /// The cluster's name at the server.
    pub cluster: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// The node that it is on.
    pub node: String,
    /// Its service account.
    pub service_account: String,
}

/// How a temporary machine was given more time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExtensionView {
    /// When; Unix milliseconds.
    pub at: i64,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it would have ended; Unix milliseconds.
    pub from: i64,
    /// When it ends since then; Unix milliseconds.
    pub to: i64,
    /// When that was taken back; Unix milliseconds.
    pub reverted_at: Option<i64>,
}

/// What each request of a machine has to keep to, besides everything else. What is not given does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Guardrails {
    /// Ranges from which it may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_allowlist: Option<Vec<String>>,
    /// IANA time zone of the window. Required by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// When it may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window: Option<TimeWindow>,
}

/// Approves a machine's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApproveMachine {
    /// The fingerprint that the host shows: one that is not the key's is refused.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Only tells which machine would be revoked by it.
    #[serde(default)]
    pub preview: bool,
}

/// What approving does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineApproval {
    /// The machine.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is approved now.
    pub approved: bool,
    /// Whether this only told.
    pub preview: bool,
    /// The fingerprint of its key.
    pub fingerprint: Option<String>,
    /// The machine whose place it takes.
    pub replaces: Option<MachineRevocation>,
}

/// A body that may ask for a preview.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preview {
    /// Only tells what would fall.
    #[serde(default)]
    pub preview: bool,
}

/// What falls with a machine's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineRevocation {
    /// The machine.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether this only told.
    pub preview: bool,
    /// How many memberships of projects fall.
    pub memberships: usize,
    /// How many grants fall.
    pub grants: usize,
    /// How many secrets it can read no more.
    pub secrets: usize,
}

/// A change of a machine, done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineChanged {
    /// The machine.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How approval stands; denied: its row is gone.
    pub approval: Approval,
    /// Whether it is switched on.
    pub enabled: bool,
    /// When its identity ends; Unix milliseconds.
    pub expires_at: Option<i64>,
}

/// Another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rename {
    /// The name, from 1 to 255 printable characters.
    pub name: String,
}

/// What something was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NameHistory {
    /// Its id.
    pub id: String,
    /// What it is called now.
    pub name: String,
    /// What it was called before, oldest first: the last 50.
    pub history: Vec<FormerName>,
}

/// A name that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FormerName {
    /// The name.
    pub name: String,
    /// Until when it was used; Unix milliseconds.
    pub until: i64,
}

/// More time for a temporary machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExtendMachine {
    /// How much longer than now, in seconds. What remains then is at most 12 months (366 days).
    pub seconds: u64,
    /// Why, from 1 to 255 printable characters.
    pub reason: String,
}
