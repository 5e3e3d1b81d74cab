//! Whether a machine may use a project at all.

use std::sync::Arc;

use sikkerkey_protocol::machine_plane::{AccessVerified, VerifyAccess};

use super::admit::admit;
use super::reading;
use crate::app::App;
use crate::ledger::ActivityKind;
use crate::model::machine::Machine;
use crate::refusal::Refusal;
use crate::state::State;
use crate::verify::Verified;

/// Answers whether the machine belongs to the project and the project answers. Reads nothing and counts as a list.
pub async fn verify_access(
    app: &App,
    request: Verified<Arc<Machine>>,
    asked: VerifyAccess,
) -> Result<AccessVerified, Refusal> {
    let (machine, _) = admit(app, request, ActivityKind::List).await?;
    Ok(look(&app.live.read().state, &machine, &asked.project_id))
}

fn look(state: &State, machine: &Machine, project: &str) -> AccessVerified {
    let project = project.parse().ok().and_then(|id| state.projects.get(&id));
    let project = project.filter(|it| it.vault == machine.vault && reading::is_member(state, machine, &it.id));
    match project {
        // A project of others and one that is not there are the same from outside.
        None => AccessVerified {
            valid: false,
            project_name: None,
            error: Some(
                "this machine belongs to no project of that id: add it to the project at the server".to_owned(),
            ),
        },
        Some(it) if it.frozen => AccessVerified {
            valid: false,
            project_name: Some(it.name.clone()),
            error: Some(format!("project {} is frozen: an administrator has to unfreeze it", it.name)),
        },
        Some(it) => AccessVerified { valid: true, project_name: Some(it.name.clone()), error: None },
    }
}
