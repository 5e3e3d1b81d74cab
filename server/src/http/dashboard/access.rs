//! Configure access: of a machine the secrets of a project, and of a secret the machines. Two panels; what is moved between
//! them stands in the address until it is saved.

mod panels;

use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::management::MemberChanged;
use sikkerkey_protocol::management::Scope::{MembersRead, MembersWrite};

use super::element::{Tone, address, copyable, empty, field, pill, time};
use super::managed;
use super::page::{Nothing, Then, does, shows};
use super::sheet::{Section, Sheet};
use super::visit::Visit;
use crate::http::route::Route;
use crate::refusal::{Refusal, invalid};
use crate::usecase::management::access::{
    self, Leaving, MachineAccess, Named, Note, PanelsQuery, SaveAccess, Saved, SecretAccess,
};
use crate::usecase::management::member;

/// The routes.
pub(super) fn routes() -> [Route; 7] {
    [
        shows(MembersRead, "GET /vaults/{vault}/machines/{machine}/access", access::of_machine, of_machine),
        does(
            MembersWrite,
            "POST /vaults/{vault}/machines/{machine}/access",
            SaveForm::parse,
            access::save_machine,
            |visit, [machine], it: Saved| {
                Then::Go(visit.href(&format!("machines/{machine}/access?project={}", it.project)), said(&it))
            },
        ),
        does(
            MembersWrite,
            "POST /vaults/{vault}/machines/{machine}/access/join",
            JoinForm::parse,
            access::join,
            |visit, [machine], it: MemberChanged| {
                Then::Go(visit.href(&format!("machines/{machine}/access?project={}", it.project_id)), "machine-joined")
            },
        ),
        shows(
            MembersWrite,
            "GET /vaults/{vault}/machines/{machine}/access/{project}/leave",
            |context, manager, ids, Nothing {}| access::leaving(context, manager, ids),
            leaving,
        ),
        does(
            MembersWrite,
            "POST /vaults/{vault}/machines/{machine}/access/{project}/leave",
            Ok,
            |context, manager, [machine, project], Nothing {}| member::detach(context, manager, [project, machine]),
            |visit, [machine, _], _: MemberChanged| {
                Then::Go(visit.href(&format!("machines/{machine}/access")), "machine-left")
            },
        ),
        shows(MembersRead, "GET /vaults/{vault}/secrets/{secret}/access", access::of_secret, of_secret),
        does(
            MembersWrite,
            "POST /vaults/{vault}/secrets/{secret}/access",
            SaveForm::parse,
            access::save_secret,
            |visit, [secret], it: Saved| Then::Go(visit.href(&format!("secrets/{secret}/access")), said(&it)),
        ),
    ]
}

fn said(it: &Saved) -> &'static str {
    if it.done_by_others == 0 { "access-saved" } else { "access-merged" }
}

#[derive(Deserialize)]
struct SaveForm {
    #[serde(default)]
    project: String,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    take: Vec<String>,
    #[serde(default)]
    joins: Vec<String>,
}

impl SaveForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    fn parse(self) -> Result<SaveAccess, Refusal> {
        let Self { project, add, take, joins } = self;
        Ok(SaveAccess { project, add, take, joins })
    }
}

#[derive(Deserialize)]
struct JoinForm {
    project: String,
}

impl JoinForm {
    fn parse(self) -> Result<String, Refusal> {
        let project = self.project.trim().to_owned();
        if project.is_empty() { Err(invalid("choose a project first")) } else { Ok(project) }
    }
}

/// What is to be known of somebody or something, each in a word.
pub(super) fn notes(notes: &[Note]) -> Markup {
    html! { @for note in notes { " " (note_of(note)) } }
}

fn note_of(note: &Note) -> Markup {
    match note {
        Note::Object(object) => managed::mark(object),
        Note::Until(at) => html! { span.quiet { "until " (time(*at)) } },
        Note::Policy(name) => pill(Tone::Plain, &format!("policy {name}")),
        Note::NoValue => pill(Tone::Warn, "no value"),
        Note::Canary => pill(Tone::Warn, "canary"),
        Note::Waiting => pill(Tone::Warn, "waits for approval"),
        Note::Denied => pill(Tone::Bad, "denied"),
        Note::Disabled => pill(Tone::Bad, "disabled"),
        Note::Over => pill(Tone::Bad, "expired"),
        Note::NoMember => pill(Tone::Plain, "not in the project"),
    }
}

fn of_machine(visit: &Visit, query: &PanelsQuery, it: &MachineAccess) -> Sheet {
    let rest = format!("machines/{}/access", it.machine.id);
    let body = html! {
        @match (&it.object, &it.project) {
            (Some((key, cluster)), _) => {
                section.card {
                    h2 { "Managed by Kubernetes" }
                    p { "What it may read is said by Grant objects to " strong { "Machine " (key) " of cluster " (cluster) } ". Change them there: what is changed by hand would be taken back." }
                    (copyable("manifest", &format!(
                        "apiVersion: sikkerkey.com/v1alpha1\nkind: Grant\nmetadata:\n  namespace: {}\n  name: {}\nspec:\n  \
                         machineRef:\n    name: {}\n  secrets:\n    - name: …\n", key.namespace, key.name, key.name)))
                }
                (panels::only_granted(visit, &rest, query, &it.panels))
            },
            (None, None) => {
                (empty(
                    "This machine is in no project yet",
                    html! { "A machine is granted secrets of the projects that it is a member of. Add it to one first." },
                    None,
                ))
                (join(visit, it, true))
            },
            (None, Some(project)) => {
                @if it.frozen { p.notice.bad { "Project " (project.name) " is frozen: every read in it is refused, whatever is granted." } }
                (projects(visit, &rest, it, project))
                (panels::both(visit, panels::Page {
                    rest: &rest,
                    query: &PanelsQuery { project: Some(project.id.clone()), ..query.clone() },
                    panels: &it.panels,
                    what: "secret",
                    joined: &project.name,
                }))
                (join(visit, it, false))
            },
        }
    };
    let actions = html! { a.button href=(visit.href(&format!("machines/{}", it.machine.id))) { "Machine" } };
    Sheet::new(Section::Machines, format!("Access of {}", it.machine.name), body).actions(actions)
}

fn projects(visit: &Visit, rest: &str, it: &MachineAccess, chosen: &Named) -> Markup {
    let leave = format!("machines/{}/access/{}/leave", it.machine.id, chosen.id);
    let help = format!(
        "Type its name. The list has the first {}, and there are {} more.",
        it.projects.len(),
        it.more_projects
    );
    html! {
        @if it.more_projects == 0 {
            nav aria-label="Projects" {
                ul.tabs {
                    @for project in &it.projects {
                        @let query = PanelsQuery { project: Some(project.id.clone()), ..PanelsQuery::default() };
                        li { a href=(address(visit, rest, &query)) aria-current=[(project.id == chosen.id).then_some("page")] { (project.name) } }
                    }
                }
            }
        } @else {
            form.toolbar method="get" action=(visit.href(rest)) {
                (field("shown", "Project", Some(&help), html! {
                    input #shown name="project" value=(chosen.name) list="shown-list" required autocomplete="off" aria-describedby="shown-help";
                    datalist #shown-list { @for project in &it.projects { option value=(project.name) {} } }
                }))
                button { "Show" }
            }
        }
        @if visit.may(MembersWrite) { p { a href=(visit.href(&leave)) { "Take it out of this project" } } }
    }
}

fn join(visit: &Visit, it: &MachineAccess, is_first: bool) -> Markup {
    if !visit.may(MembersWrite) || it.joinable.is_empty() {
        return html! {};
    }
    html! {
        section.card {
            h2 { @if is_first { "Add it to a project" } @else { "Add it to another project" } }
            form.toolbar method="post" action=(visit.href(&format!("machines/{}/access/join", it.machine.id))) {
                (field("project", "Project", None, html! {
                    @if it.more_joinable {
                        input #project name="project" list="project-list" required autocomplete="off";
                        datalist #project-list { @for project in &it.joinable { option value=(project.name) {} } }
                    } @else {
                        select #project name="project" { @for project in &it.joinable { option value=(project.id) { (project.name) } } }
                    }
                }))
                button { "Add" }
            }
        }
    }
}

fn leaving(visit: &Visit, _: &Nothing, it: &Leaving) -> Sheet {
    let rest = format!("machines/{}/access", it.machine.id);
    let shown = 50;
    let body = html! {
        section.card {
            p { strong { (it.machine.name) } " leaves project " strong { (it.project.name) } ". " }
            @if it.secrets.is_empty() { p { "It is granted nothing there." } }
            @else {
                p { "It is refused at once what it is granted there:" }
                ul {
                    @for secret in it.secrets.iter().take(shown) { li { (secret.name) } }
                    @if it.secrets.len() > shown { li { "and " (it.secrets.len() - shown) " more" } }
                }
            }
            form.actions method="post" action=(visit.href(&format!("{rest}/{}/leave", it.project.id))) {
                button.danger { "Take it out" }
                a.button href=(visit.href(&format!("{rest}?project={}", it.project.id))) { "Leave it in" }
            }
        }
    };
    Sheet::new(Section::Machines, format!("Take {} out of {}", it.machine.name, it.project.name), body)
}

fn of_secret(visit: &Visit, query: &PanelsQuery, it: &SecretAccess) -> Sheet {
    let rest = format!("secrets/{}/access", it.secret.id);
    let body = html! {
        @if it.frozen { p.notice.bad { "Project " (it.project.name) " is frozen: every read in it is refused, whatever is granted." } }
        (panels::both(visit, panels::Page { rest: &rest, query, panels: &it.panels, what: "machine", joined: &it.project.name }))
    };
    let actions = html! { a.button href=(visit.href(&format!("secrets/{}", it.secret.id))) { "Secret" } };
    Sheet::new(Section::Secrets, format!("Access to {}", it.secret.name), body).actions(actions)
}
