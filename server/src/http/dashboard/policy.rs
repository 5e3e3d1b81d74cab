//! Access policies: the list, one of them, its editor, what it guards, and how it goes.

mod editor;
mod form;
mod guarding;
mod list;
mod past;
mod shown;
mod told;

use maud::{Markup, html};
use sikkerkey_protocol::management::Binding;
use sikkerkey_protocol::management::Scope::{PoliciesRead, PoliciesWrite};

use self::form::PolicyForm;
use super::element::{Tone, pill, time};
use super::page::{Nothing, Then, asks, does, shows};
use super::visit::Visit;
use crate::decision::{Decided, Decision};
use crate::http::route::Route;
use crate::refusal::Refusal;
use crate::usecase::management::policy::draft::{self, Place, Saved};
use crate::usecase::management::policy::shown::{Row, Stands};
use crate::usecase::management::policy::{guarding as guards, past as before, shown as policies};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        shows(
            PoliciesRead,
            "GET /vaults/{vault}/policies",
            |context, manager, [], query: list::Query| policies::list(context, manager, [], query.asked()),
            list::page,
        ),
        shows(
            PoliciesRead,
            "GET /vaults/{vault}/policies/{policy}",
            |context, manager, ids, query: shown::Query| policies::get(context, manager, ids, query.page.unwrap_or(1)),
            shown::page,
        ),
    ];
    routes.extend(writing());
    routes.extend(guarding());
    routes
}

/// The editor. What is typed is checked by an address of its own, which answers with the editor again.
fn writing() -> [Route; 6] {
    [
        shows(
            PoliciesWrite,
            "GET /vaults/{vault}/policies/new",
            |context, manager, [], query: editor::Query| {
                draft::begin(context, manager, Place::In(query.project.as_deref()))
            },
            editor::begin,
        ),
        shows(
            PoliciesWrite,
            "GET /vaults/{vault}/policies/{policy}/edit",
            |context, manager, [policy], _: editor::Query| draft::begin(context, manager, Place::Of(policy)),
            editor::begin,
        ),
        asks(
            PoliciesWrite,
            "POST /vaults/{vault}/policies/check",
            |context, manager, [], typed: PolicyForm| {
                draft::check(context, manager, Place::In(typed.project()), typed.draft(), typed.looks_back())
            },
            look_back,
            editor::checked,
        ),
        asks(
            PoliciesWrite,
            "POST /vaults/{vault}/policies/{policy}/check",
            |context, manager, [policy], typed: PolicyForm| {
                draft::check(context, manager, Place::Of(policy), typed.draft(), typed.looks_back())
            },
            look_back,
            editor::checked,
        ),
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/policies",
            Ok,
            |context, manager, [], typed: PolicyForm| {
                let saved = draft::save(context, manager, Place::In(typed.project()), typed.draft());
                with_form(saved, typed)
            },
            |visit, [], (saved, typed)| went(visit, saved, &typed, "policy-created"),
        ),
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/policies/{policy}",
            Ok,
            |context, manager, [policy], typed: PolicyForm| {
                let saved = draft::save(context, manager, Place::Of(policy), typed.draft());
                with_form(saved, typed)
            },
            |visit, [_], (saved, typed)| went(visit, saved, &typed, "policy-saved"),
        ),
    ]
}

/// What it guards, and how it goes.
fn guarding() -> [Route; 6] {
    [
        shows(
            PoliciesWrite,
            "GET /vaults/{vault}/policies/{policy}/bind",
            |context, manager, ids, query: guarding::Query| guards::candidates(context, manager, ids, query.asked()),
            guarding::candidates,
        ),
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/policies/{policy}/bind",
            guarding::ChosenForm::parse,
            guards::bind,
            |visit, [policy], _: Binding| Then::Go(one(visit, policy), "policy-bound"),
        ),
        shows(
            PoliciesWrite,
            "GET /vaults/{vault}/policies/{policy}/secrets/{secret}/unbind",
            |context, manager, ids, _: Nothing| guards::unbinding(context, manager, ids),
            guarding::unbinding,
        ),
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/policies/{policy}/secrets/{secret}/unbind",
            |_: Nothing| Ok(()),
            |context, manager, ids, ()| guards::unbind(context, manager, ids),
            |visit, [policy, _], _: Binding| Then::Go(one(visit, policy), "policy-unbound"),
        ),
        shows(
            PoliciesWrite,
            "GET /vaults/{vault}/policies/{policy}/delete",
            |context, manager, ids, query: shown::Query| policies::get(context, manager, ids, query.page.unwrap_or(1)),
            guarding::going,
        ),
        does(
            PoliciesWrite,
            "POST /vaults/{vault}/policies/{policy}/delete",
            guarding::Going::parse,
            guards::delete,
            |visit, [_], _: String| Then::Go(visit.href("policies"), "policy-deleted"),
        ),
    ]
}

type Checked = (draft::Editor, Option<before::Past>);

async fn look_back(
    app: crate::app::App,
    (editor, wanted): (draft::Editor, Option<before::Wanted>),
) -> Result<Checked, Refusal> {
    match wanted {
        Some(wanted) => Ok((editor, Some(before::look(&app, wanted).await?))),
        None => Ok((editor, None)),
    }
}

fn with_form(saved: Decided<Saved>, typed: PolicyForm) -> Decided<(Saved, PolicyForm)> {
    let Decision { changes, audit, answer } = saved?;
    Ok(Decision { changes, audit, answer: Box::new(move |context| (answer(context), typed)) })
}

/// What is wrong stands beside what was typed, which is all there again.
fn went(visit: &Visit, saved: Saved, typed: &PolicyForm, said: &'static str) -> Then {
    match saved {
        Saved::Done(policy) => Then::Go(one(visit, &policy), said),
        Saved::Again(editor) => Then::Show(editor::checked(visit, typed, &(*editor, None))),
    }
}

/// The address of one policy.
fn one(visit: &Visit, policy: &str) -> String {
    visit.href(&format!("policies/{policy}"))
}

/// Links between the pages about policies.
pub(super) fn tabs(visit: &Visit, here: &str, waiting: usize) -> Markup {
    html! {
        nav aria-label="Access policies" {
            ul.tabs {
                li { a href=(visit.href("policies")) aria-current=[(here == "policies").then_some("page")] { "Policies" } }
                li {
                    a href=(visit.href("co-signs")) aria-current=[(here == "co-signs").then_some("page")] {
                        "Co-sign requests" @if waiting > 0 { " " span.badge { (waiting) } }
                    }
                }
            }
        }
    }
}

/// Whether a policy lets anybody read now, and until when.
fn stands(row: &Row) -> Markup {
    let (tone, word, until) = match row.stands {
        Stands::Always | Stands::Open => (Tone::Good, "open", "until "),
        Stands::Closed => (Tone::Warn, "closed", "opens "),
        Stands::Ended => (Tone::Bad, "ended", ""),
        Stands::Withdrawn => (Tone::Bad, "denies all", ""),
    };
    html! {
        (pill(tone, word))
        @match row.changes_at {
            Some(at) => span.sub { (until) (time(at.0)) },
            None => {
                @if row.stands == Stands::Always { span.sub { "at any time" } }
                @if row.stands == Stands::Withdrawn { span.sub { "its object is gone" } }
            }
        }
    }
}

/// Each axis in words, one below the other.
fn axes(words: &[String]) -> Markup {
    html! { ul.lines { @for it in words { li { (it) } } } }
}
