//! Policies as a person looks at them: what each says in words, how it stands, what it guards and has denied.

use std::collections::BTreeMap;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::kubernetes::WindowState;
use sikkerkey_protocol::management::PolicyObject;
use sikkerkey_protocol::policy::{Approver, PolicyDocument};

use super::{Manager, not_found, object};
use crate::decision::{Context, Decided};
use crate::model::managed::Managed;
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::secret::Secret;
use crate::policy::secret_label;
use crate::policy::words::words;
use crate::refusal::Refusal;
use crate::state::State;
use crate::usecase::co_sign;
use crate::usecase::kubernetes::standing;
use crate::usecase::policy::{guarded, mark_of_guarded};
use crate::usecase::steps::Steps;

/// Rows of a page.
pub const PAGE: usize = 50;

/// Which policies are asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What stands in the name or the description; empty: anything.
    pub text: String,
    /// Of this project; none: of any.
    pub project: Option<String>,
    /// In which order.
    pub sort: Sort,
    /// Which page, from 1.
    pub page: usize,
}

/// An order of policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By name.
    #[default]
    Name,
    /// By project.
    Project,
    /// Those first that guard the most.
    Secrets,
    /// Those first that have denied the most in the last day.
    Denials,
}

/// A page of policies.
#[derive(Debug)]
pub struct Policies {
    /// The policies.
    pub rows: Vec<Row>,
    /// Which page it is.
    pub page: usize,
    /// How many are found.
    pub total: usize,
    /// How many there are.
    pub all: usize,
    /// Every project, with its name.
    pub projects: Vec<(ProjectId, String)>,
    /// Reads that wait for a co-signer.
    pub waiting: usize,
}

/// A policy in a list.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its project.
    pub project: ProjectId,
    /// Its project's name.
    pub project_name: String,
    /// Each axis in words.
    pub words: Vec<String>,
    /// How many secrets it guards.
    pub secrets: usize,
    /// Whether it lets anybody read now.
    pub stands: Stands,
    /// When that changes by time alone.
    pub changes_at: Option<Millis>,
    /// What it has denied in the last day.
    pub denied_lately: u64,
    /// Reads that wait for its co-signer.
    pub waiting: usize,
    /// Counts up with each change.
    pub revision: u64,
    /// Whether agents may only tighten it.
    pub protected: bool,
    /// The object that stands for it.
    pub managed_by: Option<String>,
}

/// Whether a policy lets anybody read now, as far as that is the time's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// At any time.
    Always,
    /// In its window.
    Open,
    /// Outside of its window.
    Closed,
    /// Its last day or last read is past.
    Ended,
    /// Its object is gone, and it denies every read.
    Withdrawn,
}

impl Stands {
    /// As a window stands.
    pub(super) fn of(window: WindowState) -> Self {
        match window {
            WindowState::Always => Self::Always,
            WindowState::Open => Self::Open,
            WindowState::Closed => Self::Closed,
            WindowState::Ended => Self::Ended,
        }
    }
}

/// One policy.
#[derive(Debug)]
pub struct Shown {
    /// What stands in lists as well.
    pub row: Row,
    /// As it was written.
    pub object: PolicyObject,
    /// What is decided by.
    pub document: PolicyDocument,
    /// A page of the secrets that it guards, by name.
    pub secrets: Vec<Guarded>,
    /// A mark of all the secrets that it guards, on whatever page: another one as soon as it guards others.
    pub guards: String,
    /// Which page it is.
    pub page: usize,
    /// What each axis has denied since ever.
    pub denied_by: BTreeMap<DenialReason, u64>,
    /// Reads that are left, of the secret that has the fewest.
    pub remaining_reads: Option<u64>,
}

/// A secret that a policy guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Its id.
    pub id: SecretId,
    /// What it is called.
    pub label: String,
    /// The object that stands for it, where one does: that says which policy it has.
    pub managed_by: Option<String>,
    /// Who may read it, as far as grants go: machines and fleets.
    pub readers: usize,
    /// What the policy has denied in the last day.
    pub denied_lately: u64,
}

/// A page of the policies.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], asked: Asked) -> Decided<Policies> {
    let (vault, sight) = (manager.vault.clone(), manager.sight());
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the policies".to_owned()));
    Ok(steps.decide(move |context| {
        let state = context.state;
        let ours = || state.policies.values().filter(|it| it.vault == vault && sight.sees(&it.project));
        let text = asked.text.trim().to_lowercase();
        let is_found = |it: &&Policy| {
            let description = || it.written.as_ref().and_then(|it| it.description.as_deref()).unwrap_or_default();
            (text.is_empty() || it.name.to_lowercase().contains(&text) || description().to_lowercase().contains(&text))
                && asked.project.as_ref().is_none_or(|project| it.project.as_str() == project)
        };
        let mut found: Vec<&Policy> = ours().filter(is_found).collect();
        sort(context, &mut found, asked.sort);
        let total = found.len();
        let page = asked.page.clamp(1, total.div_ceil(PAGE).max(1));
        let rows = found.into_iter().skip((page - 1) * PAGE).take(PAGE).map(|it| row(context, it)).collect();
        let seen = state.projects.values().filter(|it| it.vault == vault && sight.sees(&it.id));
        let mut projects: Vec<_> = seen.map(|it| (it.id.clone(), it.name.clone())).collect();
        projects.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        let waiting = co_sign::in_vault(state, &vault, context.now);
        let waiting = waiting.iter().filter(|it| it.request.answer.is_none() && sight.sees(&it.secret.project)).count();
        Policies { rows, page, total, all: ours().count(), projects, waiting }
    }))
}

/// One policy, with a page of the secrets that it guards.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [policy]: [&str; 1], page: usize) -> Decided<Shown> {
    let policy = find(context, manager, policy)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&policy.project, format!("policy {}", policy.name)));
    Ok(steps.decide(move |context| {
        let mut secrets: Vec<&Secret> = guarded(context.state, &policy).collect();
        secrets.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let page = page.clamp(1, secrets.len().div_ceil(PAGE).max(1));
        let of_policy = standing::of_policy(context, &policy);
        let page_of = secrets.into_iter().skip((page - 1) * PAGE).take(PAGE);
        Shown {
            row: row(context, &policy),
            object: object(context.state, &policy),
            document: policy.document.clone(),
            secrets: page_of.map(|it| guarded_row(context, it)).collect(),
            guards: mark_of_guarded(context.state, &policy),
            page,
            denied_by: of_policy.denied_by,
            remaining_reads: of_policy.remaining_reads,
        }
    }))
}

/// A policy of the vault, by its id alone.
pub(super) fn find<'s>(context: &Context<'s>, manager: &Manager<'_>, id: &str) -> Result<&'s Policy, Refusal> {
    let state = context.state;
    let seen = |it: &&Policy| state.projects.get(&it.project).is_some_and(|it| manager.sees(it));
    state.policies.get(id).filter(seen).ok_or_else(|| not_found("this vault has no policy of that id"))
}

/// What a policy says in words.
pub(super) fn in_words(state: &State, policy: &Policy) -> Vec<String> {
    let who = match (policy.document.co_sign.as_ref().map(|it| &it.approver), co_sign::co_signer(state, policy)) {
        (None, _) => String::new(),
        (Some(_), Some(it)) => it.label(),
        (Some(Approver::Object(key)), None) => format!("Machine {key}, which is not here,"),
        (Some(Approver::Machine(id)), None) => format!("machine {id}, which is not here,"),
    };
    words(&policy.document, &who)
}

/// What the object behind something is called in answers.
pub(in super::super) fn object_label(kind: &str, managed: Option<&Managed>) -> Option<String> {
    managed.map(|it| format!("{kind} {} of cluster {}", it.object.key, it.cluster))
}

pub(super) fn row(context: &Context<'_>, policy: &Policy) -> Row {
    let state = context.state;
    let of_policy = standing::of_policy(context, policy);
    let stands = if policy.withdrawn { Stands::Withdrawn } else { Stands::of(of_policy.window) };
    let project = state.projects.get(&policy.project);
    Row {
        id: policy.id.clone(),
        name: policy.name.clone(),
        description: policy.written.as_ref().and_then(|it| it.description.clone()).unwrap_or_default(),
        project: policy.project.clone(),
        project_name: project.map(|it| it.name.clone()).unwrap_or_default(),
        words: in_words(state, policy),
        secrets: guarded(state, policy).count(),
        stands,
        changes_at: of_policy.window_changes_at.map(Millis).filter(|_| !policy.withdrawn),
        denied_lately: denied_lately(context, policy),
        waiting: usize::try_from(of_policy.pending_co_signs).unwrap_or(usize::MAX),
        revision: policy.revision,
        protected: policy.protected,
        managed_by: object_label("AccessPolicy", policy.managed.as_ref()),
    }
}

pub(super) fn guarded_row(context: &Context<'_>, secret: &Secret) -> Guarded {
    let is_live = |grantee: &&_| context.state.is_granted(grantee, &secret.id, context.now);
    Guarded {
        id: secret.id.clone(),
        label: secret_label(secret),
        managed_by: object_label("Secret", secret.managed.as_ref()),
        readers: context.state.grantees_of(&secret.id).filter(is_live).count(),
        denied_lately: context.ledger.denied_lately(&secret.id, context.now),
    }
}

fn denied_lately(context: &Context<'_>, policy: &Policy) -> u64 {
    guarded(context.state, policy).map(|it| context.ledger.denied_lately(&it.id, context.now)).sum()
}

fn sort(context: &Context<'_>, policies: &mut [&Policy], by: Sort) {
    let state = context.state;
    policies.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    match by {
        Sort::Name => {}
        Sort::Project => {
            policies.sort_by_cached_key(|it| state.projects.get(&it.project).map(|it| it.name.as_str()));
        }
        Sort::Secrets => policies.sort_by_cached_key(|it| std::cmp::Reverse(guarded(state, it).count())),
        Sort::Denials => policies.sort_by_cached_key(|it| std::cmp::Reverse(denied_lately(context, it))),
    }
}
