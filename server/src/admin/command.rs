//! What can be typed.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{ArgGroup, Subcommand};
use sikkerkey_protocol::id::{MachineId, ProjectId, VaultId};
use sikkerkey_protocol::key::PublicKey;

use super::Request;
use super::account::Account;
use super::agent::Agent;
use super::alert::Alert;
use super::allowlist::Allowlist;
use super::application::Application;
use super::audit::{Audit, instant};
use super::canary::Canary;
use super::co_sign::CoSign;
use super::enrolment_token::EnrolmentToken;
use super::explain::Explain;
use super::grant::Grant;
use super::machine::Machine;
use super::member::Member;
use super::policy::Policy;
use super::project::Project;
use super::sealing_key::SealingKey;
use super::secret::{Secret, SecretRequest};
use super::trash::Trash;
use super::vault::Vault;
use super::webhook::Webhook;
use crate::model::millis::Millis;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Vaults: projects, machines and agents of one owner.
    #[command(subcommand)]
    Vault(Vault),
    /// Kubernetes clusters whose operator may log in.
    #[command(subcommand)]
    Cluster(Cluster),
    /// Agents: programs that manage, and never read a value.
    #[command(subcommand)]
    Agent(Agent),
    /// Machines that read, and the fleets of Machine objects.
    #[command(subcommand)]
    Machine(Machine),
    /// Projects: secrets under one key, and the machines that may be granted them.
    #[command(subcommand)]
    Project(Project),
    /// Applications: projects that belong together, for the command line client.
    #[command(subcommand)]
    Application(Application),
    /// Grants: what a machine may read.
    #[command(subcommand)]
    Grant(Grant),
    /// Access policies: when, from where and how often a secret may be read.
    #[command(subcommand)]
    Policy(Policy),
    /// Approvals that policies with a co-signer ask for.
    #[command(subcommand)]
    CoSign(CoSign),
    /// Whether a machine may read a secret now, rule by rule, and what would change it.
    Explain(Explain),
    /// Canaries: secrets whose read freezes their project.
    #[command(subcommand)]
    Canary(Canary),
    /// From where the machines of a vault may connect and enrol.
    #[command(subcommand)]
    IpAllowlist(Allowlist),
    /// Enrolment tokens: machines that share one enrol by themselves, for a while.
    #[command(subcommand, visible_alias = "enrollment-token")]
    EnrolmentToken(EnrolmentToken),
    /// Keys that values in Git are sealed to.
    #[command(subcommand)]
    SealingKey(SealingKey),
    /// Secrets by hand: their values, versions, names, notes and schedules.
    #[command(subcommand)]
    Secret(Secret),
    /// What was deleted in the last 30 days.
    #[command(subcommand)]
    Trash(Trash),
    /// Lets a namespace that was made anew take over what the server holds of the earlier one of its name.
    Adopt {
        /// The cluster's name.
        #[arg(long)]
        cluster: String,
        /// The namespace; left out: every namespace of the cluster, after the cluster was restored.
        #[arg(long)]
        namespace: Option<String>,
        /// Its uid now; left out: whichever of that name applies something next.
        #[arg(long, requires = "namespace")]
        uid: Option<String>,
    },
    /// The newest rows of the audit, newest first; or what is to be done with it.
    #[command(args_conflicts_with_subcommands = true)]
    Audit {
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Only those of one machine, by id.
        #[arg(long)]
        machine: Option<MachineId>,
        /// What is to be done.
        #[command(subcommand)]
        command: Option<Audit>,
    },
    /// Prints the public key with which checkpoints and exports of the audit are checked.
    AuditKey,
    /// Checks that no row of the audit was changed, removed or added, and says what that proves. Works while the server
    /// runs and while it does not.
    VerifyAudit(VerifyAudit),
    /// How often machines polled, listed and synced, and how often nobody known was refused, by the minute.
    Activity {
        /// From this instant on: a day (YYYY-MM-DD, in UTC) or RFC 3339; left out: the last hour.
        #[arg(long, value_parser = instant)]
        from: Option<Millis>,
        /// Up to this instant, not included; left out: now.
        #[arg(long, value_parser = instant)]
        to: Option<Millis>,
    },
    /// Webhooks: web servers that are told what happens in a vault.
    #[command(subcommand)]
    Webhook(Webhook),
    /// Alerts: which actions are told in the server's log, and by webhooks that name none of their own.
    #[command(subcommand)]
    Alert(Alert),
    /// Accounts: people, who own vaults and log in.
    #[command(subcommand)]
    Account(Account),
    /// Members: what people may do in vaults that are not theirs.
    #[command(subcommand)]
    Member(Member),
    /// Ends a lockout.
    Unlock {
        /// Of an address.
        #[arg(long, required_unless_present_any = ["machine", "account"])]
        ip: Option<IpAddr>,
        /// Of a machine.
        #[arg(long)]
        machine: Option<MachineId>,
        /// Of an account, by e-mail address.
        #[arg(long, value_name = "EMAIL")]
        account: Option<String>,
    },
    /// Wraps the master key by another root key, at once and while the server runs. The next start needs the new one.
    #[command(group(ArgGroup::new("new").required(true)))]
    RotateRootKey {
        /// A file with the new root key, which the server can read: `openssl rand -hex 32` makes one.
        #[arg(long, value_name = "FILE", group = "new")]
        new_root_key_file: Option<PathBuf>,
        /// A command that wraps and unwraps, see --root-key-command.
        #[arg(long, value_name = "COMMAND", group = "new")]
        new_root_key_command: Option<String>,
    },
    /// Gives a project a new key and wraps the keys of all its values by it, while the server runs.
    #[command(group(ArgGroup::new("which").required(true)))]
    RotateProjectKey {
        /// The project, by id.
        #[arg(long, group = "which")]
        project: Option<ProjectId>,
        /// Every project.
        #[arg(long, group = "which")]
        all: bool,
    },
    /// The root key: whether the server has it, and which it is.
    #[command(subcommand)]
    Seal(Seal),
    /// Writes everything that the server holds to a file, while it serves. Values are in it as they are sealed: it is
    /// useless without the root key, which is not in it.
    Backup {
        /// The new file. Made by the server when it runs, for its owner alone.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Makes the data in an empty --data-dir or --database-url from a backup. What was revoked or used up since then does
    /// not come back: pods and operators log in again by themselves; hosts, and secrets whose reads are limited, wait
    /// until a person approves and releases them.
    Restore(Restore),
}

/// What is restored.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// The number of the epoch that begins; left out: the next after the backup's. Give a higher one than every restore
    /// before when this is not the first one since the backup was made and there is an anchor.
    #[arg(long, value_name = "N")]
    pub epoch: Option<u64>,
}

/// The root key.
#[derive(Debug, Subcommand)]
pub enum Seal {
    /// Whether the server has its root key, and which one wraps the master key.
    Status,
}

/// What is checked.
#[derive(Debug, clap::Args)]
pub struct VerifyAudit {
    /// Compares with the checkpoints in this file, too: a file anchor, or what a webhook has kept.
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
    /// Follows the rows from the files in this directory into the database, too, when the database does not have the
    /// first ones any more.
    #[arg(long, value_name = "DIR", conflicts_with = "from_export")]
    pub archive: Option<PathBuf>,
    /// Checks a file that was exported, instead of the database.
    #[arg(long, value_name = "FILE", conflicts_with = "anchor")]
    pub from_export: Option<PathBuf>,
    /// The server's key, as `admin audit-key` printed it: then neither data nor root key are needed.
    #[arg(long, value_name = "KEY", requires = "from_export")]
    pub public_key: Option<PublicKey>,
}

/// Clusters.
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Trusts a cluster; again, with other values, replaces them.
    Trust {
        /// The vault that holds the cluster's projects.
        #[arg(long)]
        vault: VaultId,
        /// The cluster's name at this server.
        #[arg(long)]
        name: String,
        /// The issuer of its service-account tokens: kubectl get --raw /.well-known/openid-configuration
        #[arg(long)]
        issuer: String,
        /// A file with its signing keys: kubectl get --raw /openid/v1/jwks
        #[arg(long, value_name = "FILE")]
        jwks_file: PathBuf,
        /// The operator's account: system:serviceaccount:NAMESPACE:NAME
        #[arg(long)]
        subject: String,
    },
    /// Lists the clusters.
    List,
}

impl Command {
    /// Reads the files that the command names, here where the person is who may read them.
    pub fn into_request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::Vault(it) => Request::Vault(it),
            Self::Cluster(Cluster::Trust { vault, name, issuer, jwks_file, subject }) => {
                let jwks = std::fs::read_to_string(&jwks_file)
                    .with_context(|| format!("cannot read the cluster's keys from {}", jwks_file.display()))?;
                Request::ClusterTrust { vault, name, issuer, jwks, subject }
            }
            Self::Cluster(Cluster::List) => Request::ClusterList,
            Self::Agent(it) => Request::Agent(it.with_files()?),
            Self::Machine(it) => Request::Machine(it),
            Self::Secret(it) => Request::Secret(it.into_request()?),
            Self::Trash(it) => Request::Secret(SecretRequest::Trash(it)),
            Self::Backup { out } => Request::Backup { out: absolute(&out)? },
            Self::Restore(_) => anyhow::bail!("a server that runs restores nothing: stop it, and give an empty place"),
            Self::Project(it) => Request::Project(it),
            Self::Application(it) => Request::Application(it),
            Self::Grant(it) => Request::Grant(it),
            Self::Policy(it) => Request::Policy(it.into_request()?),
            Self::CoSign(CoSign::List) => Request::CoSignList,
            Self::Explain(it) => Request::Explain(it),
            Self::Canary(it) => Request::Canary(it),
            Self::IpAllowlist(it) => Request::IpAllowlist(it),
            Self::SealingKey(it) => Request::SealingKey(it),
            Self::EnrolmentToken(it) => Request::EnrolmentToken(it),
            Self::Adopt { cluster, namespace, uid } => Request::Adopt { cluster, namespace, uid },
            Self::Audit { limit, machine, command: None } => Request::Audit { limit, machine },
            Self::Audit { command: Some(it), .. } => it.into_request()?,
            Self::Webhook(it) => Request::Webhook(it),
            Self::Alert(it) => Request::Alert(it),
            Self::AuditKey => Request::AuditKey,
            Self::VerifyAudit(it) => Request::VerifyAudit {
                anchor: it.anchor.as_deref().map(absolute).transpose()?,
                archive: it.archive.as_deref().map(absolute).transpose()?,
            },
            Self::Activity { from, to } => Request::Activity { from, to },
            Self::Account(it) => Request::Account(it.into_request()?),
            Self::Member(it) => Request::Member(it),
            Self::Unlock { ip, machine, account } => Request::Unlock { ip, machine, account },
            Self::RotateRootKey { new_root_key_file, new_root_key_command } => Request::RotateRootKey {
                // The server stands elsewhere.
                file: new_root_key_file
                    .map(std::path::absolute)
                    .transpose()
                    .context("cannot find the root key file")?,
                command: new_root_key_command,
            },
            Self::RotateProjectKey { project, .. } => Request::RotateProjectKey { project },
            Self::Seal(Seal::Status) => Request::SealStatus,
        })
    }
}

/// The server works in another directory.
pub(super) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}
