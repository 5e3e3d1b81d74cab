//! Enrolment tokens: how jobs become machines, which nobody approves one by one.

use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::management::Scope::{EnrolmentRead, EnrolmentWrite};
use sikkerkey_protocol::management::{
    CreateEnrolmentToken, EnrolmentTokenCreated, EnrolmentTokenList, EnrolmentTokenState, EnrolmentTokenView,
    RevokeEnrolmentToken,
};

use super::element::{Called, Tone, copyable, data_table, empty, facts, field, pages, pill, time};
use super::machine::{lasts, tabs};
use super::page::{Nothing, Then, does, shows};
use super::sheet::{Section, Sheet};
use super::span;
use super::visit::Visit;
use crate::http::route::Route;
use crate::refusal::{Refusal, invalid};
use crate::usecase::management::enrolment::choices::Choices;
use crate::usecase::management::enrolment::{self, Part};

/// The routes.
pub(super) fn routes() -> [Route; 4] {
    [
        shows(
            EnrolmentRead,
            "GET /vaults/{vault}/enrolment",
            |context, manager, [], query: ListQuery| {
                enrolment::part(context, manager, query.q, query.page.unwrap_or(1))
            },
            list,
        ),
        shows(
            EnrolmentRead,
            "GET /vaults/{vault}/enrolment/{token}",
            |context, manager, id, Nothing {}| enrolment::get(context, manager, id),
            one,
        ),
        does(
            EnrolmentWrite,
            "POST /vaults/{vault}/enrolment",
            NewToken::parse,
            |context, manager, [], wanted| {
                let url = context.public_url.to_owned();
                Ok(enrolment::create(context, manager, [], wanted)?.then(move |created| (url, created)))
            },
            |_, [], (url, created): (String, EnrolmentTokenCreated)| made(&url, &created),
        ),
        does(
            EnrolmentWrite,
            "POST /vaults/{vault}/enrolment/{token}/revoke",
            |form: RevokeForm| Ok(RevokeEnrolmentToken { reason: Some(form.reason) }),
            enrolment::revoke,
            |visit, [id], _: EnrolmentTokenView| Then::Go(visit.href(&format!("enrolment/{id}")), "token-revoked"),
        ),
    ]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    q: Option<String>,
    page: Option<usize>,
}

#[derive(Deserialize)]
struct RevokeForm {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct NewToken {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    project: Option<ProjectId>,
    #[serde(default)]
    secrets: Vec<SecretId>,
    good: String,
    good_unit: String,
    lasts: String,
    lasts_unit: String,
    uses: String,
    #[serde(default)]
    range: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    names: String,
}

impl NewToken {
    fn parse(self) -> Result<CreateEnrolmentToken, Refusal> {
        let given = |it: String| Some(it.trim().to_owned()).filter(|it| !it.is_empty());
        let max_uses = self.uses.trim().parse();
        Ok(CreateEnrolmentToken {
            name: self.name.trim().to_owned(),
            description: given(self.description),
            project_ids: self.project.into_iter().collect(),
            secret_ids: self.secrets,
            token_lifetime_seconds: span::seconds("how long the token is good", &self.good, &self.good_unit)?,
            machine_lifetime_seconds: span::seconds("how long each machine lasts", &self.lasts, &self.lasts_unit)?,
            max_uses: max_uses
                .map_err(|_| invalid("how many machines it lets in is a whole number, from 1 to 10000"))?,
            source_cidr: given(self.range),
            hostname_pattern: given(self.hostname),
            name_pattern: given(self.names),
        })
    }
}

fn state(it: EnrolmentTokenState) -> Markup {
    match it {
        EnrolmentTokenState::Active => pill(Tone::Good, "active"),
        EnrolmentTokenState::Expired => pill(Tone::Plain, "expired"),
        EnrolmentTokenState::UsedUp => pill(Tone::Plain, "used up"),
        EnrolmentTokenState::Revoked => pill(Tone::Bad, "revoked"),
    }
}

fn list(visit: &Visit, query: &ListQuery, it: &Part) -> Sheet {
    let new = || html! { a.button.primary href={ (visit.href("machines/new")) "?for=ci" } { "New token" } };
    let may = visit.may(EnrolmentWrite);
    let body = html! {
        (tabs(visit, "enrolment"))
        @if it.all == 0 {
            (empty(
                "No enrolment tokens yet",
                html! { "With an enrolment token jobs, such as builds, become machines that nobody approves one by one and that end by themselves." },
                may.then(new),
            ))
        } @else {
            form.toolbar role="search" method="get" action=(visit.href("enrolment")) data-filter="list" {
                (field("q", "Search", None, html! {
                    input #q type="search" name="q" value=[query.q.as_deref()] maxlength="200" autocomplete="off" placeholder="Name or id";
                }))
                button { "Search" }
            }
            div #list { (rows(visit, query, it)) }
        }
    };
    let sheet = Sheet::new(Section::Machines, "Enrolment tokens", body);
    if may { sheet.actions(new()) } else { sheet }
}

fn rows(visit: &Visit, query: &ListQuery, it: &Part) -> Markup {
    let href = |page: usize| {
        let page = page.to_string();
        let fields = [("q", query.q.as_deref().unwrap_or_default()), ("page", page.as_str())];
        format!("{}?{}", visit.href("enrolment"), serde_html_form::to_string(fields).unwrap_or_default())
    };
    html! {
        @if it.list.enrollment_tokens.is_empty() {
            (empty("No token is like that", html! { "Search for a part of its name." }, None))
        } @else {
            (table(visit, &it.list))
            (pages(it.page, enrolment::PART, it.total, href))
        }
    }
}

fn table(visit: &Visit, it: &EnrolmentTokenList) -> Markup {
    html! {
        (data_table(
            Called::As("Enrolment tokens"),
            html! {
                th scope="col" { "Name" } th scope="col" { "State" } th.number scope="col" { "Let in" }
                th.number scope="col" { "Alive" } th.number scope="col" { "Secrets" } th scope="col" { "Good until" } th scope="col" { "Made" }
            },
            html! {
                @for token in &it.enrollment_tokens {
                    tr {
                        th scope="row" {
                            a href=(visit.href(&format!("enrolment/{}", token.id))) { (token.name) }
                            @if !token.description.is_empty() { span.sub { (token.description) } }
                        }
                        td { (state(token.state)) }
                        td.number { (token.uses) " of " (token.max_uses) }
                        td.number { (token.alive) }
                        td.number { (token.secret_ids.len()) }
                        td { (time(token.expires_at)) }
                        td { (time(token.created_at)) }
                    }
                }
            },
        ))
    }
}

fn one(visit: &Visit, _: &Nothing, it: &EnrolmentTokenView) -> Sheet {
    let dash = |text: Option<&str>| html! { @match text { Some(it) => code { (it) }, None => span.quiet { "any" } } };
    let mut known = vec![
        ("State", state(it.state)),
        ("Id", html! { code { (it.id) } }),
        ("Let in", html! { (it.uses) " of " (it.max_uses) }),
        ("Alive", html! { (it.alive) }),
        ("Good until", time(it.expires_at)),
        ("Each machine lasts", html! { (lasts(it.machine_lifetime_seconds)) }),
        ("Projects", html! { (it.project_ids.len()) }),
        ("Secrets", html! { (it.secret_ids.len()) }),
        ("From", dash(it.source_cidr.as_deref())),
        ("Host names", dash(it.hostname_pattern.as_deref())),
        (
            "Its machines are called",
            html! { @match &it.name_pattern { Some(it) => code { (it) }, None => span.quiet { "by their host names" } } },
        ),
        ("Made", time(it.created_at)),
    ];
    if let Some(at) = it.revoked_at {
        known.push(("Revoked", html! { (time(at)) @if let Some(why) = &it.revoked_because { ": " (why) } }));
    }
    let may_revoke = visit.may(EnrolmentWrite) && it.state != EnrolmentTokenState::Revoked;
    let body = html! {
        section.card {
            @if !it.description.is_empty() { p { (it.description) } }
            (facts(&known))
        }
        @if may_revoke {
            section.card {
                h2 { "Revoke it" }
                p { "It lets nobody in any more. The " (it.alive) " machines of it that are alive go on until their time is over." }
                form.stack method="post" action=(visit.href(&format!("enrolment/{}/revoke", it.id))) {
                    (field("reason", "Why", None, html! { input #reason name="reason" maxlength="255" autocomplete="off"; }))
                    button.danger { "Revoke" }
                }
            }
        }
    };
    Sheet::new(Section::Machines, format!("Enrolment token {}", it.name), body)
}

/// The form of a new token: first the project, then what it gives.
pub(super) fn form(visit: &Visit, project: Option<&ProjectId>, choices: &Choices) -> Markup {
    html! {
        section.card {
            p {
                "A job begins with an enrolment token, which many jobs share: each becomes a machine of its own, in memory, that nobody "
                "approves and that ends by itself. What the token gives is said here once, and never widened."
            }
            form.toolbar method="get" action=(visit.href("machines/new")) {
                input type="hidden" name="for" value="ci";
                (field("of-project", "Project", None, html! {
                    select #of-project name="project" {
                        option value="" { "None" }
                        @for (id, name) in &choices.projects { option value=(id) selected[project == Some(id)] { (name) } }
                    }
                }))
                button { "Choose" }
            }
            (terms(visit, project, choices))
        }
    }
}

fn terms(visit: &Visit, project: Option<&ProjectId>, choices: &Choices) -> Markup {
    html! {
        form.stack method="post" action=(visit.href("enrolment")) {
            @if let Some(id) = project {
                input type="hidden" name="project" value=(id);
                fieldset {
                    legend { "Secrets that its machines may read" }
                    @if choices.secrets.is_empty() { p.quiet { "This project has none yet." } }
                    div.choices {
                        @for (id, name) in &choices.secrets {
                            label.choice { input type="checkbox" name="secrets" value=(id); " " (name) }
                        }
                    }
                    @if choices.more > 0 { p.help { "The project has " (choices.more) " more. A token for those is made by " code { "sikkerkey-server admin enrolment-token create --secret ID" } "." } }
                }
            }
            (field("token-name", "Name", None, html! { input #token-name name="name" required maxlength="255" autocomplete="off" placeholder="jobs"; }))
            (field("description", "What it is for", None, html! { input #description name="description" maxlength="1024" autocomplete="off"; }))
            (span::fields("good", "How long the token is good", 30, &span::LONG))
            (span::fields("lasts", "How long each machine lasts", 1, &span::SHORT))
            (field("uses", "How many machines it lets in", None, html! { input #uses name="uses" type="number" min="1" max="10000" required value="100"; }))
            details {
                summary { "Narrower" }
                (field("range", "Only from", Some("A range such as 203.0.113.0/24."), html! { input #range name="range" autocomplete="off" aria-describedby="range-help"; }))
                (field("hostname", "Only host names like", Some("* stands for any characters, ? for one: ci-*"), html! { input #hostname name="hostname" autocomplete="off" aria-describedby="hostname-help"; }))
                (field("names", "What they are called", Some("job-{uuid8}; {uuid} and {hostname} are the other places."), html! { input #names name="names" autocomplete="off" aria-describedby="names-help"; }))
            }
            button.primary { "Make the token" }
        }
    }
}

/// The token, shown this once.
fn made(url: &str, it: &EnrolmentTokenCreated) -> Then {
    let view = &it.view;
    let job = format!(
        "# pip install sikkerkey; SIKKERKEY_API_URL={url}\nimport os\nfrom sikkerkey import SikkerKey\n\nclient = \
         SikkerKey.bootstrap_in_memory(\"{}\", os.environ[\"SIKKERKEY_ENROLLMENT_TOKEN\"])\nprint(client.export())\n",
        view.vault_id
    );
    let body = html! {
        section.card {
            h2 { "1. Keep the token where your jobs find it" }
            (copyable("token", it.token.expose()))
            p { "It is shown this once. Keep it as a masked variable of your CI, such as " code { "SIKKERKEY_ENROLLMENT_TOKEN" } ". It is good until " (time(view.expires_at)) ", for " (view.max_uses) " machines." }
        }
        section.card {
            h2 { "2. Read in a job" }
            (copyable("job", &job))
        }
    };
    Then::Show(Sheet::new(Section::Machines, format!("New enrolment token {}", view.name), body))
}
