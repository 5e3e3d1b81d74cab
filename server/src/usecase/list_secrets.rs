//! What a machine may read, without values.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::machine_plane::{SecretList, SecretListItem, Selection, field_names_text};

use super::admit::admit;
use super::reading;
use crate::app::App;
use crate::ledger::ActivityKind;
use crate::model::machine::Machine;
use crate::model::secret::Secret;
use crate::refusal::Refusal;
use crate::state::State;
use crate::verify::Verified;

/// The projects of a machine's secrets, for the command line client.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ProjectList {
    /// The projects.
    pub projects: Vec<ProjectItem>,
}

/// One project.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectItem {
    /// The id.
    pub project_id: ProjectId,
    /// The name.
    pub project_name: String,
    /// The application it is in; empty for a project that stands alone.
    pub application_id: String,
    /// Its name; empty likewise.
    pub application_name: String,
}

/// A machine's secrets, for the command line client.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DetailedList {
    /// The secrets.
    pub secrets: Vec<DetailedItem>,
}

/// One secret.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DetailedItem {
    /// The id.
    pub id: SecretId,
    /// The name.
    pub name: String,
    /// See [`SecretListItem::field_names`].
    pub field_names: Option<String>,
    /// `secret` or `structured`. A canary is one of the two as well: a trap that says what it is catches nobody.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its project.
    #[serde(flatten)]
    pub project: ProjectItem,
}

/// `GET /v1/secrets` and `POST /v1/secrets/list`. Secrets of a frozen project are in it: a list has no values.
pub async fn list_secrets(
    app: &App,
    request: Verified<Arc<Machine>>,
    selection: Selection,
) -> Result<SecretList, Refusal> {
    list(app, request, |state, secrets| SecretList {
        secrets: secrets
            .into_iter()
            .filter(|secret| reading::selected(state, secret, &selection))
            .map(|secret| SecretListItem {
                id: secret.id.clone(),
                name: secret.name.clone(),
                field_names: field_names_text(&secret.field_names),
                project_id: Some(secret.project.clone()),
            })
            .collect(),
    })
    .await
}

/// `GET /v1/cli/projects`.
pub async fn list_projects(app: &App, request: Verified<Arc<Machine>>) -> Result<ProjectList, Refusal> {
    list(app, request, |state, secrets| {
        let projects: BTreeMap<_, _> =
            secrets.into_iter().map(|secret| (&secret.project, project(state, secret))).collect();
        ProjectList { projects: projects.into_values().collect() }
    })
    .await
}

/// `GET /v1/cli/secrets`.
pub async fn list_detailed(app: &App, request: Verified<Arc<Machine>>) -> Result<DetailedList, Refusal> {
    list(app, request, |state, secrets| DetailedList {
        secrets: secrets
            .into_iter()
            .map(|secret| DetailedItem {
                id: secret.id.clone(),
                name: secret.name.clone(),
                field_names: field_names_text(&secret.field_names),
                kind: if secret.field_names.is_empty() { "secret" } else { "structured" },
                project: project(state, secret),
            })
            .collect(),
    })
    .await
}

/// Burns the nonce, looks at the machine's standing, counts the request; then prints what is granted.
async fn list<T>(
    app: &App,
    request: Verified<Arc<Machine>>,
    print: impl FnOnce(&State, Vec<&Secret>) -> T,
) -> Result<T, Refusal> {
    let (machine, _) = admit(app, request, ActivityKind::List).await?;
    let world = app.live.read();
    Ok(print(&world.state, reading::granted(&world.state, &machine, app.clock.now())))
}

fn project(state: &State, secret: &Secret) -> ProjectItem {
    let application = state.application_of(&secret.project);
    ProjectItem {
        project_id: secret.project.clone(),
        project_name: state.projects.get(&secret.project).map(|it| it.name.clone()).unwrap_or_default(),
        application_id: application.map(|it| it.id.clone()).unwrap_or_default(),
        application_name: application.map(|it| it.name.clone()).unwrap_or_default(),
    }
}
