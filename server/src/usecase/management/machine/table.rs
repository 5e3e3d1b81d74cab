//! The machines of a vault as a page shows them: found, sorted, and a part of them at a time.
//!
//! There may be ten thousand. So they are filtered and sorted as they lie in memory, by the one thing that is sorted by, and
//! only the rows of one page are made.

mod finder;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{FleetId, ProjectId};
use sikkerkey_protocol::management::{MachineRow, PodView, SortDirection};

use self::finder::{Finder, Item, projects_of};
use super::super::Manager;
use super::super::whole_vault::Sight;
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::model::millis::Millis;
use crate::usecase::machine::Found;
use crate::usecase::machine::status::{self, Sort, Status};
use crate::usecase::machine::view::{Viewer, pod_view};
use crate::usecase::steps::Steps;

/// Rows of one page.
pub const PAGE_SIZE: usize = 50;
/// Projects that can be chosen among.
const CHOICES: usize = 200;

/// What is looked for, as it stands in an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// A part of the name, host name, id, address, pod, namespace, node or fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Only those that stand like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only those of this sort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Sort>,
    /// Only those of this project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// Only those of this fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetId>,
    /// What it is sorted by; none: by name, and what waits for approval first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<Column>,
    /// In which direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<SortDirection>,
    /// Which page, from 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
}

/// What can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    /// The name.
    Name,
    /// How it stands.
    Status,
    /// The sort.
    Kind,
    /// The address.
    Address,
    /// How many secrets it is granted.
    Secrets,
    /// When it was seen last.
    LastSeen,
    /// The project.
    Project,
    /// The node, and the pod there.
    Node,
}

/// A question, and what whoever asks may see.
pub struct Question {
    sight: Sight,
    wanted: Wanted,
}

/// A page of machines.
#[derive(Debug)]
pub struct Table {
    /// Its rows.
    pub rows: Vec<TableRow>,
    /// How many were found.
    pub total: usize,
    /// How many there are.
    pub all: usize,
    /// How many wait for approval.
    pub waiting: usize,
    /// Which page.
    pub page: usize,
    /// The projects to choose among, by name: the first 200, and the one that is chosen.
    pub projects: Vec<(ProjectId, String)>,
    /// What the fleet is called whose machines alone are looked for.
    pub fleet: Option<String>,
}

/// A row.
#[derive(Debug)]
pub struct TableRow {
    /// What an agent is told.
    pub row: MachineRow,
    /// How it stands.
    pub status: Status,
    /// Of which sort it is.
    pub sort: Sort,
    /// Whether it is approved or denied by its own id, and that was not done yet.
    pub waits: bool,
    /// Until when it is shut out from somewhere; Unix milliseconds.
    pub locked_until: Option<i64>,
    /// The projects that it has to do with, by name.
    pub projects: Vec<String>,
    /// Of a pod: where it runs.
    pub pod: Option<PodView>,
}

/// Until when machines are shut out from somewhere, by their ids.
pub type Locks = HashMap<String, Millis>;

/// Looks for machines. What is found is told by [`find`].
pub fn query(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], wanted: Wanted) -> Decided<Question> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the machines".to_owned()));
    let question = Question { sight: manager.sight(), wanted };
    Ok(steps.decide(move |_| question))
}

/// Finds what [`query`] looks for.
#[expect(clippy::needless_pass_by_value, reason = "a question is asked once")]
pub fn find(app: &App, question: Question) -> Table {
    let locks = app.lockout.signers(app.clock.now());
    let world = app.live.read();
    table(&app.context(&world), &locks, &question)
}

fn table(context: &Context<'_>, locks: &Locks, question: &Question) -> Table {
    let Question { sight, wanted } = question;
    let state = context.state;
    let machines = state.machines.values().map(|it| Found::Machine(it));
    let seen = machines.chain(state.fleets.values().map(Found::Fleet)).filter(|it| sight.sees_machine(state, *it));
    let (mut all, mut waiting) = (0, 0);
    let finder = Finder::new(context, sight, locks, wanted);
    let mut found: Vec<Item<'_>> = Vec::new();
    for it in seen {
        all += 1;
        waiting += usize::from(status::waits(it));
        if finder.finds(it) {
            found.push(finder.item(it));
        }
    }
    let is_down = wanted.order == Some(SortDirection::Desc);
    found.sort_unstable_by(|a, b| {
        let by = if is_down { b.key.cmp(&a.key) } else { a.key.cmp(&b.key) };
        by.then_with(|| a.name.cmp(&b.name)).then_with(|| a.id.cmp(b.id))
    });
    let total = found.len();
    let page = wanted.page.unwrap_or(1).clamp(1, total.div_ceil(PAGE_SIZE).max(1));
    let part = found.iter().skip((page - 1).saturating_mul(PAGE_SIZE)).take(PAGE_SIZE);
    let rows = part.map(|it| row(context, sight, locks, it.found)).collect();
    let projects = choices(context, sight, wanted.project.as_ref());
    let fleet = wanted.fleet.as_ref().and_then(|it| state.fleets.get(it));
    let fleet = fleet.filter(|it| sight.sees_machine(state, Found::Fleet(it)));
    let fleet = fleet.map(|it| it.managed.object.key.to_string());
    Table { rows, total, all, waiting, page, projects, fleet }
}

/// One row.
pub(super) fn row(context: &Context<'_>, sight: &Sight, locks: &Locks, found: Found<'_>) -> TableRow {
    let state = context.state;
    let viewer = Viewer { state, ledger: context.ledger, sees: |id: &ProjectId| sight.sees(id) };
    let row = match found {
        Found::Machine(it) => viewer.row(it),
        Found::Fleet(it) => viewer.fleet_row(it),
    };
    let locked_until = locks.get(&row.id).map(|it| it.0);
    let mut projects: Vec<String> = projects_of(context, found)
        .filter(|it| sight.sees(it))
        .filter_map(|it| state.projects.get(it))
        .map(|it| it.name.clone())
        .collect();
    projects.sort_unstable();
    TableRow {
        status: status::of(state, found, context.now, locked_until.is_some()),
        sort: Sort::of(found),
        waits: status::waits(found),
        locked_until,
        projects,
        pod: match found {
            Found::Machine(it) => it.pod.as_ref().map(pod_view),
            Found::Fleet(_) => None,
        },
        row,
    }
}

fn choices(context: &Context<'_>, sight: &Sight, chosen: Option<&ProjectId>) -> Vec<(ProjectId, String)> {
    let seen = context.state.projects.values().filter(|it| sight.has(it));
    let mut projects: Vec<_> = seen.map(|it| (&it.name, &it.id)).collect();
    projects.sort_unstable();
    let kept = projects.iter().enumerate().filter(|(index, (_, id))| *index < CHOICES || Some(*id) == chosen);
    kept.map(|(_, (name, id))| ((*id).clone(), (*name).clone())).collect()
}

#[cfg(test)]
mod tests;
