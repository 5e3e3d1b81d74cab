//! `admin trash …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::management::TrashList;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::live::World;
use crate::model::millis::Millis;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::secret;
use crate::usecase::management::trash;

/// The trash: what was deleted stays there for 30 days, and nobody reads it.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Trash {
    /// Takes a secret out of the trash.
    Restore {
        /// Its id.
        id: SecretId,
    },
    /// Removes a secret for good, with its versions.
    Purge {
        /// Its id.
        id: SecretId,
    },
    /// Lists what is in the trash, what was deleted last first.
    List,
}

pub(super) async fn execute(desk: Desk<'_>, command: Trash) -> Result<Answer, Refusal> {
    Ok(match command {
        Trash::Restore { id } => {
            let shown = id.clone();
            let is_readable = through(desk, "trash restore", move |it| secret::restore(it, &id)).await?;
            let how = if is_readable {
                "may be read by whoever is granted it"
            } else {
                "waits for a Secret object of its name"
            };
            Answer::done(format!("{shown} is out of the trash and {how}"))
        }
        Trash::Purge { id } => {
            let done = format!("{id} is gone for good");
            through(desk, "trash purge", move |it| secret::purge(it, &id)).await?;
            Answer::done(done)
        }
        Trash::List => list(&desk.app.live.read()),
    })
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let mut secrets: Vec<_> = state.secrets.values().filter_map(|it| trash::view(state, it)).collect();
    secrets.sort_by(|a, b| (b.deleted_at, &a.id).cmp(&(a.deleted_at, &b.id)));
    let when = |at: i64| instant(Millis(at));
    let rows: Vec<[String; 6]> = secrets
        .iter()
        .map(|it| {
            [
                it.id.to_string(),
                it.project_name.clone(),
                it.name.clone(),
                it.version.to_string(),
                when(it.deleted_at),
                when(it.purged_at),
            ]
        })
        .collect();
    let headings = ["SECRET", "PROJECT", "NAME", "VERSION", "DELETED", "GONE"];
    Answer::new(json!(TrashList { secrets }), table(headings, &rows))
}
