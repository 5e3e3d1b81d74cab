//! A command on its way to the one who executes it.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{MachineId, ProjectId, VaultId};
use sikkerkey_protocol::management::{AuditQuery, ExportFormat};

use super::account::AccountRequest;
use super::agent::Agent;
use super::alert::Alert;
use super::allowlist::Allowlist;
use super::application::Application;
use super::audit::Bound;
use super::canary::Canary;
use super::enrolment_token::EnrolmentToken;
use super::explain::Explain;
use super::grant::Grant;
use super::machine::Machine;
use super::member::Member;
use super::policy::PolicyRequest;
use super::project::Project;
use super::sealing_key::SealingKey;
use super::secret::SecretRequest;
use super::vault::Vault;
use super::webhook::Webhook;
use crate::model::millis::Millis;

/// A command, with the contents of the files it named.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is documented at the command of its name")]
pub enum Request {
    Vault(Vault),
    ClusterTrust { vault: VaultId, name: String, issuer: String, jwks: String, subject: String },
    ClusterList,
    Agent(Agent),
    Machine(Machine),
    Backup { out: PathBuf },
    Secret(SecretRequest),
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
    Account(AccountRequest),
    Member(Member),
    Adopt { cluster: String, namespace: Option<String>, uid: Option<String> },
    Audit { limit: u32, machine: Option<MachineId> },
    VerifyAudit { anchor: Option<PathBuf>, archive: Option<PathBuf> },
    AuditQuery { vault: Option<VaultId>, query: Box<AuditQuery>, format: Option<ExportFormat> },
    Webhook(Webhook),
    Alert(Alert),
    AuditKey,
    AuditStatus,
    AuditCheckpoint,
    AuditExport { from: Option<Bound>, to: Option<Bound>, out: PathBuf },
    Activity { from: Option<Millis>, to: Option<Millis> },
    Unlock { ip: Option<IpAddr>, machine: Option<MachineId>, account: Option<String> },
    RotateRootKey { file: Option<PathBuf>, command: Option<String> },
    RotateProjectKey { project: Option<ProjectId> },
    SealStatus,
}
