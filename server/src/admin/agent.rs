//! `admin agent …`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::{AgentId, VaultId};
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::{AgentList, AgentView, Scope, TrustView};

use super::Answer;
use super::duration::duration;
use super::execute::{Desk, looking, through};
use super::machine::{names, until};
use super::table::table;
use crate::decision::Context;
use crate::refusal::Refusal;
use crate::usecase::admin::agent::{self, Said};
use crate::usecase::agent::trust;
use crate::usecase::agent::view;
use crate::usecase::machine::view::history;

/// Agents.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Agent {
    /// Prints a one-time token with which an agent registers, good for 10 minutes.
    Token {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// What people call the agent; left out: as it says.
        #[arg(long)]
        name: Option<String>,
        /// The cluster it is going to speak for.
        #[arg(long, conflicts_with_all = ["scopes", "projects"])]
        cluster: Option<String>,
        /// What it may do.
        #[command(flatten)]
        rights: Rights,
    },
    /// Approves an agent that has registered.
    Approve {
        /// Its id.
        id: AgentId,
        /// The fingerprint that it shows: approves no other key.
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Removes an agent that waits for approval.
    Deny {
        /// Its id.
        id: AgentId,
    },
    /// Switches an agent off.
    Disable {
        /// Its id.
        id: AgentId,
    },
    /// Switches an agent on again.
    Enable {
        /// Its id.
        id: AgentId,
    },
    /// Gives an agent another name.
    Rename {
        /// Its id.
        id: AgentId,
        /// The name.
        name: String,
    },
    /// Says what an agent may do, in place of what was said before.
    SetScopes {
        /// Its id.
        id: AgentId,
        /// What it may do.
        #[command(flatten)]
        rights: Rights,
    },
    /// Takes an agent its identity.
    Revoke {
        /// Its id.
        id: AgentId,
    },
    /// Lets workloads log in as agents by tokens of an issuer, such as the jobs of GitHub Actions or GitLab; again, with
    /// other values, replaces them and ends what has logged in.
    Trust(Trust),
    /// Trusts workloads no longer, and ends what has logged in.
    Distrust {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// The trust's name.
        #[arg(long)]
        name: String,
    },
    /// Lists whose workloads are trusted.
    Trusts,
    /// Shows what an agent was called.
    Names {
        /// Its id.
        id: AgentId,
    },
    /// Shows one agent.
    Show {
        /// Its id.
        id: AgentId,
    },
    /// Lists the agents.
    List,
}

/// What an agent may do.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
pub struct Rights {
    /// A scope, such as machines.read, or `all`. May be given several times; none: it may ask who it is, and nothing else.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scopes, value_delimiter = ',')]
    scopes: Vec<Scopes>,
    /// A project that it may see, by id or name. May be given several times; none: every project of its vault.
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
}

/// One scope, or all.
type Scopes = Vec<Scope>;

impl Rights {
    fn said(self) -> Said {
        Said { scopes: self.scopes.into_iter().flatten().collect(), projects: self.projects }
    }
}

fn scopes(text: &str) -> Result<Scopes, String> {
    match text {
        "all" => Ok(Scope::ALL.to_vec()),
        _ => text.parse().map(|it| vec![it]).map_err(|it: sikkerkey_protocol::management::UnknownScope| it.to_string()),
    }
}

/// Whom to trust.
#[derive(Debug, Args, Serialize, Deserialize)]
pub struct Trust {
    /// The vault.
    #[arg(long)]
    vault: VaultId,
    /// The trust's name, unique in the vault.
    #[arg(long)]
    name: String,
    /// The `iss` of the tokens, as <https://token.actions.githubusercontent.com> is of those of GitHub Actions.
    #[arg(long)]
    issuer: String,
    /// A file with the issuer's signing keys: what `jwks_uri` says in its `/.well-known/openid-configuration`
    #[arg(long, value_name = "FILE")]
    jwks_file: PathBuf,
    /// What is in that file.
    #[arg(skip)]
    jwks: String,
    /// The audience of the tokens; left out: the server's own address.
    #[arg(long)]
    audience: Option<String>,
    /// What the subject of the tokens looks like, `*` standing for any characters and `?` for one, such as
    /// repo:example/shop:ref:refs/heads/main
    #[arg(long, value_name = "PATTERN")]
    subject: String,
    /// What the agents may do.
    #[command(flatten)]
    rights: Rights,
    /// How long each agent lasts, at most 24h.
    #[arg(long, value_parser = duration, default_value = "1h")]
    lifetime: u64,
}

impl Agent {
    /// Reads the files that the command names, here where the person is who may read them.
    pub(super) fn with_files(self) -> anyhow::Result<Self> {
        Ok(match self {
            Self::Trust(it) => {
                let jwks = std::fs::read_to_string(&it.jwks_file)
                    .with_context(|| format!("cannot read the issuer's keys from {}", it.jwks_file.display()))?;
                Self::Trust(Trust { jwks, ..it })
            }
            other => other,
        })
    }
}

pub(super) async fn execute(desk: Desk<'_>, command: Agent) -> Result<Answer, Refusal> {
    let (it, what) = match command {
        Agent::Token { vault, name, cluster, rights } => {
            let said = rights.said();
            let token = move |it: &Context<'_>| agent::token_with(it, &vault, name, cluster, &said);
            return Ok(Answer::token(through(desk, "agent token", token).await?));
        }
        Agent::Approve { id, fingerprint } => {
            let approve = move |it: &Context<'_>| agent::approve_compared(it, &id, fingerprint.as_deref());
            (through(desk, "agent approve", approve).await?, "is approved")
        }
        Agent::Deny { id } => (through(desk, "agent deny", move |it| agent::deny(it, &id)).await?, "is denied"),
        Agent::Disable { id } => {
            (through(desk, "agent disable", move |it| agent::set_enabled(it, &id, false)).await?, "is disabled")
        }
        Agent::Enable { id } => {
            (through(desk, "agent enable", move |it| agent::set_enabled(it, &id, true)).await?, "is enabled")
        }
        Agent::Rename { id, name } => {
            (through(desk, "agent rename", move |it| agent::rename(it, &id, &name)).await?, "has its name")
        }
        Agent::SetScopes { id, rights } => {
            let said = rights.said();
            let set = move |it: &Context<'_>| agent::set_rights(it, &id, &said);
            (through(desk, "agent set-scopes", set).await?, "may do that and nothing else")
        }
        Agent::Revoke { id } => (through(desk, "agent revoke", move |it| agent::revoke(it, &id)).await?, "is revoked"),
        Agent::Trust(it) => return trusted(desk, it).await,
        Agent::Distrust { vault, name } => {
            let done = format!("{name} is trusted no longer");
            through(desk, "agent distrust", move |it| agent::distrust(it, &vault, &name)).await?;
            return Ok(Answer::done(done));
        }
        Agent::Trusts => return Ok(trusts(&looking(desk, all_trusts))),
        Agent::Names { id } => {
            let earlier = |it: &Context<'_>| {
                let agent = agent::find(it, &id)?;
                Ok(history(agent.id.to_string(), agent.name.clone(), &agent.earlier_names))
            };
            return Ok(names(&looking(desk, earlier)?));
        }
        Agent::Show { id } => {
            let it = looking(desk, |it| Ok(view(agent::find(it, &id)?, |_| true)))?;
            let text = show(&it);
            return Ok(Answer::of(&it, text));
        }
        Agent::List => return Ok(list(looking(desk, all))),
    };
    let text = format!("agent {} {what}", it.id);
    Ok(Answer::of(&it, text))
}

async fn trusted(desk: Desk<'_>, it: Trust) -> Result<Answer, Refusal> {
    let request = agent::Trust {
        vault: it.vault,
        name: it.name,
        issuer: it.issuer,
        jwks: it.jwks,
        audience: it.audience,
        subject: it.subject,
        said: it.rights.said(),
        lifetime_seconds: it.lifetime,
    };
    let done = through(desk, "agent trust", move |it| agent::trust(it, request)).await?;
    let text = format!("{}: workloads {} of {} log in for {}", done.name, done.subject, done.issuer, done.audience);
    Ok(Answer::of(&done, text))
}

fn all(context: &Context<'_>) -> Vec<AgentView> {
    let mut agents: Vec<_> = context.state.agents.values().map(|it| view(it, |_| true)).collect();
    agents.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    agents
}

fn all_trusts(context: &Context<'_>) -> Vec<TrustView> {
    context.state.agent_trusts.values().map(|it| trust::view(context.state, it)).collect()
}

fn list(agents: Vec<AgentView>) -> Answer {
    let rows: Vec<[String; 7]> = agents
        .iter()
        .map(|it| {
            [
                it.id.to_string(),
                it.name.clone(),
                it.cluster.clone().unwrap_or_default(),
                standing(it).to_owned(),
                if it.cluster.is_some() { String::new() } else { may(it) },
                until(it.expires_at),
                it.fingerprint.clone(),
            ]
        })
        .collect();
    let headings = ["AGENT", "NAME", "CLUSTER", "APPROVAL", "SCOPES", "EXPIRES", "KEY"];
    let text = table(headings, &rows);
    Answer::of(&AgentList { agents }, text)
}

fn show(it: &AgentView) -> String {
    let scopes: Vec<_> = it.scopes.iter().map(|it| it.as_str()).collect();
    let projects = it.project_ids.as_ref().map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let mut lines = vec![
        format!("agent {} ({})", it.name, it.id),
        format!("approval   {}", standing(it)),
        format!("key        {}", it.fingerprint),
        format!("scopes     {}", scopes.join(" ")),
        format!("projects   {}", projects.unwrap_or_else(|| "every one".to_owned())),
    ];
    lines.extend(it.expires_at.map(|at| format!("ends       {}", until(Some(at)))));
    lines.extend(it.cluster.as_ref().map(|it| format!("cluster    {it}")));
    lines.extend(it.subject.as_ref().map(|it| format!("workload   {it}")));
    lines.join("\n")
}

fn trusts(trusts: &[TrustView]) -> Answer {
    let rows: Vec<[String; 6]> = trusts
        .iter()
        .map(|it| {
            [
                it.vault_id.to_string(),
                it.name.clone(),
                it.issuer.clone(),
                it.subject.clone(),
                it.audience.clone(),
                it.alive.to_string(),
            ]
        })
        .collect();
    let headings = ["VAULT", "NAME", "ISSUER", "SUBJECT", "AUDIENCE", "ALIVE"];
    Answer::new(json!({ "trusts": trusts }), table(headings, &rows))
}

fn may(it: &AgentView) -> String {
    let all = it.scopes.len() == Scope::ALL.len();
    if all { "all".to_owned() } else { it.scopes.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(",") }
}

fn standing(it: &AgentView) -> &'static str {
    match it.approval {
        Approval::Approved if !it.enabled => "Disabled",
        Approval::Approved => "Approved",
        _ => "Pending",
    }
}
