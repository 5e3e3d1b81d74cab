//! A policy while it is written: what it would say, and what would be wrong with it, by the rules by which it is put in
//! force.

use sikkerkey_protocol::id::ProjectId;
use sikkerkey_protocol::kubernetes::{Approval, WindowState};
use sikkerkey_protocol::management::{FieldError, PolicyObject};
use sikkerkey_protocol::policy::PolicyDocument;

use super::shown::{Row, Stands, find, in_words, row};
use super::{Manager, Wrong, drafted, object, past};
use crate::decision::{Context, Decided};
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::policy::written::Changes;
use crate::policy::{loosens, window_state};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::usecase::policy::guarded;
use crate::usecase::steps::Steps;

/// The most projects and machines to choose from.
const CHOICES: usize = 300;

/// Which policy is written.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// A new one, in this project.
    In(Option<&'a str>),
    /// This one.
    Of(&'a str),
}

/// What is to be.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The fields; or what about one of them is no value of it at all.
    pub changes: Result<Changes, FieldError>,
    /// The revision that its author has seen.
    pub revision: Option<u64>,
}

/// What an author sees.
#[derive(Debug)]
pub struct Editor {
    /// The policy that is changed; none: it is a new one.
    pub policy: Option<Row>,
    /// As it stands.
    pub object: PolicyObject,
    /// What is decided by.
    pub document: PolicyDocument,
    /// The project that it is of, or is to be of.
    pub project: Option<(ProjectId, String)>,
    /// Where a new one may be.
    pub projects: Vec<(ProjectId, String)>,
    /// Who may approve, by id, with names.
    pub approvers: Vec<(String, String)>,
    /// What was said to a draft.
    pub checked: Option<Checked>,
}

/// What is said to a draft.
#[derive(Debug)]
pub struct Checked {
    /// What is wrong with it; none: it can be put in force.
    pub wrong: Option<Wrong>,
    /// Each axis in words.
    pub words: Vec<String>,
    /// Whether it would let anybody read now, as far as that is the time's to say.
    pub stands: Stands,
    /// When that would change.
    pub changes_at: Option<Millis>,
    /// What it would let through that the present one does not.
    pub loosens: Option<String>,
    /// How many secrets it guards.
    pub secrets: usize,
}

/// What became of a draft.
#[derive(Debug)]
pub enum Saved {
    /// It is in force: the policy's id.
    Done(String),
    /// Something is wrong with it, and nothing was changed.
    Again(Box<Editor>),
}

/// Begins.
pub fn begin(context: &Context<'_>, manager: &Manager<'_>, place: Place<'_>) -> Decided<Editor> {
    let editor = editor(context, manager, place)?;
    let steps = looked(manager, &editor);
    Ok(steps.decide(move |_| editor))
}

/// Says what a draft would be, and what is to be looked for in the audit when its author wants to know what it would have
/// done.
pub fn check(
    context: &Context<'_>,
    manager: &Manager<'_>,
    place: Place<'_>,
    draft: Draft,
    looks_back: bool,
) -> Decided<(Editor, Option<past::Wanted>)> {
    let mut editor = editor(context, manager, place)?;
    let mut steps = looked(manager, &editor);
    if looks_back {
        // It tells who read what.
        for row in &mut steps.audit {
            row.detail.push_str(", tried on the reads of the last week");
        }
    }
    let mut wanted = None;
    match written(context, manager, place, draft) {
        Ok((project, old, policy, _)) => {
            if looks_back {
                wanted = Some(past::wanted(context, manager, project, old, &policy));
            }
            editor.checked = Some(checked(context, old, &policy));
        }
        Err(wrong) => editor.checked = Some(wrong_with(wrong)?),
    }
    Ok(steps.decide(move |_| (editor, wanted)))
}

/// Puts a draft in force.
pub fn save(context: &Context<'_>, manager: &Manager<'_>, place: Place<'_>, draft: Draft) -> Decided<Saved> {
    match written(context, manager, place, draft) {
        Ok((project, _, policy, steps)) => {
            let steps = manager.settle(steps, &project.id, || format!("policy {}: nothing to change", policy.name));
            Ok(steps.decide(move |_| Saved::Done(policy.id)))
        }
        Err(wrong) => {
            let mut editor = editor(context, manager, place)?;
            editor.checked = Some(wrong_with(wrong)?);
            let steps = looked(manager, &editor);
            Ok(steps.decide(move |_| Saved::Again(Box::new(editor))))
        }
    }
}

type Written<'s> = (&'s Project, Option<&'s Policy>, Policy, Steps);

fn written<'s>(
    context: &Context<'s>,
    manager: &Manager<'_>,
    place: Place<'_>,
    draft: Draft,
) -> Result<Written<'s>, Wrong> {
    let (project, old) = match place {
        Place::Of(policy) => {
            let policy = find(context, manager, policy)?;
            (manager.project(context, policy.project.as_str())?, Some(policy))
        }
        Place::In(Some(project)) => (manager.project(context, project)?, None),
        Place::In(None) => {
            return Err(FieldError::new("project", "is missing: choose the one whose secrets it is to guard").into());
        }
    };
    let changes = draft.changes?;
    if let Some((old, seen)) = old.zip(draft.revision).filter(|(old, seen)| old.revision != *seen) {
        let text = format!(
            "somebody has changed the policy meanwhile: you saw revision {seen}, and it is revision {} now: open it again, and \
             change that",
            old.revision
        );
        return Err(Refusal::new(RefusalKind::Conflict, text).into());
    }
    let (policy, steps) = drafted(context, manager, project, old, changes)?;
    Ok((project, old, policy, steps))
}

/// What an author can put right is told beside what was typed; anything else is no page of his.
fn wrong_with(wrong: Wrong) -> Result<Checked, Refusal> {
    if let Wrong::Whole(refusal) = &wrong
        && !matches!(refusal.kind, RefusalKind::Invalid | RefusalKind::Conflict)
    {
        return Err(wrong.refusal());
    }
    let wrong = Some(wrong);
    Ok(Checked { wrong, words: Vec::new(), stands: Stands::Always, changes_at: None, loosens: None, secrets: 0 })
}

fn checked(context: &Context<'_>, old: Option<&Policy>, policy: &Policy) -> Checked {
    // What cannot be read was refused before.
    let (window, changes_at) = window_state(&policy.document, context.now).unwrap_or((WindowState::Closed, None));
    Checked {
        wrong: None,
        words: in_words(context.state, policy),
        stands: Stands::of(window),
        changes_at,
        loosens: old.and_then(|it| loosens(&it.document, &policy.document)),
        secrets: old.map_or(0, |it| guarded(context.state, it).count()),
    }
}

fn editor(context: &Context<'_>, manager: &Manager<'_>, place: Place<'_>) -> Result<Editor, Refusal> {
    let state = context.state;
    let (policy, project) = match place {
        Place::Of(id) => {
            let policy = find(context, manager, id)?;
            (Some(policy), Some(manager.project(context, policy.project.as_str())?))
        }
        // Of one that is gone the author chooses another.
        Place::In(id) => (None, id.and_then(|it| manager.project(context, it).ok())),
    };
    let mut projects = Vec::new();
    if policy.is_none() {
        // A namespace's policies are objects.
        let ours = state.projects.values().filter(|it| manager.sees(it) && it.namespace.is_none());
        projects = ours.map(|it| (it.id.clone(), it.name.clone())).collect();
        projects.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        projects.truncate(CHOICES);
    }
    Ok(Editor {
        policy: policy.map(|it| row(context, it)),
        object: policy.map_or_else(PolicyObject::default, |it| object(state, it)),
        document: policy.map(|it| it.document.clone()).unwrap_or_default(),
        project: project.map(|it| (it.id.clone(), it.name.clone())),
        projects,
        approvers: approvers(state, manager, project),
        checked: None,
    })
}

/// Who may approve: hosts by themselves, and of a namespace's policies the machines of its cluster.
fn approvers(state: &State, manager: &Manager<'_>, project: Option<&Project>) -> Vec<(String, String)> {
    let is_host = |it: &&Machine| {
        it.vault == *manager.vault
            && it.fleet.is_none()
            && it.enrolled_by.is_none()
            && it.approval == Approval::Approved
    };
    let hosts = state.machines.values().map(|it| &**it).filter(is_host);
    let mut approvers: Vec<_> = hosts.map(|it| (it.id.to_string(), format!("machine {}", it.name))).collect();
    if let Some(namespace) = project.and_then(|it| it.namespace.as_ref()) {
        let fleets =
            state.fleets.values().filter(|it| it.vault == *manager.vault && it.managed.cluster == namespace.cluster);
        approvers.extend(fleets.map(|it| (it.id.to_string(), format!("Machine {}", it.managed.object.key))));
    }
    approvers.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    approvers.truncate(CHOICES);
    approvers
}

fn looked(manager: &Manager<'_>, editor: &Editor) -> Steps {
    let mut steps = Steps::default();
    steps.audit.push(match (&editor.policy, &editor.project) {
        (Some(policy), _) => manager.looked(&policy.project, format!("policy {}, to change it", policy.name)),
        (None, Some((project, _))) => manager.looked(project, "a new policy".to_owned()),
        (None, None) => manager.looked_at_vault("a new policy".to_owned()),
    });
    steps
}
