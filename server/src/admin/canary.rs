//! `admin canary …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::SecretId;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::live::World;
use crate::refusal::Refusal;
use crate::usecase::admin::canary;

/// Canaries: secrets that nobody has a reason to read.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Canary {
    /// Arms a secret: whoever reads it gets its value, and freezes its project.
    Arm {
        /// Its id.
        id: SecretId,
        /// Does not freeze the project: the read is only audited as critical.
        #[arg(long)]
        no_freeze: bool,
        /// Freezes the projects that share machines with its own as well.
        #[arg(long)]
        freeze_related: bool,
    },
    /// Makes it an ordinary secret again. What it froze stays frozen.
    Disarm {
        /// Its id.
        id: SecretId,
    },
    /// Lists the armed canaries.
    List,
}

pub(super) async fn execute(desk: Desk<'_>, command: Canary) -> Result<Answer, Refusal> {
    Ok(match command {
        Canary::Arm { id, no_freeze, freeze_related } => {
            let done = format!("{id} is an armed canary");
            through(desk, "canary arm", move |it| canary::arm(it, &id, !no_freeze, freeze_related)).await?;
            Answer::done(done)
        }
        Canary::Disarm { id } => {
            let done = format!("{id} is no canary any more");
            through(desk, "canary disarm", move |it| canary::disarm(it, &id)).await?;
            Answer::done(done)
        }
        Canary::List => list(&desk.app.live.read()),
    })
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
    let mut rows: Vec<[String; 6]> = state
        .canaries
        .values()
        .map(|it| {
            let project = state.projects.get(&it.project);
            [
                it.secret.to_string(),
                state.secrets.get(&it.secret).map(|it| it.name.clone()).unwrap_or_default(),
                project.map(|it| it.name.clone()).unwrap_or_default(),
                yes(it.freeze_project),
                yes(it.freeze_related),
                yes(project.is_some_and(|it| it.frozen)),
            ]
        })
        .collect();
    rows.sort_by(|a, b| (&a[2], &a[1]).cmp(&(&b[2], &b[1])));
    let json = rows.iter().map(|[id, name, project, freezes, related, frozen]| {
        json!({
            "secretId": id, "name": name, "project": project, "freezesProject": freezes == "yes",
            "freezesRelated": related == "yes", "projectFrozen": frozen == "yes",
        })
    });
    let headings = ["SECRET", "NAME", "PROJECT", "FREEZES", "FREEZES-RELATED", "FROZEN"];
    Answer::new(json!({ "canaries": json.collect::<Vec<_>>() }), table(headings, &rows))
}
