//! A command on its way to the one who executes it.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{AgentId, MachineId, ProjectId, SecretId, VaultId};
use sikkerkey_protocol::kubernetes::Charset;
use sikkerkey_protocol::secret_text::{self, SecretText};

use super::allowlist::Allowlist;
use super::application::Application;
use super::audit::Bound;
use super::bootstrap::Bootstrap;
use super::canary::Canary;
use super::enrolment_token::EnrolmentToken;
use super::explain::Explain;
use super::grant::Grant;
use super::policy::PolicyRequest;
use super::project::Project;
use super::sealing_key::SealingKey;
use crate::model::account::Standing;
use crate::model::millis::Millis;

/// A command, with the contents of the files it named.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is documented at the command of its name")]
pub enum Request {
    VaultCreate {
        name: String,
        owner: String,
    },
    VaultList,
    ClusterTrust {
        vault: VaultId,
        name: String,
        issuer: String,
        jwks: String,
        subject: String,
    },
    ClusterList,
    AgentToken {
        vault: VaultId,
        name: String,
        cluster: Option<String>,
    },
    AgentApprove {
        id: AgentId,
    },
    AgentRevoke {
        id: AgentId,
    },
    AgentList,
    MachineBootstrap(Bootstrap),
    MachineApprove {
        id: String,
    },
    MachineRevoke {
        id: String,
    },
    MachineList,
    SecretSet {
        id: SecretId,
        #[serde(serialize_with = "secret_text::serialize")]
        value: SecretText,
        fields: Option<Vec<String>>,
    },
    SecretList,
    SecretCreate {
        project: String,
        name: String,
        content: SecretContent,
    },
    SecretRotate {
        id: SecretId,
        length: u32,
        charset: Characters,
    },
    SecretDelete {
        id: SecretId,
    },
    SecretRelease {
        id: SecretId,
    },
    Backup {
        out: PathBuf,
    },
    Project(Project),
    Application(Application),
    Grant(Grant),
    Policy(PolicyRequest),
    CoSignList,
    Explain(Explain),
    Canary(Canary),
    IpAllowlist(Allowlist),
    SealingKey(SealingKey),
    EnrolmentToken(EnrolmentToken),
    MachineEnabled {
        id: MachineId,
        enabled: bool,
    },
    AccountList,
    Adopt {
        cluster: String,
        namespace: Option<String>,
        uid: Option<String>,
    },
    Audit {
        limit: u32,
        machine: Option<MachineId>,
    },
    VerifyAudit {
        anchor: Option<PathBuf>,
        archive: Option<PathBuf>,
    },
    AuditKey,
    AuditStatus,
    AuditCheckpoint,
    AuditExport {
        from: Option<Bound>,
        to: Option<Bound>,
        out: PathBuf,
    },
    Activity {
        from: Option<Millis>,
        to: Option<Millis>,
    },
    AccountStanding {
        email: String,
        standing: Standing,
    },
    Unlock {
        ip: Option<IpAddr>,
        machine: Option<MachineId>,
    },
    RotateRootKey {
        file: Option<PathBuf>,
        command: Option<String>,
    },
    RotateProjectKey {
        project: Option<ProjectId>,
    },
    SealStatus,
}

/// Where a secret's first value comes from.
#[derive(Debug, Serialize, Deserialize)]
pub enum SecretContent {
    /// A file.
    Given {
        /// What is in it.
        #[serde(serialize_with = "secret_text::serialize")]
        value: SecretText,
        /// The names of its fields; none for a plain one.
        fields: Vec<String>,
    },
    /// Chance.
    Made {
        /// How many characters.
        length: u32,
        /// Which.
        charset: Characters,
    },
}

/// Of which characters a random value is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Characters {
    /// Letters, digits and signs that rarely break where a value is pasted.
    Symbols,
    /// Letters and digits.
    Alphanumeric,
    /// Digits.
    Numbers,
    /// A random UUID; the length does not matter.
    Uuid,
}

impl From<Characters> for Charset {
    fn from(it: Characters) -> Self {
        match it {
            Characters::Symbols => Self::Symbols,
            Characters::Alphanumeric => Self::Alphanumeric,
            Characters::Numbers => Self::Numeric,
            Characters::Uuid => Self::Uuid,
        }
    }
}
