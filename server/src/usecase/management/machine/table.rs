//! The machines of a vault as a page shows them: found, sorted, and a part of them at a time.
//!
//! There may be ten thousand. So they are filtered and sorted as they lie in memory, by the one thing that is sorted by, and
//! only the rows of one page are made.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{FleetId, ProjectId};
use sikkerkey_protocol::management::{MachineRow, PodView, SortDirection};

use super::super::Manager;
use super::super::whole_vault::Sight;
use crate::app::App;
use crate::decision::{Context, Decided};
use crate::model::machine::{Grantee, Machine};
use crate::model::millis::Millis;
use crate::model::secret::SecretPhase;
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
    let finder = Finder { context, sight, locks, wanted, text: wanted.q.as_deref().and_then(Text::of) };
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

/// The projects that a machine has to do with.
fn projects_of<'a>(context: &Context<'a>, found: Found<'a>) -> Box<dyn Iterator<Item = &'a ProjectId> + 'a> {
    match found {
        Found::Fleet(it) => Box::new(std::iter::once(&it.project)),
        Found::Machine(Machine { fleet: Some(id), .. }) => {
            Box::new(context.state.fleets.get(id).map(|it| &it.project).into_iter())
        }
        Found::Machine(it) => Box::new(context.state.memberships_of(&it.id).map(|it| &it.project)),
    }
}

fn choices(context: &Context<'_>, sight: &Sight, chosen: Option<&ProjectId>) -> Vec<(ProjectId, String)> {
    let seen = context.state.projects.values().filter(|it| sight.has(it));
    let mut projects: Vec<_> = seen.map(|it| (&it.name, &it.id)).collect();
    projects.sort_unstable();
    let kept = projects.iter().enumerate().filter(|(index, (_, id))| *index < CHOICES || Some(*id) == chosen);
    kept.map(|(_, (name, id))| ((*id).clone(), (*name).clone())).collect()
}

/// One that was found, and what it is sorted by.
struct Item<'a> {
    found: Found<'a>,
    key: Key<'a>,
    name: Cow<'a, str>,
    id: &'a str,
}

/// What something is sorted by. All keys of one list are of one kind.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    /// By name.
    Nothing,
    /// What waits comes first, and of that the oldest.
    Waits(bool, i64),
    Text(Cow<'a, str>),
    Texts(Option<(&'a str, &'a str)>),
    Number(i64),
    Address(Option<IpAddr>),
    Status(Status),
    Sort(Sort),
}

/// Whether a machine is looked for, and what it is sorted by.
struct Finder<'a, 'w> {
    context: &'w Context<'a>,
    sight: &'w Sight,
    locks: &'w Locks,
    wanted: &'w Wanted,
    text: Option<Text>,
}

/// A text that is looked for.
struct Text {
    small: String,
    /// Whether an address can have it in itself.
    in_address: bool,
    /// The part of a fingerprint that it would be.
    in_fingerprint: Option<String>,
}

impl Text {
    fn of(text: &str) -> Option<Self> {
        let small = text.trim().to_lowercase();
        let in_address = small.bytes().all(|b| b.is_ascii_hexdigit() || b == b'.' || b == b':');
        let digits = small.strip_prefix("sha256:").unwrap_or(&small);
        let is_part = digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let in_fingerprint = is_part.then(|| digits.to_owned());
        (!small.is_empty()).then_some(Self { small, in_address, in_fingerprint })
    }

    /// Whether a text has it in itself, in letters of either case.
    fn is_in(&self, text: &str) -> bool {
        if !text.is_ascii() {
            return text.to_lowercase().contains(&self.small);
        }
        text.as_bytes().windows(self.small.len()).any(|it| it.eq_ignore_ascii_case(self.small.as_bytes()))
    }
}

impl<'a> Finder<'a, '_> {
    fn finds(&self, found: Found<'a>) -> bool {
        let Wanted { status, kind, project, fleet, .. } = self.wanted;
        kind.is_none_or(|it| it == Sort::of(found))
            && status.is_none_or(|it| it == self.status(found))
            && fleet
                .as_ref()
                .is_none_or(|it| matches!(found, Found::Machine(machine) if machine.fleet.as_ref() == Some(it)))
            && project.as_ref().is_none_or(|it| projects_of(self.context, found).any(|of| of == it))
            && self.text.as_ref().is_none_or(|it| self.has(found, it))
    }

    fn status(&self, found: Found<'a>) -> Status {
        let is_locked = !self.locks.is_empty() && self.locks.contains_key(id_of(found));
        status::of(self.context.state, found, self.context.now, is_locked)
    }

    fn has(&self, found: Found<'a>, text: &Text) -> bool {
        if text.is_in(id_of(found)) || text.is_in(&name_of(found)) {
            return true;
        }
        let Found::Machine(machine) = found else { return false };
        machine.hostname.as_ref().is_some_and(|it| text.is_in(it))
            || machine.pod.as_ref().is_some_and(|it| {
                [&*it.pod.name, &*it.pod.namespace, &*it.pod.node, &*it.cluster].iter().any(|it| text.is_in(it))
            })
            || (text.in_address && self.address(found).is_some_and(|it| text.is_in(&it.to_string())))
            || text.in_fingerprint.as_ref().is_some_and(|it| {
                let fingerprint = machine.public_key.fingerprint();
                fingerprint.trim_start_matches("SHA256:").contains(it.as_str())
            })
    }

    fn item(&self, found: Found<'a>) -> Item<'a> {
        let ledger = self.context.ledger;
        let key = match self.wanted.sort {
            None => {
                let since = match found {
                    Found::Machine(it) => it.created_at.0,
                    Found::Fleet(_) => 0,
                };
                if status::waits(found) { Key::Waits(false, since) } else { Key::Waits(true, 0) }
            }
            Some(Column::Name) => Key::Text(small(name_of(found))),
            Some(Column::Status) => Key::Status(self.status(found)),
            Some(Column::Kind) => Key::Sort(Sort::of(found)),
            Some(Column::Address) => Key::Address(self.address(found)),
            Some(Column::Secrets) => Key::Number(i64::try_from(self.secrets(found)).unwrap_or(i64::MAX)),
            Some(Column::LastSeen) => {
                let at = match found {
                    Found::Machine(it) => ledger.seen(&it.id).map(|it| it.at.0),
                    Found::Fleet(it) => {
                        let machines = self.context.state.machines_in(&it.id);
                        machines.filter_map(|it| ledger.seen(&it.id)).map(|it| it.at.0).max()
                    }
                };
                Key::Number(at.unwrap_or(i64::MIN))
            }
            Some(Column::Project) => {
                let names = projects_of(self.context, found).filter_map(|it| self.context.state.projects.get(it));
                let first = names.map(|it| it.name.as_str()).min();
                first.map_or(Key::Nothing, |it| Key::Text(small(Cow::Borrowed(it))))
            }
            Some(Column::Node) => {
                let pod = match found {
                    Found::Machine(it) => it.pod.as_ref(),
                    Found::Fleet(_) => None,
                };
                Key::Texts(pod.map(|it| (&*it.pod.node, &*it.pod.name)))
            }
        };
        Item { found, key, name: name_of(found), id: id_of(found) }
    }

    fn address(&self, found: Found<'a>) -> Option<IpAddr> {
        let ledger = self.context.ledger;
        match found {
            Found::Machine(it) => {
                let contact = || Some(it.host.as_ref()?.first_contact.as_ref()?.address);
                ledger.seen(&it.id).and_then(|it| it.address).or_else(contact)
            }
            Found::Fleet(it) => {
                let machines = self.context.state.machines_in(&it.id);
                machines.filter_map(|it| ledger.seen(&it.id)).max_by_key(|it| it.at)?.address
            }
        }
    }

    fn secrets(&self, found: Found<'a>) -> usize {
        let grantee = match found {
            Found::Machine(it) => it.grantee(),
            Found::Fleet(it) => Grantee::Fleet(it.id.clone()),
        };
        let secrets = self.context.state.secrets_granted_to(&grantee);
        secrets.filter(|it| it.phase == SecretPhase::Active && self.sight.sees(&it.project)).count()
    }
}

fn small(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) { text.to_lowercase().into() } else { text }
}

fn name_of(found: Found<'_>) -> Cow<'_, str> {
    match found {
        Found::Machine(it) => it.name.as_str().into(),
        Found::Fleet(it) => it.managed.object.key.to_string().into(),
    }
}

fn id_of(found: Found<'_>) -> &str {
    match found {
        Found::Machine(it) => it.id.as_str(),
        Found::Fleet(it) => it.id.as_str(),
    }
}

#[cfg(test)]
mod tests;
