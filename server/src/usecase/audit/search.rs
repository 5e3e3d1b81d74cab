//! What is looked for in the audit.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId, VaultId};
use sikkerkey_protocol::management::{AuditEntry, AuditQuery, SortBy, SortDir};

use crate::audit::entry::{Action, Actor, Entry};
use crate::audit::view;
use crate::model::millis::Millis;
use crate::refusal::{Refusal, invalid};
use crate::store::{AuditRow, Order, RowFilter};

/// The most rows in a file, and the last row that a page can begin with.
pub const MOST: usize = 10_000;
/// The largest page.
pub const LARGEST_PAGE: u32 = 200;
const USUAL_PAGE: u32 = 50;
/// The longest text that is searched for, in characters.
const LONGEST_TEXT: usize = 200;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    pub(super) filter: RowFilter,
    /// Who asks, and has to take turns with others; none: a person at the server.
    pub(super) asker: Option<String>,
    /// How long one waits for a turn that another question of the same asker has.
    pub(super) patience: Duration,
    /// In small letters of ASCII, as it was typed.
    text: Option<String>,
    pub(super) from: Option<Millis>,
    pub(super) to: Option<Millis>,
    pub(super) before: Option<u64>,
    pub(super) after: Option<u64>,
    pub(super) sort_by: SortBy,
    pub(super) sort_dir: SortDir,
    pub(super) page: u32,
    pub(super) page_size: u32,
}

/// Whom and what rows are about. What is none restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// By whom of a kind.
    pub by: Option<By>,
    /// By one of these.
    pub actors: Option<Vec<Actor>>,
    /// About or by one of these machines.
    pub machines: Option<Vec<MachineId>>,
    /// About one of these secrets.
    pub secrets: Option<Vec<SecretId>>,
}

/// Kinds of those who do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum By {
    Person,
    Administrator,
    Machine,
    Agent,
    System,
    Anonymous,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Person, Self::Administrator, Self::Machine, Self::Agent, Self::System, Self::Anonymous];

    /// With what the JSON of such an actor begins.
    fn beginning(self) -> &'static str {
        match self {
            Self::Person => "{\"Person\":",
            Self::Administrator => "\"Administrator\"",
            Self::Machine => "{\"Machine\":",
            Self::Agent => "{\"Agent\":",
            Self::System => "\"System\"",
            Self::Anonymous => "\"Anonymous\"",
        }
    }
}

impl Search {
    /// Checks a question. `vault` and `projects` are what whoever asks may see.
    pub fn new(query: &AuditQuery, vault: Option<VaultId>, projects: Option<Vec<ProjectId>>) -> Result<Self, Refusal> {
        let page = query.page.unwrap_or(1);
        let page_size = query.page_size.unwrap_or(USUAL_PAGE);
        if page == 0 {
            return Err(invalid("page begins with 1"));
        }
        if page_size == 0 || page_size > LARGEST_PAGE {
            return Err(invalid(format!("pageSize is from 1 to {LARGEST_PAGE}")));
        }
        if u64::from(page).saturating_mul(page_size.into()) > MOST as u64 {
            let text = format!(
                "page {page} lies beyond the first {MOST} rows: narrow what you look for by from and to, or go on with \
                 the next of the answer before"
            );
            return Err(invalid(text));
        }
        if query.from.zip(query.to).is_some_and(|(from, to)| from >= to) {
            return Err(invalid("from lies at or after to: nothing was written between them"));
        }
        if query.before.is_some_and(|it| it <= query.after.unwrap_or(0)) {
            return Err(invalid("before is the number of a row above after, and of 1 at least"));
        }
        let text = query.search.as_deref().filter(|it| !it.is_empty());
        if text.is_some_and(|it| it.chars().count() > LONGEST_TEXT) {
            return Err(invalid(format!("search is at most {LONGEST_TEXT} characters long")));
        }
        let text = text.map(str::to_ascii_lowercase);
        // As it stands in JSON, between its quotation marks.
        let in_json = text.as_ref().and_then(|it| serde_json::to_string(it).ok());
        let in_json = in_json.and_then(|it| Some(it.get(1..it.len().checked_sub(1)?)?.to_owned()));
        let filter = RowFilter {
            vault,
            projects,
            actions: actions(query)?,
            source_ip: query.source_ip,
            text: in_json,
            ..RowFilter::default()
        };
        Ok(Self {
            filter,
            asker: None,
            patience: Duration::ZERO,
            text,
            from: query.from.map(Millis),
            to: query.to.map(Millis),
            before: query.before,
            after: query.after,
            sort_by: query.sort_by.unwrap_or_default(),
            sort_dir: query.sort_dir.unwrap_or_default(),
            page,
            page_size,
        })
    }

    /// The newest rows.
    pub fn newest(count: u32, vault: Option<VaultId>, projects: Option<Vec<ProjectId>>) -> Result<Self, Refusal> {
        Self::new(&AuditQuery { page_size: Some(count), ..AuditQuery::default() }, vault, projects)
    }

    /// The same, asked by somebody who has one question answered at a time.
    #[must_use]
    pub fn asked_by(self, asker: Option<String>) -> Self {
        Self { asker, ..self }
    }

    /// The same, asked by somebody whose questions follow each other while one types: they wait for each other this long.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Only what is about these, and by these.
    #[must_use]
    pub fn about(mut self, about: About) -> Self {
        let About { by, actors, machines, secrets } = about;
        let Self { filter, .. } = &mut self;
        filter.actor_kind = by.map(By::beginning);
        (filter.actors, filter.machines, filter.secrets) = (actors, machines, secrets);
        self
    }

    pub(super) fn order(&self) -> Order {
        match (self.sort_by, self.sort_dir) {
            (SortBy::Timestamp, SortDir::Asc) => Order::OldestFirst,
            _ => Order::NewestFirst,
        }
    }

    /// The row as it is told, if it is one of those.
    pub(super) fn admit(&self, row: &AuditRow) -> Option<AuditEntry> {
        let is_in_time = self.from.is_none_or(|it| row.time >= it) && self.to.is_none_or(|it| row.time < it);
        let entry = view::parse(row).filter(|it| is_in_time && self.has_text(it))?;
        Some(view::tell(row, entry))
    }

    fn has_text(&self, entry: &Entry) -> bool {
        let Some(text) = &self.text else { return true };
        let has = |it: &str| it.to_ascii_lowercase().contains(text.as_str());
        has(&entry.detail)
            || has(&entry.action.name())
            || entry.machine.as_ref().is_some_and(|it| has(it.as_str()))
            || entry.secret.as_ref().is_some_and(|it| has(it.as_str()))
            || entry.project.as_ref().is_some_and(|it| has(it.as_str()))
            || entry.fleet.as_ref().is_some_and(|it| has(it.as_str()))
            || entry.denial.is_some_and(|it| has(it.as_str()))
            || match &entry.actor {
                Actor::Machine(id) => has(id.as_str()),
                Actor::Agent(id) => has(id.as_str()),
                Actor::Person(id) => has(id),
                _ => false,
            }
    }
}

/// The actions that are asked for; none: all.
fn actions(query: &AuditQuery) -> Result<Option<Vec<Action>>, Refusal> {
    let chosen = query.actions.as_deref().filter(|it| !it.is_empty());
    let severities = query.severities.as_deref().filter(|it| !it.is_empty());
    let mut actions = match chosen {
        None => Action::all().to_vec(),
        Some(names) => actions_named(names)?,
    };
    if let Some(severities) = severities {
        actions.retain(|it| severities.contains(&it.severity()));
    }
    Ok((chosen.is_some() || severities.is_some()).then_some(actions))
}

/// The actions of these names.
pub fn actions_named(names: &[String]) -> Result<Vec<Action>, Refusal> {
    let mut actions = Vec::new();
    for name in names {
        let action = Action::named(name).ok_or_else(|| {
            let name: String = name.chars().take(64).collect();
            invalid(format!("{name:?} is no action: GET /v1/ai/audit/actions lists them"))
        })?;
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sikkerkey_protocol::management::Severity;

    use super::*;

    fn refused(query: &AuditQuery) -> String {
        Search::new(query, None, None).map(drop).unwrap_err().message
    }

    #[test]
    fn a_question_that_cannot_be_answered_is_refused_with_what_is_wrong() {
        let it = AuditQuery::default;
        for (query, part) in [
            (AuditQuery { page: Some(0), ..it() }, "page begins with 1"),
            (AuditQuery { page_size: Some(0), ..it() }, "pageSize is from 1 to 200"),
            (AuditQuery { page_size: Some(201), ..it() }, "pageSize is from 1 to 200"),
            (AuditQuery { page: Some(51), page_size: Some(200), ..it() }, "page 51 lies beyond the first 10000 rows"),
            (AuditQuery { page: Some(u32::MAX), ..it() }, "lies beyond the first 10000 rows"),
            (AuditQuery { from: Some(5), to: Some(5), ..it() }, "from lies at or after to"),
            (AuditQuery { before: Some(0), ..it() }, "before is the number"),
            (AuditQuery { before: Some(7), after: Some(7), ..it() }, "before is the number"),
            (AuditQuery { search: Some("x".repeat(201)), ..it() }, "search is at most 200 characters"),
            (
                AuditQuery { actions: Some(vec!["secret_read".into(), "secret_stolen".into()]), ..it() },
                "\"secret_stolen\" is no action: GET /v1/ai/audit/actions lists them",
            ),
        ] {
            let text = refused(&query);
            assert!(text.contains(part), "{query:?}: {text}");
        }
        assert!(Search::new(&AuditQuery { page: Some(50), page_size: Some(200), ..it() }, None, None).is_ok());
    }

    #[test]
    fn the_json_of_every_actor_begins_as_its_kind_says() {
        let (machine, agent) = (uuid::Uuid::nil().to_string(), uuid::Uuid::max().to_string());
        let actors = [
            (By::Person, Actor::Person("p".into())),
            (By::Administrator, Actor::Administrator),
            (By::Machine, Actor::Machine(machine.parse().unwrap())),
            (By::Agent, Actor::Agent(agent.parse().unwrap())),
            (By::System, Actor::System),
            (By::Anonymous, Actor::Anonymous),
        ];
        for (kind, actor) in &actors {
            let json = serde_json::to_string(actor).unwrap();
            for other in By::ALL {
                assert_eq!(json.starts_with(other.beginning()), other == *kind, "{json} {other:?}");
            }
        }
    }

    #[test]
    fn actions_are_those_of_both_lists() {
        let of = |names: &[&str], severities: &[Severity]| {
            let names = (!names.is_empty()).then(|| names.iter().map(|it| (*it).to_owned()).collect());
            let query = AuditQuery { actions: names, severities: Some(severities.to_vec()), ..AuditQuery::default() };
            Search::new(&query, None, None).unwrap().filter.actions
        };
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(&["secret_read", "secret_read"], &[]), Some(vec![Action::SecretRead]));
        let critical = vec![Action::CanaryTriggered, Action::ServerRestore, Action::ProjectUnfreeze];
        assert_eq!(of(&[], &[Severity::Critical]), Some(critical));
        assert_eq!(of(&["secret_read", "secret_delete"], &[Severity::High]), Some(vec![Action::SecretDelete]));
        assert_eq!(of(&["secret_read"], &[Severity::High]), Some(vec![]));
    }

    proptest! {
        #[test]
        fn what_is_searched_for_stands_in_the_row_s_json_as_it_is_looked_for_there(detail in any::<String>(), from in 0usize..20, length in 1usize..20) {
            let text: String = detail.chars().skip(from).take(length).collect();
            prop_assume!(!text.is_empty());
            let mut entry = Entry::new(Action::SecretRead, Actor::System);
            entry.detail = detail;
            let search = Search::new(&AuditQuery { search: Some(text), ..AuditQuery::default() }, None, None).unwrap();
            prop_assert!(search.has_text(&entry));
            let json = serde_json::to_string(&entry).unwrap().to_ascii_lowercase();
            prop_assert!(json.contains(search.filter.text.as_deref().unwrap()));
        }
    }
}
