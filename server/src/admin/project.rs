//! `admin project …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::{MachineId, VaultId};

use super::Answer;
use super::execute::{Desk, through};
use super::table::table;
use crate::decision::Context;
use crate::live::World;
use crate::refusal::Refusal;
use crate::usecase::admin::project;

/// Projects.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Project {
    /// Makes a project, with an encryption key of its own.
    Create {
        /// The vault.
        #[arg(long)]
        vault: VaultId,
        /// What people call it.
        #[arg(long)]
        name: String,
    },
    /// Lists the projects.
    List,
    /// Refuses every read in a project with 423.
    Freeze {
        /// Its id or name.
        project: String,
    },
    /// Lets a frozen project answer again. A canary in it stays armed.
    Unfreeze {
        /// Its id or name.
        project: String,
    },
    /// Makes a machine a member. Reading takes a grant as well.
    AddMachine {
        /// The project's id or name.
        project: String,
        /// The machine's id.
        #[arg(long)]
        machine: MachineId,
    },
    /// Takes a machine out of a project, with its grants there.
    RemoveMachine {
        /// The project's id or name.
        project: String,
        /// The machine's id.
        #[arg(long)]
        machine: MachineId,
    },
}

pub(super) async fn execute(desk: Desk<'_>, command: Project) -> Result<Answer, Refusal> {
    let (id, what) = match command {
        Project::Create { vault, name } => {
            let id = through(desk, "project create", move |it| project::create(it, &vault, &name)).await?;
            return Ok(Answer::new(json!({ "projectId": id }), id.to_string()));
        }
        Project::List => return Ok(list(&desk.app.live.read())),
        Project::Freeze { project } => {
            (through(desk, "project freeze", move |it| project::set_frozen(it, &project, true)).await?, "is frozen")
        }
        Project::Unfreeze { project } => {
            (through(desk, "project unfreeze", move |it| project::set_frozen(it, &project, false)).await?, "answers")
        }
        Project::AddMachine { project, machine } => {
            let add = move |it: &Context<'_>| project::add_machine(it, &project, &machine);
            (through(desk, "project add-machine", add).await?, "has the machine as a member")
        }
        Project::RemoveMachine { project, machine } => {
            let remove = move |it: &Context<'_>| project::remove_machine(it, &project, &machine);
            (through(desk, "project remove-machine", remove).await?, "has the machine as a member no more")
        }
    };
    Ok(Answer::new(json!({ "projectId": id }), format!("project {id} {what}")))
}

fn list(world: &World) -> Answer {
    let state = &world.state;
    let mut rows: Vec<[String; 7]> = state
        .projects
        .values()
        .map(|it| {
            [
                it.id.to_string(),
                it.name.clone(),
                it.vault.to_string(),
                it.namespace.as_ref().map(|ns| format!("{}/{}", ns.cluster, ns.name)).unwrap_or_default(),
                state.application_of(&it.id).map(|it| it.name.clone()).unwrap_or_default(),
                state.members_of(&it.id).count().to_string(),
                if it.frozen { "Frozen" } else { "Active" }.to_owned(),
            ]
        })
        .collect();
    rows.sort_by(|a, b| (&a[2], &a[1], &a[0]).cmp(&(&b[2], &b[1], &b[0])));
    let json = rows.iter().map(|[id, name, vault, namespace, application, members, state]| {
        json!({
            "projectId": id, "name": name, "vaultId": vault, "namespace": namespace, "application": application,
            "members": members.parse::<u64>().unwrap_or(0), "state": state,
        })
    });
    let headings = ["PROJECT", "NAME", "VAULT", "NAMESPACE", "APPLICATION", "MEMBERS", "STATE"];
    Answer::new(json!({ "projects": json.collect::<Vec<_>>() }), table(headings, &rows))
}
