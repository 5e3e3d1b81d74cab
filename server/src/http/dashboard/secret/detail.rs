//! The page of one secret.

use maud::{Markup, html};
use sikkerkey_protocol::management::Scope::{PoliciesWrite, SecretsWrite};
use sikkerkey_protocol::management::SecretType;

use super::super::element::{Tone, empty, facts, field, pill, time, time_or};
use super::super::managed;
use super::super::page::Nothing;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::list::{canary_mark, due, origin_name};
use super::{canary, manifest, readers, value, versions};
use crate::usecase::management::access::Named;
use crate::usecase::management::secret::dossier::{Dossier, Falling, ValueFrom};

/// The page of one secret.
pub(super) fn page(visit: &Visit, _: &Nothing, it: &Dossier) -> Sheet {
    let is_ours = it.object.is_none();
    let own = |rest: &str| visit.href(&format!("secrets/{}/{rest}", it.view.id));
    let body = html! {
        (warnings(visit, it))
        section.card { (facts(&known(visit, it))) }
        @if let Some(object) = &it.object {
            (managed::notice(it.view.managed_by.as_deref().unwrap_or_default(), &manifest::manifest(it, object)))
        }
        @if visit.may(SecretsWrite) {
            div.columns {
                @if takes_a_value(it) { (value::replace(visit, it)) }
                @if is_ours && it.canary.is_none() { (value::rotate(visit, it)) (value::schedule(visit, it)) }
            }
        }
        (readers::who_can(visit, it))
        (readers::who_did(visit, it))
        (versions::table(visit, it))
        div.columns {
            @if is_ours && visit.may(PoliciesWrite) { (policy(visit, it)) }
            @if is_ours && visit.may(SecretsWrite) { (words(visit, it)) }
            (canary::card(visit, it))
        }
        @if is_ours && may_delete(visit, it) {
            section.card {
                h2 { "Trash" }
                p { "A secret in the trash is read by nobody, and comes back within 30 days if you want." }
                p { a.button.danger href=(own("delete")) { "Move to the trash" } }
            }
        }
    };
    let actions = html! { a.button href=(own("access")) { "Configure access" } };
    Sheet::new(Section::Secrets, it.view.name.clone(), body).actions(actions)
}

fn may_delete(visit: &Visit, it: &Dossier) -> bool {
    visit.may(SecretsWrite) && (it.view.kind != SecretType::Canary || visit.may(PoliciesWrite))
}

/// Whether somebody may say here what the value is.
fn takes_a_value(it: &Dossier) -> bool {
    let is_scheduled = it.schedule.as_ref().is_some_and(|it| it.enabled);
    let is_told_here = matches!(it.value_from, ValueFrom::Here | ValueFrom::External | ValueFrom::Taken);
    is_told_here && it.view.kind != SecretType::Canary && !is_scheduled
}

fn warnings(visit: &Visit, it: &Dossier) -> Markup {
    html! {
        @if it.frozen {
            p.notice.bad {
                "Project " (it.project.name) " is frozen: every read in it is refused. "
                a href=(visit.href(&format!("projects/{}/unfreeze", it.project.id))) { "See why, and let it answer again" } "."
            }
        }
        @if it.view.held {
            p.notice.bad { "Nobody reads it: it was restored from a backup, and how often it was read since is not known. Whoever runs the server lets it go with " code { "sikkerkey-server admin secret release" } "." }
        }
        @if it.binding.policy_name.is_some() && !it.binding.in_force {
            p.notice.bad { "Nobody reads it: the policy that it names is not in force. Put another on it, or none." }
        }
        @if it.view.version == 0 {
            p.notice.warn { "It has no value yet: nobody reads it until it has one." }
        }
    }
}

fn known(visit: &Visit, it: &Dossier) -> Vec<(&'static str, Markup)> {
    let view = &it.view;
    let from = html! { @if let Some(origin) = it.origin { (origin_name(origin)) } @else { span.quiet { "–" } } };
    let value = match &view.field_names {
        None => html! { "one value" },
        Some(names) => {
            html! { (names.len()) @if names.len() == 1 { " field: " } @else { " fields: " } (names.join(", ")) }
        }
    };
    let mut facts = vec![
        ("Project", html! { (it.project.name) }),
        ("Value", value),
        ("Version", html! { (view.version) }),
        ("Came from", from),
        ("Rotation due", due(it.due, visit.now.0)),
        ("Policy", html! { @match &view.policy { Some(name) => (name), None => span.quiet { "none" } } }),
        ("Read", html! { (it.reads) " times, last " (time_or(it.last_read, "never")) }),
        ("Denied", html! { (it.denied) " times" }),
        (
            "Changed",
            html! {
                (time_or(view.updated_at, "–"))
                @if let Some(who) = &view.updated_by { " by " (who) }
            },
        ),
        ("Created", time_or(view.created_at, "–")),
        ("Id", html! { code { (view.id) } }),
    ];
    if let Some(canary) = &it.canary {
        facts.insert(0, ("Kind", canary_mark(canary.enabled)));
    }
    if let Some(object) = &view.managed_by {
        facts.insert(0, ("Managed by", html! { (managed::mark(object)) " " (object) }));
    }
    if let Some(note) = &view.note {
        facts.push(("Note", html! { span.written { (note) } }));
    }
    facts
}

fn policy(visit: &Visit, it: &Dossier) -> Markup {
    let action = visit.href(&format!("secrets/{}/policy", it.view.id));
    let bound = it.binding.policy_id.as_deref();
    let was = it.binding.policy_name.as_deref();
    let is_offered = |policies: &[Named]| policies.iter().any(|it| bound == Some(it.id.as_str()));
    // It denies every read. Without a choice of its own a mere Save would put none in its place.
    let lost = was.filter(|_| !it.policies.as_deref().is_some_and(is_offered));
    html! {
        section.card {
            h2 { "Access policy" }
            @match &it.policies {
                Some(policies) if policies.is_empty() && was.is_none() => {
                    (empty("No policies in this project", html! { "A policy says when, from where and how often a secret may be read." }, None))
                },
                Some(policies) => form.stack method="post" action=(action) {
                    input type="hidden" name="was" value=(was.unwrap_or_default());
                    (field("bound", "Policy", Some("A policy of the same project. Every read must pass it, beside the grant."), html! {
                        select #bound name="policy" required[lost.is_some()] aria-describedby="bound-help" {
                            @if let Some(name) = lost {
                                option value="" disabled selected { (name) " (not in force: nobody reads it)" }
                            }
                            option value="" { "None: a grant is enough" }
                            @for policy in policies { option value=(policy.id) selected[bound == Some(policy.id.as_str())] { (policy.name) } }
                        }
                    }))
                    button { "Save" }
                },
                None => p { "The project has more policies than one chooses from here: bind one on its own page." },
            }
        }
    }
}

fn words(visit: &Visit, it: &Dossier) -> Markup {
    let to = |rest: &str| visit.href(&format!("secrets/{}/{rest}", it.view.id));
    html! {
        section.card {
            h2 { "Name and note" }
            form.stack method="post" action=(to("name")) {
                (field("name", "Name", Some("Grants stay: they are by id."), html! {
                    input #name name="name" required maxlength="255" value=(it.view.name) autocomplete="off" aria-describedby="name-help";
                }))
                button { "Rename" }
            }
            form.stack method="post" action=(to("note")) {
                (field("note", "Note", Some("For people, and never a value. Empty: none."), html! {
                    textarea #note name="note" rows="3" maxlength="1000" aria-describedby="note-help" { (it.view.note.as_deref().unwrap_or_default()) }
                }))
                button { "Save note" }
            }
        }
    }
}

/// What goes into the trash, to be confirmed.
pub(super) fn delete(visit: &Visit, _: &Nothing, it: &Falling) -> Sheet {
    let own = |rest: &str| visit.href(&format!("secrets/{}{rest}", it.secret.id));
    let rest = it.reader_count.saturating_sub(it.readers.len());
    let body = html! {
        section.card {
            p { strong { (it.secret.name) } " of project " (it.project) " goes to the trash. From then on nobody reads it." }
            @if it.canary { p { "It is a canary: whoever looks for it finds nothing to trip over." } }
            @if it.reader_count == 0 { p { "Nobody is granted it." } }
            @else {
                p { "These are refused at once:" }
                ul { @for name in &it.readers { li { (name) } } @if rest > 0 { li { "and " (rest) " more" } } }
            }
            p { "It can be restored until " (time(it.purged_at)) "; then it is gone for good." }
            form.actions method="post" action=(own("/delete")) {
                button.danger { "Move to the trash" }
                a.button href=(own("")) { "Keep it" }
            }
        }
    };
    let title = format!("Move {} to the trash", it.secret.name);
    Sheet::new(Section::Secrets, title, body).actions(pill(Tone::Bad, "refused at once"))
}
