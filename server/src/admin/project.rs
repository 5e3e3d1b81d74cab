//! `admin project …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sikkerkey_protocol::id::{MachineId, VaultId};
use sikkerkey_protocol::management::{MemberPage, MemberRow, QueryMembers};

use super::Answer;
use super::execute::{Desk, looking, through};
use super::machine::until;
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
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Changes what a project is called, and what it is for.
    Update {
        /// Its id or name.
        project: String,
        /// What people are to call it.
        #[arg(long)]
        name: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
    },
    /// Deletes a project with its secrets, grants and policies, for good; without --confirm-name tells what would fall.
    Delete {
        /// Its id or name.
        project: String,
        /// Its exact name, once more.
        #[arg(long)]
        confirm_name: Option<String>,
    },
    /// Lists the machines that are members of a project.
    Members {
        /// Its id or name.
        project: String,
        /// Only those with this in their name, host name or id.
        #[arg(long)]
        search: Option<String>,
        /// Which page, of 200 machines each.
        #[arg(long, default_value_t = 1)]
        page: usize,
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
        Project::Create { vault, name, description } => {
            let create = move |it: &Context<'_>| project::create_described(it, &vault, &name, &description);
            let id = through(desk, "project create", create).await?;
            return Ok(Answer::new(json!({ "projectId": id }), id.to_string()));
        }
        Project::Update { project, name, description } => {
            let update = move |it: &Context<'_>| project::update(it, &project, name.as_deref(), description.as_deref());
            let it = through(desk, "project update", update).await?;
            let text = format!("project {} is called {}", it.id, it.name);
            return Ok(Answer::of(&it, text));
        }
        Project::Delete { project, confirm_name } => {
            let delete = move |it: &Context<'_>| project::delete(it, &project, confirm_name.as_deref());
            let it = through(desk, "project delete", delete).await?;
            let what = if it.preview { "would be deleted (--confirm-name does it)" } else { "is deleted" };
            let text = format!(
                "project {} ({}) {what}: {} secrets ({} canaries), {} grants, {} policies, {} memberships",
                it.name, it.id, it.secrets, it.canaries, it.grants, it.policies, it.memberships
            );
            return Ok(Answer::of(&it, text));
        }
        Project::Members { project, search, page } => {
            let query = QueryMembers { search, page: Some(page), page_size: Some(200), ..QueryMembers::default() };
            let found = looking(desk, |it| project::members(it, &project, &query))?;
            let text = members(&found);
            return Ok(Answer::of(&found, text));
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

fn members(page: &MemberPage) -> String {
    let row = |it: &MemberRow| {
        [
            it.machine_id.to_string(),
            it.name.clone(),
            it.kind.as_str().to_owned(),
            it.secret_count.to_string(),
            until(Some(it.added_at)),
            until(it.last_seen),
        ]
    };
    let rows: Vec<_> = page.machines.iter().map(row).collect();
    table(["MACHINE", "NAME", "KIND", "SECRETS", "MEMBER-SINCE", "LAST-SEEN"], &rows)
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
