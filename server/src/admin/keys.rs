//! The root key and the projects' keys.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use sikkerkey_protocol::id::ProjectId;

use super::Answer;
use super::execute::{Desk, through};
use crate::crypto::root_key::RootKey;
use crate::refusal::Refusal;
use crate::usecase::admin::{project_key, root_key};

/// How often a project's key is tried to be changed while its secrets change.
const ATTEMPTS: usize = 20;
/// How many projects are named to somebody who named one that there is not.
const SHOWN: usize = 50;

/// Wraps the master key by another root key.
pub(super) async fn rotate_root(desk: Desk<'_>, file: Option<&Path>, command: Option<&str>) -> Result<Answer, String> {
    let (root, argument) = match (file, command) {
        (Some(path), _) => (RootKey::read(path), format!("--root-key-file {}", path.display())),
        (None, Some(line)) => (RootKey::command(line), format!("--root-key-command '{line}'")),
        (None, None) => return Err("give --new-root-key-file or --new-root-key-command".to_owned()),
    };
    let root = root.map_err(|error| told(&error))?;
    let was = desk.app.records.master().await.map_err(|error| told(&error))?.by;
    if was == root.describe() && command.is_none() {
        return Err(format!("{was} wraps the master key already: make another with `openssl rand -hex 32`"));
    }
    // Outside of the writer: a command may take its time.
    let wrapped = desk.app.keyring.wrap_master(&root, &*desk.app.entropy).await.map_err(|error| told(&error))?;
    let (from, by) = (was.clone(), wrapped.by.clone());
    through(desk, "rotate-root-key", move |_| Ok(root_key::rotate(&from, wrapped)))
        .await
        .map_err(|refusal| refusal.message)?;
    let text = format!(
        "{by} wraps the master key, and {was} does not any more.\n\
         From its next start the server needs {argument}, in the place of what it was given until now; until then it runs \
         on. A root.key beside the data has no use from then on. Keep the old key for as long as there are backups from before, and away from them."
    );
    Ok(Answer::new(json!({ "by": by, "was": was, "argument": argument }), text))
}

/// Gives one project or all a new key.
pub(super) async fn rotate_projects(desk: Desk<'_>, project: Option<&ProjectId>) -> Result<Answer, String> {
    let ids = project.map_or_else(
        || {
            let mut ids: Vec<_> = desk.app.live.read().state.projects.keys().cloned().collect();
            ids.sort();
            ids
        },
        |id| vec![id.clone()],
    );
    let mut done = Vec::with_capacity(ids.len());
    for id in &ids {
        let versions = rotate_project(desk, id).await.map_err(|message| {
            let before = done.len();
            if before == 0 { message } else { format!("{message}; {before} projects before it have new keys") }
        })?;
        done.push((id, versions));
    }
    let lines =
        done.iter().map(|(id, versions)| format!("{id} has a new key, and it wraps those of {versions} values"));
    let text = if done.is_empty() { "there are no projects".to_owned() } else { lines.collect::<Vec<_>>().join("\n") };
    let rows = done.iter().map(|(id, versions)| json!({ "projectId": id, "versions": versions }));
    Ok(Answer::new(json!({ "projects": rows.collect::<Vec<_>>() }), text))
}

/// Prepares beside the writer, and has the writer take it when nothing has changed meanwhile.
async fn rotate_project(desk: Desk<'_>, id: &ProjectId) -> Result<usize, String> {
    for _ in 0..ATTEMPTS {
        let project = desk.app.live.read().state.projects.get(id).cloned();
        let project = project.ok_or_else(|| no_project(&desk, id))?;
        let stored = desk.app.records.versions(id).await.map_err(|error| told(&error))?;
        let (keyring, entropy) = (Arc::clone(&desk.app.keyring), Arc::clone(&desk.app.entropy));
        let prepared =
            tokio::task::spawn_blocking(move || project_key::prepare(&keyring, &*entropy, project, stored)).await;
        let prepared = prepared.map_err(|_| "wrapping the keys failed: see the log".to_owned())?;
        let prepared = prepared.map_err(|refusal: Refusal| refusal.message)?;
        let taken = through(desk, "rotate-project-key", move |context| Ok(project_key::rotate(context, prepared)));
        if let Some(versions) = taken.await.map_err(|refusal| refusal.message)? {
            return Ok(versions);
        }
    }
    Err(format!(
        "what is stored of project {id} was another each time: try again; if nobody is changing its secrets, somebody \
         has changed the database"
    ))
}

fn no_project(desk: &Desk<'_>, id: &ProjectId) -> String {
    let mut projects: Vec<_> =
        desk.app.live.read().state.projects.values().map(|it| format!("{} ({})", it.id, it.name)).collect();
    projects.sort();
    let shown = projects.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if projects.len() > SHOWN { " and more" } else { "" };
    format!("there is no project {id}: there are {shown}{more}")
}

/// What there is to know of a server that has its root key.
pub(super) async fn status(desk: Desk<'_>) -> Result<Answer, String> {
    let master = desk.app.records.master().await.map_err(|error| told(&error))?;
    let text = format!("open; {} wraps the master key of installation {}", master.by, master.installation);
    Ok(Answer::new(json!({ "sealed": false, "installation": master.installation, "wrappedBy": master.by }), text))
}

/// What there is to know of one that has not.
pub(super) fn sealed(missing: String) -> Answer {
    Answer::new(json!({ "sealed": true, "missing": missing }), missing)
}

/// An error for a person at the server, with its cause.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
