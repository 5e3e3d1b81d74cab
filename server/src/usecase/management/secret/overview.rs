//! The secrets of a whole vault, for a page: searched, filtered and sorted over references, and told for one page alone.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::FleetId;
use sikkerkey_protocol::management::{Scope, SecretView, VersionOrigin};

use super::{origin_of, view};
use crate::decision::{Context, Decided};
use crate::model::machine::Grantee;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase};
use crate::usecase::management::Manager;
use crate::usecase::management::access::{Named, project_named};
use crate::usecase::rotation::Schedule;
use crate::usecase::steps::Steps;

/// How many stand on a page.
pub const ROWS: usize = 50;
/// The most projects and policies that are offered to choose from; others are typed.
pub const CHOICES: usize = 100;

/// Which secrets are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretsQuery {
    /// In the name, the note or the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Of this project, by id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `none`: without a policy; `any`: with one; `=NAME`: with the policy of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Only of this sort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// In which order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<Sort>,
    /// Which page, from 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
}

/// A sort of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Only {
    /// Those that somebody trips over.
    Canaries,
    /// Those whose next value is due.
    Due,
    /// Those without a value.
    Empty,
    /// Those that wait for a person's word since they were restored.
    Held,
    /// Those that a Kubernetes object stands for.
    Kubernetes,
}

/// An order. The second of each pair is the other way round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Sort {
    #[default]
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "-name")]
    NameDown,
    #[serde(rename = "project")]
    Project,
    #[serde(rename = "-project")]
    ProjectDown,
    #[serde(rename = "due")]
    Due,
    #[serde(rename = "-due")]
    DueDown,
    #[serde(rename = "read")]
    Read,
    #[serde(rename = "-read")]
    ReadDown,
    #[serde(rename = "changed")]
    Changed,
    #[serde(rename = "-changed")]
    ChangedDown,
}

/// A page of the secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// Those on it.
    pub rows: Vec<SecretRow>,
    /// How many there are on all pages.
    pub total: usize,
    /// How many there are, whatever is looked for.
    pub all: usize,
    /// Which page it is.
    pub page: usize,
    /// The first projects, by name.
    pub projects: Vec<Named>,
    /// Whether there are more.
    pub more_projects: bool,
    /// The names of the first policies, in their order.
    pub policies: Vec<String>,
    /// Whether canaries are told.
    pub sees_canaries: bool,
}

/// A secret among others.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretRow {
    /// What everybody is told.
    pub view: SecretView,
    /// Its project's name.
    pub project: String,
    /// Whether every read in its project is refused.
    pub frozen: bool,
    /// Where its value came from.
    pub origin: Option<VersionOrigin>,
    /// Whether it is a canary, and an armed one; none where it is none, or whoever looks may not know.
    pub canary: Option<bool>,
    /// Whether the policy that it names is in force.
    pub policy_in_force: bool,
    /// When its next value is due, whoever makes it, in Unix milliseconds.
    pub due: Option<i64>,
    /// How many machines may read it: those that are granted it and live.
    pub machines: usize,
    /// When it was read last, in Unix milliseconds.
    pub last_read: Option<i64>,
}

/// The secrets of the vault that are looked for.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its query over")]
pub fn overview(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], query: SecretsQuery) -> Decided<Overview> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the secrets".to_owned()));
    let answer = find(context, manager, &query);
    Ok(steps.decide(move |_| answer))
}

fn find(context: &Context<'_>, manager: &Manager<'_>, query: &SecretsQuery) -> Overview {
    let state = context.state;
    let sees_canaries = manager.require(Scope::PoliciesRead).is_ok();
    let projects: HashMap<_, &Project> =
        state.projects.values().filter(|it| manager.sees(it)).map(|it| (&it.id, it)).collect();
    let seen = state.secrets.values().filter(|it| it.phase == SecretPhase::Active);
    let seen: Vec<(&Secret, &Project)> = seen.filter_map(|it| Some((it, *projects.get(&it.project)?))).collect();
    let policies: BTreeSet<&str> = seen.iter().filter_map(|(it, _)| it.policy.as_deref()).collect();
    let all = seen.len();
    let wanted = Wanted::of(query);
    let is_wanted = |(secret, project): &(&Secret, &Project)| {
        wanted.finds(secret, project)
            && match query.only {
                None => true,
                Some(Only::Canaries) => sees_canaries && state.canaries.contains_key(&secret.id),
                Some(Only::Due) => Schedule::of(secret).is_due(context.now),
                Some(Only::Empty) => secret.version == 0,
                Some(Only::Held) => secret.held,
                Some(Only::Kubernetes) => secret.managed.is_some(),
            }
    };
    let mut found: Vec<_> = seen.into_iter().filter(is_wanted).collect();
    sort(context, &mut found, query.sort.unwrap_or_default());
    let total = found.len();
    let page = query.page.unwrap_or(1).clamp(1, total.div_ceil(ROWS).max(1));
    let mut counter = Counter { context, fleets: HashMap::new() };
    let rows = found.into_iter().skip((page - 1).saturating_mul(ROWS)).take(ROWS);
    let rows = rows.map(|(secret, project)| row(context, secret, project, sees_canaries, &mut counter)).collect();
    let mut choices: Vec<Named> = projects.into_values().map(project_named).collect();
    choices.sort_unstable();
    let more_projects = choices.len() > CHOICES;
    choices.truncate(CHOICES);
    Overview {
        rows,
        total,
        all,
        page,
        projects: choices,
        more_projects,
        policies: policies.into_iter().take(CHOICES).map(str::to_owned).collect(),
        sees_canaries,
    }
}

/// What is typed, made ready once for all.
struct Wanted<'q> {
    text: String,
    project: Option<&'q str>,
    policy: PolicyOf<'q>,
}

enum PolicyOf<'q> {
    Whatever,
    None,
    Any,
    Named(&'q str),
}

impl<'q> Wanted<'q> {
    fn of(query: &'q SecretsQuery) -> Self {
        let policy = match query.policy.as_deref() {
            None => PolicyOf::Whatever,
            Some("none") => PolicyOf::None,
            Some("any") => PolicyOf::Any,
            Some(it) => PolicyOf::Named(it.strip_prefix('=').unwrap_or(it)),
        };
        let text = query.q.as_deref().unwrap_or_default().trim().to_lowercase();
        Self { text, project: query.project.as_deref(), policy }
    }

    fn finds(&self, secret: &Secret, project: &Project) -> bool {
        let has = |it: &str| it.to_lowercase().contains(&self.text);
        let is_of_policy = match (&self.policy, &secret.policy) {
            (PolicyOf::Whatever, _) | (PolicyOf::None, None) | (PolicyOf::Any, Some(_)) => true,
            (PolicyOf::Named(name), Some(it)) => it == name,
            _ => false,
        };
        is_of_policy
            && self.project.is_none_or(|it| project.id.as_str() == it || project.name == it)
            && (self.text.is_empty()
                || has(&secret.name)
                || secret.note.as_deref().is_some_and(has)
                || secret.id.as_str().to_lowercase() == self.text)
    }
}

fn sort(context: &Context<'_>, found: &mut [(&Secret, &Project)], by: Sort) {
    let name =
        |secret: &Secret, project: &Project| (secret.name.to_lowercase(), project.name.clone(), secret.id.clone());
    let due = |it: &Secret| Schedule::of(it).next.map_or(i64::MAX, |it| it.0);
    let read = |it: &Secret| context.ledger.last_read_of(&it.id);
    let changed = |it: &Secret| it.history.updated_at.or(it.version_time);
    match by {
        Sort::Name => found.sort_by_cached_key(|(it, project)| name(it, project)),
        Sort::NameDown => found.sort_by_cached_key(|(it, project)| Reverse(name(it, project))),
        Sort::Project => found.sort_by_cached_key(|(it, project)| (project.name.clone(), name(it, project))),
        Sort::ProjectDown => {
            found.sort_by_cached_key(|(it, project)| (Reverse(project.name.clone()), name(it, project)));
        }
        Sort::Due => found.sort_by_cached_key(|(it, project)| (due(it), name(it, project))),
        // Those that are never due stay behind.
        Sort::DueDown => found.sort_by_cached_key(|(it, project)| {
            let due = Schedule::of(it).next;
            (due.is_none(), Reverse(due), name(it, project))
        }),
        Sort::Read => found.sort_by_cached_key(|(it, project)| (read(it), name(it, project))),
        Sort::ReadDown => found.sort_by_cached_key(|(it, project)| (Reverse(read(it)), name(it, project))),
        Sort::Changed => found.sort_by_cached_key(|(it, project)| (changed(it), name(it, project))),
        Sort::ChangedDown => found.sort_by_cached_key(|(it, project)| (Reverse(changed(it)), name(it, project))),
    }
}

fn row(
    context: &Context<'_>,
    secret: &Secret,
    project: &Project,
    sees_canaries: bool,
    counter: &mut Counter<'_>,
) -> SecretRow {
    let state = context.state;
    let canary = state.canaries.get(&secret.id).filter(|_| sees_canaries).map(|it| it.armed);
    SecretRow {
        view: view(state, secret),
        project: project.name.clone(),
        frozen: project.frozen,
        origin: secret.origin.as_ref().map(origin_of),
        canary,
        policy_in_force: secret.policy.as_ref().is_none_or(|it| state.policy_in_force(&project.id, it).is_some()),
        due: Schedule::of(secret).next.map(|it| it.0),
        machines: counter.machines(secret),
        last_read: context.ledger.last_read_of(&secret.id),
    }
}

/// Counts machines. The same fleets read most of the secrets of a page.
struct Counter<'a> {
    context: &'a Context<'a>,
    fleets: HashMap<FleetId, usize>,
}

impl Counter<'_> {
    fn machines(&mut self, secret: &Secret) -> usize {
        let Self { context, fleets } = self;
        let (state, now) = (context.state, context.now);
        let grantees = state.grantees_of(&secret.id).filter(|it| state.is_granted(it, &secret.id, context.now));
        let count = grantees.map(|it| match it {
            Grantee::Machine(id) => {
                let machine = state.machines.get(id).filter(|it| state.may_be_granted(it, &secret.project));
                usize::from(machine.is_some_and(|it| it.is_live(now)))
            }
            Grantee::Fleet(id) => {
                *fleets.entry(id.clone()).or_insert_with(|| state.machines_in(id).filter(|it| it.is_live(now)).count())
            }
        });
        count.sum()
    }
}

#[cfg(test)]
mod tests;
