//! One row of the audit, before it is chained.

use std::net::IpAddr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{AgentId, FleetId, MachineId, ProjectId, SecretId, VaultId};
pub use sikkerkey_protocol::management::Severity;

/// The longest detail of a row, in bytes: rows are read by lines of bounded length where they stand in files.
pub const MAX_DETAIL: usize = 4096;
const ELLIPSIS: char = '…';

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A machine.
    Machine(MachineId),
    /// An agent.
    Agent(AgentId),
    /// A person at the command line of the server.
    Administrator,
    /// The server itself.
    System,
    /// Somebody who is not authenticated.
    Anonymous,
    /// A person with a session, by account.
    Person(String),
}

/// What was done or tried: the names of the public protocol, and what this server adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Action {
    SecretRead,
    SecretReadDenied,
    SecretCreate,
    SecretUpdate,
    SecretDelete,
    SecretRetain,
    SecretRotate,
    MachineRegister,
    MachineRenew,
    MachineApprove,
    MachineRevoke,
    MachineUpdate,
    FleetApply,
    FleetDelete,
    GrantApply,
    GrantDelete,
    PolicyApply,
    PolicyDelete,
    ProjectCreate,
    NamespaceAdopt,
    VoucherIssue,
    VoucherRefused,
    PodGone,
    BootstrapTokenCreate,
    AgentLogin,
    AgentRegister,
    AgentApprove,
    AgentRevoke,
    ClusterTrust,
    VaultCreate,
    AccountUpdate,
    AuthFailure,
    LockoutStart,
    LockoutLift,
    ManagementDenied,
    ServerStart,
    ProjectUpdate,
    ProjectMachineAdd,
    ProjectMachineRemove,
    ApplicationUpdate,
    CanaryUpdate,
    CanaryTriggered,
    IpAllowlistUpdate,
    EnrolmentTokenCreate,
    EnrolmentTokenRevoke,
    RootKeyRotate,
    ProjectKeyRotate,
    AuditArchive,
    ServerRestore,
    SecretRelease,
    CoSignRequest,
    CoSignApprove,
    CoSignDeny,
    SecretRotationDue,
    PolicyProtect,
    PolicyUnprotect,
    ManagementRead,
    PolicyUnbind,
    SealingKeyCreate,
    ObjectRewind,
    SecretRename,
    SecretNoteUpdate,
    SecretScheduleUpdate,
    SecretRestore,
    SecretPurge,
    ProjectUnfreeze,
    WebhookCreate,
    WebhookUpdate,
    WebhookDelete,
    WebhookTest,
    WebhookDisable,
    WebhookDrop,
    AlertUpdate,
    AccountLogin,
    AccountLoginRefused,
    AccountLogout,
    SecondFactorAsk,
    PasswordChange,
    SecondFactorAdd,
    SecondFactorRemove,
    RecoveryCodesCreate,
    SessionRevoke,
    MemberAdd,
    MemberRemove,
    MachineDeny,
    MachineRename,
    MachineExtend,
    ProjectDelete,
    AgentUpdate,
    AgentDeny,
    AgentTrust,
}

impl Action {
    /// Every action.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Its name, as it stands in the audit.
    pub fn name(self) -> String {
        // No variant is skipped, so each has one.
        self.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
    }

    /// The action of that name.
    pub fn named(name: &str) -> Option<Self> {
        <Self as ValueEnum>::from_str(name, false).ok()
    }

    /// How much it matters.
    pub fn severity(self) -> Severity {
        match self {
            Self::SecretRead
            | Self::MachineRenew
            | Self::VoucherIssue
            | Self::PodGone
            | Self::ServerStart
            | Self::WebhookTest
            | Self::ManagementRead
            | Self::AccountLogout
            | Self::AuditArchive => Severity::Info,
            Self::MachineRegister
            | Self::AgentLogin
            | Self::SecretCreate
            | Self::SecretUpdate
            | Self::SecretRotate
            | Self::SecretRename
            | Self::SecretNoteUpdate
            | Self::SecretScheduleUpdate
            | Self::FleetApply
            | Self::PolicyApply
            | Self::ProjectCreate
            | Self::ApplicationUpdate
            | Self::CoSignRequest
            | Self::AccountLogin
            | Self::SecondFactorAsk
            | Self::MachineRename
            | Self::MachineUpdate => Severity::Low,
            Self::SecretReadDenied
            | Self::SecretRestore
            | Self::GrantApply
            | Self::GrantDelete
            | Self::FleetDelete
            | Self::MachineApprove
            | Self::MachineRevoke
            | Self::BootstrapTokenCreate
            | Self::AgentRegister
            | Self::AgentApprove
            | Self::AgentRevoke
            | Self::VaultCreate
            | Self::LockoutLift
            | Self::SecretRetain
            | Self::VoucherRefused
            | Self::ProjectMachineAdd
            | Self::ProjectMachineRemove
            | Self::EnrolmentTokenCreate
            | Self::EnrolmentTokenRevoke
            | Self::CoSignApprove
            | Self::CoSignDeny
            | Self::MachineDeny
            | Self::MachineExtend
            | Self::AgentDeny
            | Self::AgentUpdate
            | Self::SecretRotationDue
            | Self::PolicyProtect
            | Self::WebhookCreate
            | Self::WebhookUpdate
            | Self::AccountLoginRefused
            | Self::SessionRevoke
            | Self::ManagementDenied => Severity::Medium,
            Self::SecretDelete
            | Self::SecretPurge
            | Self::PolicyDelete
            | Self::PolicyUnprotect
            | Self::PolicyUnbind
            | Self::AuthFailure
            | Self::LockoutStart
            | Self::ClusterTrust
            | Self::AgentTrust
            | Self::ProjectDelete
            | Self::NamespaceAdopt
            | Self::ProjectUpdate
            | Self::CanaryUpdate
            | Self::IpAllowlistUpdate
            | Self::RootKeyRotate
            | Self::SealingKeyCreate
            | Self::ObjectRewind
            | Self::ProjectKeyRotate
            | Self::SecretRelease
            | Self::WebhookDelete
            | Self::WebhookDisable
            | Self::WebhookDrop
            | Self::AlertUpdate
            | Self::PasswordChange
            | Self::SecondFactorAdd
            | Self::SecondFactorRemove
            | Self::RecoveryCodesCreate
            | Self::MemberAdd
            | Self::MemberRemove
            | Self::AccountUpdate => Severity::High,
            Self::CanaryTriggered | Self::ProjectUnfreeze | Self::ServerRestore => Severity::Critical,
        }
    }
}

/// One row of the audit, before it is chained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What.
    pub action: Action,
    /// By whom.
    pub actor: Actor,
    /// In which vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultId>,
    /// In which project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// Which machine, as actor or as target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The fleet of that machine, where it reads: what it has read counts for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetId>,
    /// Which secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretId>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// Of a denied read: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<DenialReason>,
    /// For a person: names, versions, pod and node. Never a value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Entry {
    /// A row with nothing but an action and an actor.
    pub fn new(action: Action, actor: Actor) -> Self {
        Self {
            action,
            actor,
            vault: None,
            project: None,
            machine: None,
            fleet: None,
            secret: None,
            source_ip: None,
            denial: None,
            detail: String::new(),
        }
    }

    /// The row with a detail of at most [`MAX_DETAIL`] bytes; one that was longer ends with `…`.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if self.detail.len() > MAX_DETAIL {
            self.detail.truncate(self.detail.floor_char_boundary(MAX_DETAIL - ELLIPSIS.len_utf8()));
            self.detail.push(ELLIPSIS);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/audit/actions.txt");

    #[test]
    fn a_detail_that_is_too_long_is_cut_between_characters() {
        let cut = |detail: String| Entry { detail, ..Entry::new(Action::SecretRead, Actor::System) }.bounded().detail;
        assert_eq!(cut("x".repeat(MAX_DETAIL)), "x".repeat(MAX_DETAIL));
        assert_eq!(cut("x".repeat(MAX_DETAIL + 1)), format!("{}…", "x".repeat(MAX_DETAIL - 3)));
        // Of four bytes each: where a character would be torn, all of it goes.
        assert_eq!(cut("😀".repeat(100_000)), format!("{}…", "😀".repeat(MAX_DETAIL / 4 - 1)));
    }

    #[test]
    fn every_action_has_the_name_that_is_stored_and_the_severity_of_the_committed_table() {
        let mut actions = Action::all().to_vec();
        actions.sort_by_key(|it| it.name());
        let mut table = String::new();
        for action in actions {
            let name = action.name();
            assert_eq!(serde_json::to_value(action).unwrap(), name);
            assert_eq!(Action::named(&name), Some(action));
            writeln!(table, "{name} {}", action.severity().as_str()).unwrap();
        }
        assert_eq!(Action::named("secret_stolen"), None);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(GOLDEN, &table).unwrap();
        }
        assert_eq!(table, std::fs::read_to_string(GOLDEN).unwrap(), "UPDATE_GOLDEN=1 writes it anew");
    }
}
