//! Projects.

mod detail;

use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::management::Scope::{ProjectsRead, ProjectsWrite};
use sikkerkey_protocol::management::{CreateProject, ProjectList, ProjectView};

use super::element::{Called, Tone, data_table, empty, field, pill, time_or};
use super::page::{Nothing, Then, does, shows};
use super::sheet::{Section, Sheet};
use super::visit::Visit;
use crate::http::route::Route;
use crate::refusal::Refusal;
use crate::usecase::management::project;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        shows(
            ProjectsRead,
            "GET /vaults/{vault}/projects",
            |context, manager, [], Nothing {}| project::list(context, manager, []),
            list,
        ),
        does(
            ProjectsWrite,
            "POST /vaults/{vault}/projects",
            NewProject::parse,
            project::create,
            |visit, [], made: ProjectView| Then::Go(visit.href(&format!("projects/{}", made.id)), "project-created"),
        ),
    ];
    routes.extend(detail::routes());
    routes
}

#[derive(Deserialize)]
struct NewProject {
    name: String,
    #[serde(default)]
    description: String,
}

impl NewProject {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    fn parse(self) -> Result<CreateProject, Refusal> {
        let description = self.description.trim().to_owned();
        Ok(CreateProject { name: self.name.trim().to_owned(), description: Some(description) })
    }
}

fn list(visit: &Visit, _: &Nothing, answer: &ProjectList) -> Sheet {
    let body = html! {
        @if answer.projects.is_empty() {
            (empty(
                "No projects yet",
                html! { "A project holds secrets, and the machines that may read them. Create one first." },
                None,
            ))
        } @else {
            (table(visit, &answer.projects))
        }
        @if visit.may(ProjectsWrite) { (create(visit)) }
    };
    Sheet::new(Section::Projects, "Projects", body)
}

fn table(visit: &Visit, projects: &[ProjectView]) -> Markup {
    html! {
        (data_table(
            Called::As("Projects"),
            html! {
                th { "Name" }
                th { "State" }
                th.number { "Secrets" }
                th.number { "Machines" }
                th.number { "Policies" }
                th { "Created" }
            },
            html! {
                @for it in projects {
                    tr {
                        th scope="row" {
                            a href=(visit.href(&format!("projects/{}", it.id))) { (it.name) }
                            @if !it.description.is_empty() { br; span.quiet { (it.description) } }
                        }
                        td { (state(it)) }
                        td.number { (it.secret_count) }
                        td.number { (it.machine_count) }
                        td.number { (it.policy_count) }
                        td { (time_or(it.created_at, "–")) }
                    }
                }
            },
        ))
    }
}

fn state(project: &ProjectView) -> Markup {
    html! {
        @if project.frozen { (pill(Tone::Bad, "frozen")) } @else { (pill(Tone::Good, "open")) }
        @if let Some(namespace) = &project.namespace { " " (pill(Tone::Plain, &format!("namespace {namespace}"))) }
    }
}

fn create(visit: &Visit) -> Markup {
    html! {
        section.card {
            h2 { "Create a project" }
            form.stack method="post" action=(visit.href("projects")) { (fields("", "")) button.primary { "Create" } }
        }
    }
}

fn fields(name: &str, description: &str) -> Markup {
    html! {
        (field("name", "Name", None, html! {
            input #name name="name" required maxlength="255" autocomplete="off" value=(name);
        }))
        (field("description", "What it is for", None, html! {
            input #description name="description" maxlength="255" autocomplete="off" value=(description);
        }))
    }
}
