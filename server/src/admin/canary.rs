//! `admin canary …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::management::{CanaryList, CanaryView};

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::decision::Context;
use crate::live::World;
use crate::model::millis::Millis;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::canary;
use crate::usecase::management::canary::view;

/// Canaries: secrets that nobody has a reason to read.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Canary {
    /// Makes a canary with a random value: whoever reads it gets that, and freezes its project.
    Create {
        /// The project's id or name.
        #[arg(long)]
        project: String,
        /// Its name: what somebody who steals would look for.
        #[arg(long)]
        name: String,
        /// Does not freeze the project: the read is only audited as critical.
        #[arg(long)]
        no_freeze: bool,
        /// Freezes the projects that share machines with its own as well.
        #[arg(long)]
        freeze_related: bool,
    },
    /// Makes a secret a canary, or changes what one does: whoever reads it gets its value, and freezes its project.
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
    /// Switches a canary on again.
    Enable {
        /// Its id.
        id: SecretId,
    },
    /// Switches a canary off: a read of it does nothing. It stays a canary.
    Disable {
        /// Its id.
        id: SecretId,
    },
    /// Lists the canaries: what they do, and how often they did it.
    List,
}

pub(super) async fn execute(desk: Desk<'_>, command: Canary) -> Result<Answer, Refusal> {
    Ok(match command {
        Canary::Create { project, name, no_freeze, freeze_related } => {
            let plant = move |it: &Context<'_>| canary::plant(it, &project, name, !no_freeze, freeze_related);
            let id = through(desk, "canary create", plant).await?;
            Answer::new(json!({ "secretId": id }), id.to_string())
        }
        Canary::Enable { id } => {
            let done = format!("{id} is armed");
            through(desk, "canary enable", move |it| canary::set_armed(it, &id, true)).await?;
            Answer::done(done)
        }
        Canary::Disable { id } => {
            let done = format!("{id} is not armed: a read of it does nothing");
            through(desk, "canary disable", move |it| canary::set_armed(it, &id, false)).await?;
            Answer::done(done)
        }
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
    let project = |it: &CanaryView| state.projects.get(&it.project_id).map(|it| it.name.clone()).unwrap_or_default();
    let canaries = state.canaries.values().filter_map(|it| Some(view(state, state.secrets.get(&it.secret)?, it)));
    let mut canaries: Vec<_> = canaries.collect();
    canaries.sort_by_cached_key(|it| (project(it), it.name.clone(), it.id.to_string()));
    let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
    let rows: Vec<[String; 9]> = canaries
        .iter()
        .map(|it| {
            [
                it.id.to_string(),
                it.name.clone(),
                project(it),
                yes(it.enabled),
                yes(it.trigger_freeze_project),
                yes(it.trigger_freeze_related_projects),
                yes(it.project_frozen),
                it.fire_count.to_string(),
                it.last_trip.as_ref().map(|it| instant(Millis(it.at))).unwrap_or_default(),
            ]
        })
        .collect();
    let headings =
        ["SECRET", "NAME", "PROJECT", "ARMED", "FREEZES", "FREEZES-RELATED", "FROZEN", "FIRED", "LAST-FIRED"];
    Answer::new(json!(CanaryList { canaries }), table(headings, &rows))
}
