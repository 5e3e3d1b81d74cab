//! `admin enrolment-token …`

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::{SecretId, VaultId};

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::decision::Context;
use crate::live::World;
use crate::model::enrolment;
use crate::model::millis::Millis;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::enrolment_token::{self, NewToken};

/// Enrolment tokens: machines that share one enrol by themselves, for a while.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum EnrolmentToken {
    /// Prints a new token. It is shown this once, and what it gives is never changed.
    Create(Create),
    /// Revokes a token. The machines it let in go on until their time is over.
    Revoke {
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
        EnrolmentToken::Revoke { id } => {
            let done = format!("enrolment token {id} is revoked");
            through(desk, "enrolment-token revoke", move |it| enrolment_token::revoke(it, &id)).await?;
            Answer::done(done)
        }
        EnrolmentToken::List => list(&desk.app.live.read(), desk.app.clock.now()),
    })
}

fn list(world: &World, now: Millis) -> Answer {
    let mut tokens: Vec<_> = world.state.enrolment_tokens.values().collect();
    tokens.sort_by(|a, b| (&a.vault, &a.name, &a.id).cmp(&(&b.vault, &b.name, &b.id)));
    let rows: Vec<[String; 6]> = tokens
        .iter()
        .map(|it| {
            [
                it.id.clone(),
                it.name.clone(),
                it.vault.to_string(),
                format!("{}/{}", it.uses, it.max_uses),
                standing(it, now).to_owned(),
                instant(it.expires_at),
            ]
        })
        .collect();
    let json = tokens.iter().map(|it| {
        json!({
            "tokenId": it.id, "name": it.name, "description": it.description, "vaultId": it.vault, "uses": it.uses,
            "maxUses": it.max_uses, "state": standing(it, now), "expires": instant(it.expires_at),
            "projectIds": it.projects, "secretIds": it.secrets, "machineLifetimeSeconds": it.machine_lifetime_seconds,
            "sourceCidr": it.source_cidr, "hostnamePattern": it.hostname_pattern, "namePattern": it.name_pattern,
        })
    });
    let headings = ["TOKEN", "NAME", "VAULT", "USES", "STATE", "EXPIRES"];
    Answer::new(json!({ "enrolmentTokens": json.collect::<Vec<_>>() }), table(headings, &rows))
}

fn standing(token: &enrolment::EnrolmentToken, now: Millis) -> &'static str {
    if token.revoked_at.is_some() {
        "Revoked"
    } else if token.expires_at <= now {
        "Expired"
    } else if token.uses >= token.max_uses {
        "Used up"
    } else {
        "Active"
    }
}
