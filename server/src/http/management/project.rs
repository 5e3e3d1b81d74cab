//! Projects.

use sikkerkey_protocol::management::Scope::{ProjectsRead, ProjectsWrite};

use super::{Route, filled, perhaps, plain};
use crate::http::agent::parse;
use crate::usecase::management::project;

pub(super) fn routes() -> [Route; 4] {
    [
        plain(ProjectsRead, "GET /v1/ai/projects", project::list),
        filled(ProjectsWrite, "POST /v1/ai/projects", parse, project::create),
        filled(ProjectsWrite, "POST /v1/ai/projects/{project}/update", parse, project::update),
        perhaps(ProjectsWrite, "POST /v1/ai/projects/{project}/delete", project::delete),
    ]
}
