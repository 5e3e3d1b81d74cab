//! What a secret does as a canary, and projects that one froze.

use maud::{Markup, html};
use serde::Deserialize;
use sikkerkey_protocol::management::CanaryView;
use sikkerkey_protocol::management::Scope::PoliciesWrite;

use super::super::element::{Called, Tone, data_table, empty, facts, pill, time};
use super::super::page::{Nothing, does, shows};
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::back;
use super::list::canary_mark;
use crate::http::route::Route;
use crate::refusal::Refusal;
use crate::usecase::management::canary::{self, Frozen, SetCanary};
use crate::usecase::management::secret::dossier::Dossier;

/// The routes.
pub(super) fn routes() -> [Route; 3] {
    [
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/secrets/{secret}/canary",
            CanaryForm::parse,
            canary::set,
            |visit, [secret], it: CanaryView| {
                back(visit, secret, if it.enabled { "canary-armed" } else { "canary-disarmed" })
            },
        ),
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/secrets/{secret}/canary/remove",
            Ok,
            |context, manager, [secret], Nothing {}| canary::remove(context, manager, [secret]),
            |visit, [secret], ()| back(visit, secret, "canary-removed"),
        ),
        shows(
            PoliciesWrite,
            "GET /vaults/{vault}/projects/{project}/unfreeze",
            |context, manager, [project], Nothing {}| canary::frozen(context, manager, [project]),
            frozen,
        ),
    ]
}

#[derive(Deserialize)]
struct CanaryForm {
    #[serde(default)]
    armed: bool,
    #[serde(default)]
    freeze: bool,
    #[serde(default)]
    related: bool,
    #[serde(default)]
    seen: String,
}

impl CanaryForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    fn parse(self) -> Result<(SetCanary, String), Refusal> {
        let to = SetCanary { armed: self.armed, freeze_project: self.freeze, freeze_related: self.related };
        Ok((to, self.seen))
    }
}

/// What a secret does as a canary, and the form that makes it one.
pub(super) fn card(visit: &Visit, it: &Dossier) -> Markup {
    let may = visit.may(PoliciesWrite);
    if it.canary.is_none() && !may {
        return html! {};
    }
    let to = |rest: &str| visit.href(&format!("secrets/{}/canary{rest}", it.view.id));
    let now = it.canary.as_ref();
    let (armed, freeze, related) = now
        .map_or((true, true, false), |it| (it.enabled, it.trigger_freeze_project, it.trigger_freeze_related_projects));
    html! {
        section.card {
            h2 { "Canary" }
            @match now {
                None => p { "A canary is bait: whoever reads it raises an alarm, and freezes what you say." },
                Some(it) => (stands(visit, it)),
            }
            @if now.is_none() && it.reader_count > 0 {
                p.notice.warn { (it.reader_count) " are granted it: the next read of one of them springs it." }
            }
            @if may {
                form.stack method="post" action=(to("")) {
                    input type="hidden" name="seen" value=(canary::mark(now));
                    label for="armed" { input #armed type="checkbox" name="armed" value="true" checked[armed]; " A read springs it" }
                    label for="freeze" { input #freeze type="checkbox" name="freeze" value="true" checked[freeze]; " A read freezes its project" }
                    label for="related" { input #related type="checkbox" name="related" value="true" checked[related]; " A read freezes the projects that share machines with its own" }
                    button { @if now.is_some() { "Save canary" } @else { "Make it a canary" } }
                }
                @if now.is_some() {
                    form method="post" action=(to("/remove")) { button.danger { "Make it an ordinary secret" } }
                }
            }
        }
    }
}

fn stands(visit: &Visit, it: &CanaryView) -> Markup {
    let last = it.last_trip.as_ref().map_or_else(
        || html! { span.quiet { "never" } },
        |trip| html! {
            (time(trip.at)) " by " a href=(visit.href(&format!("machines/{}", trip.machine_id))) { "a machine" } " from " code { (trip.source_ip) }
        },
    );
    facts(&[("State", canary_mark(it.enabled)), ("Sprung", html! { (it.fire_count) " times" }), ("Last", last)])
}

/// What froze a project, to be looked at before it answers again.
fn frozen(visit: &Visit, _: &Nothing, it: &Frozen) -> Sheet {
    let projects = visit.href("projects");
    let body = if it.frozen {
        html! {
            p.notice.bad { "Every read in this project is refused. When it is unfrozen, whoever is granted a secret reads it again at once." }
            (sprung(visit, it))
            section.card {
                p { "Look first whether the machine that read the canary is still yours: take it its grants or revoke it, and rotate what it could read. The canaries stay armed." }
                form.actions method="post" action=(visit.href(&format!("projects/{}/unfreeze", it.project.id))) {
                    button.primary { "Unfreeze " (it.project.name) }
                    a.button href=(projects) { "Leave it frozen" }
                }
            }
        }
    } else {
        empty(
            "It is not frozen",
            html! { "Its machines read what they are granted." },
            Some(html! { a.button href=(projects) { "Projects" } }),
        )
    };
    Sheet::new(Section::Projects, format!("Unfreeze {}", it.project.name), body)
}

fn sprung(visit: &Visit, it: &Frozen) -> Markup {
    if it.sprung.is_empty() {
        return html! { p { "No canary that is there now has frozen it: a person did, or the canary is gone. The audit tells." } };
    }
    html! {
        (data_table(
            Called::As("Canaries that were sprung"),
            html! { th scope="col" { "Canary" } th.number scope="col" { "Sprung" } th scope="col" { "Last" } th scope="col" { "By" } th scope="col" { "From" } },
            html! {
                @for (canary, by) in it.sprung.iter().zip(&it.by) {
                    tr {
                        th scope="row" { a href=(visit.href(&format!("secrets/{}", canary.id))) { (canary.name) } " " (canary_mark(canary.enabled)) }
                        td.number { (canary.fire_count) }
                        @match &canary.last_trip {
                            None => { td { "–" } td { "–" } td { "–" } },
                            Some(trip) => {
                                td { (time(trip.at)) }
                                td { @match by {
                                    Some(name) => a href=(visit.href(&format!("machines/{}", trip.machine_id))) { (name) },
                                    None => { code { (trip.machine_id) } " " (pill(Tone::Plain, "gone")) },
                                } }
                                td { code { (trip.source_ip) } }
                            },
                        }
                    }
                }
            },
        ))
    }
}
