//! `admin grant …`

use clap::Subcommand;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::{MachineId, SecretId};

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::decision::Context;
use crate::live::World;
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::grant;

/// Grants: what a machine may read.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Grant {
    /// Grants secrets to a machine that is a member of their projects.
    Create {
        /// The machine's id.
        #[arg(long)]
        machine: MachineId,
        /// A secret's id. May be given several times.
        #[arg(long = "secret", required = true)]
        secrets: Vec<SecretId>,
        /// When the grant ends, such as 2027-01-31T00:00:00Z; left out: never.
        #[arg(long)]
        expires_at: Option<Timestamp>,
    },
    /// Grants a machine these secrets of a project and no others. What it is granted until a time stays so.
    Set {
        /// The project's id or name.
        #[arg(long)]
        project: String,
        /// The machine's id.
        #[arg(long)]
        machine: MachineId,
        /// A secret's id. May be given several times; none: takes every grant in the project back.
        #[arg(long = "secret")]
        secrets: Vec<SecretId>,
    },
    /// Takes a grant back.
    Delete {
        /// Its id.
        id: String,
    },
    /// Lists the grants.
    List,
}

pub(super) async fn execute(desk: Desk<'_>, command: Grant) -> Result<Answer, Refusal> {
    Ok(match command {
        Grant::Create { machine, secrets, expires_at } => {
            let end = expires_at.map(|it| Millis(it.as_millisecond()));
            let create = move |it: &Context<'_>| grant::create(it, &machine, &secrets, end);
            let ids = through(desk, "grant create", create).await?;
            let text = ids.join("\n");
            Answer::new(json!({ "grantIds": ids }), text)
        }
        Grant::Set { project, machine, secrets } => {
            let set = move |it: &Context<'_>| grant::set(it, &project, &machine, &secrets);
            let it = through(desk, "grant set", set).await?;
            let text = it.secret_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            Answer::of(&it, text)
        }
        Grant::Delete { id } => {
            let done = format!("grant {id} is taken back");
            through(desk, "grant delete", move |it| grant::delete(it, &id)).await?;
            Answer::done(done)
        }
        Grant::List => list(&desk.app.live.read()),
    })
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let mut rows: Vec<[String; 6]> = state
        .grants
        .values()
        .map(|it| {
            let grantee = match &it.grantee {
                Grantee::Machine(id) => state.machines.get(id).map(|it| it.name.clone()),
                Grantee::Fleet(id) => state.fleets.get(id).map(|it| it.managed.object.key.to_string()),
            };
            let secrets = it.secrets.iter().map(|id| state.secrets.get(id).map_or(id.as_str(), |it| it.name.as_str()));
            [
                it.id.clone(),
                grantee.unwrap_or_else(|| it.grantee.to_string()),
                state.projects.get(&it.project).map(|it| it.name.clone()).unwrap_or_default(),
                secrets.collect::<Vec<_>>().join(","),
                it.managed.as_ref().map(|it| it.object.key.to_string()).unwrap_or_default(),
                it.expires_at.map(instant).unwrap_or_default(),
            ]
        })
        .collect();
    rows.sort_by(|a, b| (&a[2], &a[1], &a[0]).cmp(&(&b[2], &b[1], &b[0])));
    let json = rows.iter().map(|[id, machine, project, secrets, object, expires]| {
        json!({
            "grantId": id, "machine": machine, "project": project, "secrets": secrets, "object": object,
            "expires": expires,
        })
    });
    let headings = ["GRANT", "MACHINE", "PROJECT", "SECRETS", "OBJECT", "EXPIRES"];
    Answer::new(json!({ "grants": json.collect::<Vec<_>>() }), table(headings, &rows))
}
