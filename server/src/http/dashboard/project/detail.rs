//! One project: what is in it, its name, and its end.

use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::management::Scope::{PoliciesWrite, ProjectsRead, ProjectsWrite};
use sikkerkey_protocol::management::{DeleteProject, ProjectDeletion, ProjectView, UpdateProject};

use super::{NewProject, fields, state};
use crate::http::dashboard::element::{facts, field, time_or};
use crate::http::dashboard::page::{Nothing, Then, does, shows};
use crate::http::dashboard::sheet::{Section, Sheet};
use crate::http::dashboard::visit::Visit;
use crate::http::route::Route;
use crate::refusal::Refusal;
use crate::usecase::management::{canary, project};

pub(super) fn routes() -> [Route; 5] {
    [
        shows(
            ProjectsRead,
            "GET /vaults/{vault}/projects/{project}",
            |context, manager, id, Nothing {}| project::get(context, manager, id),
            |visit, _, answer| show(visit, answer),
        ),
        does(
            ProjectsWrite,
            "POST /vaults/{vault}/projects/{project}",
            |form: NewProject| {
                form.parse().map(|it| UpdateProject { name: Some(it.name), description: it.description })
            },
            project::update,
            |visit, [id], _| Then::Go(of(visit, id), "project-changed"),
        ),
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/projects/{project}/unfreeze",
            Ok,
            |context, manager, id, Nothing {}| canary::unfreeze(context, manager, id),
            |visit, [id], _| Then::Go(of(visit, id), "project-unfrozen"),
        ),
        shows(
            ProjectsWrite,
            "GET /vaults/{vault}/projects/{project}/delete",
            |context, manager, id, Nothing {}| {
                project::delete(context, manager, id, DeleteProject { preview: true, confirm_name: None })
            },
            |visit, _, answer| end(visit, answer),
        ),
        does(
            ProjectsWrite,
            "POST /vaults/{vault}/projects/{project}/delete",
            Confirmation::parse,
            project::delete,
            |visit, [_], _| Then::Go(visit.href("projects"), "project-deleted"),
        ),
    ]
}

#[derive(Deserialize)]
struct Confirmation {
    name: String,
}

impl Confirmation {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    fn parse(self) -> Result<DeleteProject, Refusal> {
        Ok(DeleteProject { preview: false, confirm_name: Some(self.name) })
    }
}

fn of(visit: &Visit, id: &str) -> String {
    visit.href(&format!("projects/{id}"))
}

fn show(visit: &Visit, it: &ProjectView) -> Sheet {
    let listed = |what: &str| visit.href(&format!("{what}?project={}", it.id));
    let counted = |what: &str, count: usize| html! { a href=(listed(what)) { (count) } };
    let body = html! {
        @if it.frozen {
            div.notice.bad {
                p { "A canary of this project was read, so no machine reads anything of it. Look into the audit first." }
                @if visit.may(PoliciesWrite) {
                    a.button href={ (of(visit, it.id.as_str())) "/unfreeze" } { "See what froze it, and open it again" }
                }
            }
        }
        section.card {
            (facts(&[
                ("State", state(it)),
                ("Secrets", counted("secrets", it.secret_count)),
                ("Machines", counted("machines", it.machine_count)),
                ("Access policies", counted("policies", it.policy_count)),
                ("Created", time_or(it.created_at, "–")),
                ("Id", html! { code { (it.id) } }),
            ]))
        }
        @if visit.may(ProjectsWrite) { (change(visit, it)) }
    };
    Sheet::new(Section::Projects, &it.name, body)
}

fn change(visit: &Visit, it: &ProjectView) -> Markup {
    let here = of(visit, it.id.as_str());
    html! {
        section.card {
            h2 { "Name and purpose" }
            form.stack method="post" action=(here) { (fields(&it.name, &it.description)) button.primary { "Save" } }
        }
        p { a.button.danger href={ (here) "/delete" } { "Delete this project" } }
    }
}

fn end(visit: &Visit, it: &ProjectDeletion) -> Sheet {
    let falls = [
        ("Secrets", it.secrets),
        ("Grants", it.grants),
        ("Access policies", it.policies),
        ("Canaries", it.canaries),
        ("Memberships of machines", it.memberships),
    ];
    let here = of(visit, it.id.as_str());
    let body = html! {
        section.card {
            p.notice.warn { "What is in the project goes with it. Machines that read its secrets are refused at once." }
            (facts(&falls.map(|(name, count)| (name, html! { (count) }))))
            form.stack method="post" action={ (here) "/delete" } {
                (field("name", "Type the name of the project", None, html! {
                    input #name name="name" required autocomplete="off" spellcheck="false";
                }))
                div.actions {
                    button.danger { "Delete " (it.name) }
                    a.button href=(here) { "Keep it" }
                }
            }
        }
    };
    Sheet::new(Section::Projects, format!("Delete {}?", it.name), body)
}
