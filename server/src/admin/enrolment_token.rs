//! `admin enrolment-token …`

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::{SecretId, VaultId};
use sikkerkey_protocol::management::{EnrolmentTokenList, EnrolmentTokenView};

use super::Answer;
use super::execute::{Desk, looking, through};
use super::machine::until;
use super::table::table;
use crate::decision::Context;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::enrolment_token::{self, NewToken};
use crate::usecase::management::enrolment::{view, views};

/// Enrolment tokens: machines that share one enrol by themselves, for a while.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum EnrolmentToken {
    /// Prints a new token. It is shown this once, and what it gives is never changed.
    Create(Create),
    /// Revokes a token. The machines it let in go on until their time is over.
    Revoke {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Shows one token.
    Show {
        /// Its id.
        id: String,
    },
    /// Lists the tokens.
    List,
}

/// What a token gives.
#[derive(Debug, Args, Serialize, Deserialize)]
pub struct Create {
    /// The vault.
    #[arg(long)]
    vault: VaultId,
    /// What people call it.
    #[arg(long)]
    name: String,
    /// What it is for.
    #[arg(long, default_value = "")]
    description: String,
    /// A project, by id or name, of which its machines become members. May be given several times.
    #[arg(long = "project")]
    projects: Vec<String>,
    /// A secret of these projects that its machines may read, by id. May be given several times.
    #[arg(long = "secret")]
    secrets: Vec<SecretId>,
    /// How long the token is good, in seconds.
    #[arg(long, default_value_t = 86_400)]
    lifetime: u64,
    /// How long each machine lasts, in seconds.
    #[arg(long, default_value_t = 3600)]
    machine_lifetime: u64,
    /// How many machines it lets in, at most 10000.
    #[arg(long, default_value_t = 1)]
    max_uses: u32,
    /// Only from this range.
    #[arg(long, value_name = "CIDR")]
    source_cidr: Option<String>,
    /// Only host names like this: '*' stands for any characters, '?' for one.
    #[arg(long, value_name = "PATTERN")]
    hostname_pattern: Option<String>,
    /// What the machines are called, such as worker-{uuid8}; {uuid} and {hostname} are the other places.
    #[arg(long, value_name = "PATTERN")]
    name_pattern: Option<String>,
}

pub(super) async fn execute(desk: Desk<'_>, command: EnrolmentToken) -> Result<Answer, Refusal> {
    Ok(match command {
        EnrolmentToken::Create(it) => {
            let request = NewToken {
                vault: it.vault,
                name: it.name,
                description: it.description,
                projects: it.projects,
                secrets: it.secrets,
                token_lifetime_seconds: it.lifetime,
                machine_lifetime_seconds: it.machine_lifetime,
                max_uses: it.max_uses,
                source_cidr: it.source_cidr,
                hostname_pattern: it.hostname_pattern,
                name_pattern: it.name_pattern,
            };
            let create = move |it: &Context<'_>| enrolment_token::create(it, request);
            let (text, token) = through(desk, "enrolment-token create", create).await?;
            let json = json!({
                "token": text.expose(), "tokenId": token.id, "vaultId": token.vault,
                "expiresAt": token.expires_at.0, "expires": instant(token.expires_at),
            });
            Answer::new(json, text.expose())
        }
        EnrolmentToken::Revoke { id, reason } => {
            let revoke = move |it: &Context<'_>| enrolment_token::revoke_because(it, &id, reason.as_deref());
            let it = through(desk, "enrolment-token revoke", revoke).await?;
            let text = format!("enrolment token {} is revoked; its machines alive: {}", it.id, it.alive);
            Answer::of(&it, text)
        }
        EnrolmentToken::Show { id } => {
            let it = looking(desk, |it| Ok(view(it, enrolment_token::find(it, &id)?)))?;
            let text = show(&it);
            Answer::of(&it, text)
        }
        EnrolmentToken::List => list(looking(desk, |it| views(it, it.state.enrolment_tokens.values()))),
    })
}

fn list(tokens: Vec<EnrolmentTokenView>) -> Answer {
    let rows: Vec<[String; 7]> = tokens
        .iter()
        .map(|it| {
            [
                it.id.clone(),
                it.name.clone(),
                it.vault_id.to_string(),
                format!("{}/{}", it.uses, it.max_uses),
                it.alive.to_string(),
                it.state.as_str().to_owned(),
                until(Some(it.expires_at)),
            ]
        })
        .collect();
    let headings = ["TOKEN", "NAME", "VAULT", "USES", "ALIVE", "STATE", "EXPIRES"];
    let text = table(headings, &rows);
    Answer::of(&EnrolmentTokenList { enrollment_tokens: tokens }, text)
}

fn show(it: &EnrolmentTokenView) -> String {
    let mut lines = vec![
        format!("enrolment token {} ({})", it.name, it.id),
        format!("state       {}, until {}", it.state.as_str(), until(Some(it.expires_at))),
        format!("uses        {} of {}; alive {}", it.uses, it.max_uses, it.alive),
        format!("machines    last {} seconds each", it.machine_lifetime_seconds),
    ];
    let mut line = |what: &str, text: Option<String>| {
        lines.extend(text.filter(|it| !it.is_empty()).map(|text| format!("{what:<11} {text}")));
    };
    line("for", Some(it.description.clone()));
    line("projects", Some(it.project_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
    line("secrets", Some(it.secret_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
    line("from", it.source_cidr.clone());
    line("host names", it.hostname_pattern.clone());
    line("names", it.name_pattern.clone());
    line(
        "revoked",
        it.revoked_at.map(|at| format!("{} {}", until(Some(at)), it.revoked_because.as_deref().unwrap_or_default())),
    );
    lines.join("\n")
}
