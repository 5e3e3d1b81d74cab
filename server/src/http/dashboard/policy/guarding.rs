//! What a policy guards: choosing more, taking it off one, and deleting it.

use maud::{Markup, html};
use serde::Deserialize;

use super::super::element::{Called, Tone, data_table, empty, field, pages, pill};
use super::super::managed;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::{axes, one, shown};
use crate::refusal::Refusal;
use crate::usecase::management::policy::guarding::{Candidate, Candidates, Chosen, Removal, Unbinding};
use crate::usecase::management::policy::shown::{PAGE, Shown, Stands};

/// Which secrets are looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    q: Option<String>,
    page: Option<usize>,
}

impl Query {
    pub(super) fn asked(self) -> (String, usize) {
        (self.q.unwrap_or_default(), self.page.unwrap_or(1))
    }
}

/// The secret that it is to guard, and what the page showed as guarding it: without that, nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ChosenForm {
    secret: String,
    was: String,
}

impl ChosenForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    pub(super) fn parse(self) -> Result<Chosen, Refusal> {
        Ok(Chosen { secret: self.secret, was: Some(self.was).filter(|it| !it.is_empty()) })
    }
}

/// How it is to go, and what the page showed of it.
#[derive(Deserialize)]
pub(super) struct Going {
    release: Option<String>,
    revision: Option<u64>,
    guards: Option<String>,
}

impl Going {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    pub(super) fn parse(self) -> Result<Removal, Refusal> {
        Ok(Removal { releases: self.release.is_some(), seen: self.revision.zip(self.guards) })
    }
}

/// What it may guard.
pub(super) fn candidates(visit: &Visit, query: &Query, found: &Candidates) -> Sheet {
    let policy = &found.policy;
    let here = format!("{}/bind", one(visit, &policy.id));
    let href = |page: usize| {
        let q = query.q.as_deref().unwrap_or_default();
        let fields = serde_html_form::to_string([("q", q), ("page", &page.to_string())]).unwrap_or_default();
        format!("{here}?{fields}")
    };
    let body = html! {
        p { "Secrets of project " strong { (policy.project_name) } " that " a href=(one(visit, &policy.id)) { (policy.name) } " does not guard. From the moment it guards one, a read of it is allowed:" }
        (axes(&policy.words))
        form.toolbar role="search" method="get" action=(here) data-filter="list" {
            (field("q", "Search", None, html! {
                input #q type="search" name="q" value=[query.q.as_deref()] maxlength="200" autocomplete="off" spellcheck="false" placeholder="Name";
            }))
            button { "Search" }
        }
        div #list {
            @if found.secrets.is_empty() {
                (empty("No secret to choose", html! { "Every secret of the project that is like that is guarded by this policy already, or there is none." }, None))
            } @else {
                (data_table(
                    Called::As("Secrets to choose from"),
                    html! {
                        th scope="col" { "Secret" }
                        th scope="col" { "Guarded now by" }
                        th.number scope="col" { "Granted to" }
                        th scope="col" { span.hidden { "Actions" } }
                    },
                    html! { @for it in &found.secrets { (candidate(&here, it)) } },
                ))
                (pages(found.page, PAGE, found.total, href))
            }
        }
    };
    Sheet::new(Section::Policies, format!("What {} is to guard", policy.name), body)
}

fn candidate(here: &str, it: &Candidate) -> Markup {
    let secret = &it.secret;
    html! {
        tr {
            th scope="row" {
                (secret.label)
                @if let Some(object) = &secret.managed_by { " " (managed::mark(object)) }
            }
            td { @match &it.now { Some(name) => (name), None => span.quiet { "nothing" } } }
            td.number { (secret.readers) }
            td {
                @match &secret.managed_by {
                    None => form.inline method="post" action=(here) {
                        input type="hidden" name="secret" value=(secret.id);
                        input type="hidden" name="was" value=(it.now.as_deref().unwrap_or_default());
                        button {
                            @if it.now.is_some() { "Guard it instead" } @else { "Guard it" }
                            span.hidden { " " (secret.label) }
                        }
                    },
                    Some(object) => details {
                        summary { "Its object says it" }
                        pre tabindex="0" { code { (managed::manifest(object, &[("policyRef", "{name: POLICY}")])) } }
                    },
                }
            }
        }
    }
}

/// Before it is taken off a secret.
pub(super) fn unbinding(visit: &Visit, _: &super::Nothing, it: &Unbinding) -> Sheet {
    let (policy, secret) = (&it.policy, &it.secret);
    let own = one(visit, &policy.id);
    let rest = secret.readers.saturating_sub(it.readers.len());
    if !it.is_bound {
        let body = empty(
            "Nothing to take off",
            html! { "Policy " (policy.name) " does not guard " (secret.label) ", or not any more." },
            Some(html! { a.button href=(own) { "Back to the policy" } }),
        );
        return Sheet::new(Section::Policies, format!("Take {} off {}", policy.name, secret.label), body);
    }
    let body = html! {
        section.card {
            p { "Policy " a href=(own) { (policy.name) } " guards " strong { (secret.label) } ": reads are allowed" }
            (axes(&policy.words))
            @if it.readers.is_empty() {
                p { "Without it nobody would read the secret: it is granted to no machine." }
            } @else {
                p { "Without it these would read the secret at any time, from anywhere, as often as they like:" }
                ul.lines { @for reader in &it.readers { li { (reader) } } @if rest > 0 { li { "and " (rest) " more" } } }
            }
            p.quiet { "To put another policy in its place, choose the secret on that one's page: then it is never without." }
            div.actions {
                form.inline method="post" action={ (own) "/secrets/" (secret.id) "/unbind" } { button.danger { "Take it off" } }
                a.button href=(own) { "Leave it" }
            }
        }
    };
    Sheet::new(Section::Policies, format!("Take {} off {}", policy.name, secret.label), body)
}

/// Before it goes.
pub(super) fn going(visit: &Visit, _: &shown::Query, it: &Shown) -> Sheet {
    let own = one(visit, &it.row.id);
    let here = format!("{own}/delete");
    let count = it.row.secrets;
    if let Some(object) = it.row.managed_by.as_ref().filter(|_| it.row.stands != Stands::Withdrawn) {
        let manifest = managed::manifest_of(object, &managed::policy_fields(&it.document));
        return Sheet::new(Section::Policies, format!("Delete {}", it.row.name), managed::notice(object, &manifest));
    }
    let has_managed = it.secrets.iter().any(|it| it.managed_by.is_some());
    let body = html! {
        @if count == 0 {
            section.card {
                p { "It guards no secret: nothing is read otherwise when it is gone." }
                form.inline method="post" action=(here) { button.danger { "Delete " (it.row.name) } }
                " " a.button href=(own) { "Leave it" }
            }
        } @else {
            section.card {
                p.notice.warn {
                    "It guards " (count) @if count == 1 { " secret" } @else { " secrets" }
                    ". Without it, whoever is granted one of them reads it at any time, from anywhere, as often as he likes."
                }
                p { "Let another policy guard them first: its page, “Guard a secret”. Then this one guards nothing, and goes without harm." }
                @if has_managed {
                    p { (pill(Tone::Plain, "Kubernetes")) " marks secrets whose objects name this policy: take it out of their " code { "policyRef" } " first." }
                } @else {
                    form method="post" action=(here) {
                        input type="hidden" name="revision" value=(it.row.revision);
                        input type="hidden" name="guards" value=(it.guards);
                        p { label { input type="checkbox" name="release" value="yes" required; " Take it off all of them, and leave them without a policy" } }
                        button.danger { "Delete " (it.row.name) }
                        " " a.button href=(own) { "Leave it" }
                    }
                }
            }
            h2 { "Secrets that it guards" }
            (shown::secrets(visit, it, true, &here))
        }
    };
    Sheet::new(Section::Policies, format!("Delete {}", it.row.name), body)
}
