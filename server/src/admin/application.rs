//! `admin application …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::VaultId;

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::decision::Context;
use crate::live::World;
use crate::refusal::Refusal;
use crate::usecase::admin::application;

/// Applications: projects that belong together.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Application {
    /// Makes an application.
    Create {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// What people call it.
        #[arg(long)]
        name: String,
    },
    /// Lists the applications.
    List,
    /// Puts a project into an application.
    Assign {
        /// The project's id or name.
        project: String,
        /// The application's id or name; left out: the project stands alone.
        #[arg(long)]
        application: Option<String>,
    },
}

pub(super) async fn execute(desk: Desk<'_>, command: Application) -> Result<Answer, Refusal> {
    Ok(match command {
        Application::Create { vault, name } => {
            let id = through(desk, "application create", move |it| application::create(it, &vault, &name)).await?;
            Answer::new(json!({ "applicationId": id }), id)
        }
        Application::List => list(&desk.app.live.read()),
        Application::Assign { project, application } => {
            let done = match &application {
                Some(application) => format!("project {project} is in application {application}"),
                None => format!("project {project} stands alone"),
            };
            let assign = move |it: &Context<'_>| application::assign(it, &project, application.as_deref());
            through(desk, "application assign", assign).await?;
            Answer::done(done)
        }
    })
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let rows: Vec<[String; 4]> = state
        .applications
        .values()
        .map(|it| {
            let projects = it.projects.iter().filter_map(|id| state.projects.get(id)).map(|it| it.name.clone());
            [it.id.clone(), it.name.clone(), it.vault.to_string(), projects.collect::<Vec<_>>().join(",")]
        })
        .collect();
    let json = state
        .applications
        .values()
        .map(|it| json!({ "applicationId": it.id, "name": it.name, "vaultId": it.vault, "projectIds": it.projects }));
    let headings = ["APPLICATION", "NAME", "VAULT", "PROJECTS"];
    Answer::new(json!({ "applications": json.collect::<Vec<_>>() }), table(headings, &rows))
}
