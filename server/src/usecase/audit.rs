//! Looking through the audit, beside the writer.
//!
//! The table has no index but the number of its rows: it is written with every read, and nothing else is looked up in it.
//! So a question is answered by walking from one row to the next, and an answer says how far it went: what one answer may
//! look through is bounded, whatever the table has grown to. An instant becomes the number of a row by halving.

use sikkerkey_protocol::id::{ProjectId, VaultId};
use sikkerkey_protocol::management::{AuditEntry, AuditPage, AuditQuery, Next, SortBy, SortDir};

use super::archive;
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::audit::view;
use crate::model::millis::Millis;
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::store::{AuditRow, Order, RowFilter, StoreError};
use crate::turns::{NoTurn, Turn};

/// Rows that are looked through in one statement. Others who look at the audit wait for no more.
const STRETCH: u64 = 20_000;
/// Rows that one statement answers.
const FETCHED: usize = 2_000;
const FEWEST: usize = 256;
/// Rows that are looked through for a page.
pub const LOOKED_AT: u64 = 200_000;
/// Rows that are looked through for what an agent did last: whoever has no scope at all may ask for that.
pub const OWN_LOOKED_AT: u64 = 5_000;
/// Rows that are looked through for a file.
pub const EXPORT_LOOKED_AT: u64 = 1_000_000;
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
    filter: RowFilter,
    /// Who asks, and has to take turns with others; none: a person at the server.
    asker: Option<String>,
    /// In small letters of ASCII, as it was typed.
    text: Option<String>,
    from: Option<Millis>,
    to: Option<Millis>,
    before: Option<u64>,
    after: Option<u64>,
    sort_by: SortBy,
    sort_dir: SortDir,
    page: u32,
    page_size: u32,
}

/// What one answer may take.
#[derive(Clone, Copy, Debug)]
struct Bound {
    /// Rows that are looked through.
    rows: u64,
    /// Rows that are found.
    found: usize,
}

/// What was found.
struct Found {
    entries: Vec<AuditEntry>,
    looked_at: u64,
    /// Whether all that was asked about was looked through.
    is_whole: bool,
    /// Where to go on.
    next: Option<Next>,
    /// Whether it ended because there was more to look through than one answer may.
    is_cut: bool,
}

/// Between which rows it is looked: after the first, up to the second.
#[derive(Clone, Copy, Debug)]
struct Range {
    lower: u64,
    upper: u64,
    head: u64,
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
        let filter = RowFilter { vault, projects, actions: actions(query)?, source_ip: query.source_ip, text: in_json };
        Ok(Self {
            filter,
            asker: None,
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

    fn order(&self) -> Order {
        match (self.sort_by, self.sort_dir) {
            (SortBy::Timestamp, SortDir::Asc) => Order::OldestFirst,
            _ => Order::NewestFirst,
        }
    }

    /// The row as it is told, if it is one of those.
    fn admit(&self, row: &AuditRow) -> Option<AuditEntry> {
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

/// A page of rows.
pub async fn page(app: &App, search: &Search) -> Result<AuditPage, Refusal> {
    page_within(app, search, LOOKED_AT).await
}

/// A page of rows, for which no more than that many are looked through.
pub async fn page_within(app: &App, search: &Search, rows: u64) -> Result<AuditPage, Refusal> {
    let _turn = turn(app, search)?;
    let range = range(app, search).await.map_err(|error| away(&error))?;
    let size = usize::try_from(search.page_size).unwrap_or(usize::MAX);
    let skipped = size.saturating_mul(usize::try_from(search.page.saturating_sub(1)).unwrap_or(usize::MAX));
    let is_by_time = search.sort_by == SortBy::Timestamp;
    // One more than is shown tells whether there are more.
    let found = if is_by_time { skipped.saturating_add(size).saturating_add(1) } else { MOST };
    let found = walk(app, search, range, Bound { rows, found }).await.map_err(|error| away(&error))?;
    let looked_back_to = edge(app, &found).await.map_err(|error| away(&error))?;
    let mut entries = found.entries;
    if !is_by_time {
        sort(&mut entries, search.sort_by, search.sort_dir);
    }
    let total = found.is_whole.then_some(entries.len() as u64);
    let mut entries: Vec<AuditEntry> = entries.into_iter().skip(skipped).collect();
    let has_more = entries.len() > size;
    entries.truncate(size);
    let last = entries.last().filter(|_| has_more && is_by_time).map(|it| it.id);
    let next = last.map(|id| match search.order() {
        Order::NewestFirst => Next::Before(id),
        Order::OldestFirst => Next::After(id),
    });
    Ok(AuditPage {
        entries,
        page: search.page,
        page_size: search.page_size,
        has_more,
        total,
        as_of: range.head,
        looked_at: found.looked_at,
        looked_back_to,
        // On a page by something else the rest of this answer's own pages comes first.
        next: next.or(found.next.filter(|_| !has_more)),
    })
}

/// Rows for a file, how far it was looked, and where to go on.
pub async fn export(app: &App, search: &Search) -> Result<AuditPage, Refusal> {
    let _turn = turn(app, search)?;
    let range = range(app, search).await.map_err(|error| away(&error))?;
    let bound = Bound { rows: EXPORT_LOOKED_AT, found: MOST };
    let found = walk(app, search, range, bound).await.map_err(|error| away(&error))?;
    let looked_back_to = edge(app, &found).await.map_err(|error| away(&error))?;
    let mut entries = found.entries;
    if search.sort_by != SortBy::Timestamp {
        sort(&mut entries, search.sort_by, search.sort_dir);
    }
    Ok(AuditPage {
        page: 1,
        page_size: u32::try_from(MOST).unwrap_or(u32::MAX),
        has_more: !found.is_whole,
        total: found.is_whole.then_some(entries.len() as u64),
        entries,
        as_of: range.head,
        looked_at: found.looked_at,
        looked_back_to,
        next: found.next,
    })
}

/// The newest rows, the newest first.
pub async fn recent(app: &App, search: &Search) -> Result<Vec<AuditEntry>, Refusal> {
    page(app, search).await.map(|it| it.entries)
}

/// The newest rows about whoever asks, the newest first.
pub async fn own(app: &App, search: &Search) -> Result<Vec<AuditEntry>, Refusal> {
    page_within(app, search, OWN_LOOKED_AT).await.map(|it| it.entries)
}

/// Nothing is looked through without a turn: whoever waited for one would keep what is found for him meanwhile.
fn turn<'a>(app: &'a App, search: &Search) -> Result<Option<Turn<'a>>, Refusal> {
    let turn = search.asker.as_deref().map(|it| app.questions.take(it)).transpose();
    turn.map_err(|why| {
        let (text, seconds) = match why {
            NoTurn::HasOne => (
                "the audit is being looked through for you already: wait for that answer, and ask one question at a time",
                1,
            ),
            NoTurn::AllTaken => ("the audit is being looked through for others: try again in some seconds", 3),
        };
        let mut refusal = Refusal::new(RefusalKind::TooMany, text);
        refusal.retry_after_seconds = Some(seconds);
        refusal
    })
}

/// Between which rows what is looked for stands.
async fn range(app: &App, search: &Search) -> Result<Range, StoreError> {
    let known = archive::known(app).await?;
    let (mut lower, mut upper) = (known.base.seq, known.head.seq);
    if let Some(from) = search.from {
        lower = lower.max(archive::first_at(app, &known, from).await?.saturating_sub(1));
    }
    if let Some(to) = search.to {
        upper = upper.min(archive::first_at(app, &known, to).await?.saturating_sub(1));
    }
    lower = lower.max(search.after.unwrap_or(0));
    if let Some(before) = search.before {
        upper = upper.min(before.saturating_sub(1));
    }
    Ok(Range { lower, upper, head: known.head.seq })
}

async fn walk(app: &App, search: &Search, range: Range, bound: Bound) -> Result<Found, StoreError> {
    let order = search.order();
    let Range { mut lower, mut upper, .. } = range;
    let (mut entries, mut looked_at) = (Vec::new(), 0);
    while lower < upper && looked_at < bound.rows && entries.len() < bound.found {
        let length = STRETCH.min(bound.rows - looked_at).min(upper - lower);
        let stretch = match order {
            Order::NewestFirst => (upper - length, upper),
            Order::OldestFirst => (lower, lower + length),
        };
        // More than are wanted: of those that the database finds some may have what is searched for elsewhere.
        let limit = FETCHED.min(bound.found - entries.len()).max(FEWEST);
        let rows =
            app.records.matching(&search.filter, stretch, order, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
        entries.extend(rows.iter().filter_map(|it| search.admit(it)));
        // As many as were to be had: behind the last one there may be more of them.
        let last = rows.last().filter(|_| rows.len() >= limit).map(|it| it.seq);
        match order {
            Order::NewestFirst => {
                let to = last.map_or(stretch.0, |seq| seq.saturating_sub(1));
                looked_at += upper - to;
                upper = to;
            }
            Order::OldestFirst => {
                let to = last.unwrap_or(stretch.1);
                looked_at += to - lower;
                lower = to;
            }
        }
    }
    let is_too_much = entries.len() > bound.found;
    entries.truncate(bound.found);
    let is_whole = lower >= upper && !is_too_much;
    let last = entries.last().filter(|_| is_too_much).map(|it| it.id);
    let next = match order {
        Order::NewestFirst => Next::Before(last.unwrap_or(upper + 1)),
        Order::OldestFirst => Next::After(last.unwrap_or(lower)),
    };
    let is_cut = !is_whole && entries.len() < bound.found;
    Ok(Found { entries, looked_at, is_whole, next: (!is_whole).then_some(next), is_cut })
}

/// When the row was written at which the look ended, where it ended too early.
async fn edge(app: &App, found: &Found) -> Result<Option<i64>, StoreError> {
    let Some(Next::Before(seq) | Next::After(seq)) = found.next.filter(|_| found.is_cut) else { return Ok(None) };
    let row = app.records.after(seq.saturating_sub(1), 1).await?;
    Ok(row.first().map(|it| it.time.0))
}

/// By something else than the time; of equal ones the newest comes first.
fn sort(entries: &mut [AuditEntry], by: SortBy, direction: SortDir) {
    entries.sort_by(|a, b| {
        let order = match by {
            SortBy::Timestamp => a.id.cmp(&b.id),
            SortBy::Action => a.action.cmp(&b.action),
            SortBy::Severity => a.severity.cmp(&b.severity),
            SortBy::SourceIp => a.source_ip.cmp(&b.source_ip),
        };
        let order = if direction == SortDir::Desc { order.reverse() } else { order };
        order.then_with(|| b.id.cmp(&a.id))
    });
}

/// The audit cannot be looked at.
pub(crate) fn away(error: &StoreError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "the audit cannot be read");
    Refusal::new(RefusalKind::Unavailable, "the audit cannot be read at the moment: try again")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sikkerkey_protocol::management::Severity;

    use super::*;
    use crate::crypto::root_key::Source;
    use crate::decision::Decision;
    use crate::engine::{DataPlace, Engine, Options};
    use crate::writer::ChangeRequest;

    async fn engine(data: &tempfile::TempDir) -> Engine {
        let place = DataPlace::Directory(data.path().join("data"));
        let public_url = "https://sikkerkey.example.com".into();
        Engine::open(Options { public_url, ..Options::new(place, Source::Beside) }).await.unwrap()
    }

    fn asked_by(who: &str) -> Search {
        Search::newest(20, None, None).unwrap().asked_by(Some(who.into()))
    }

    #[tokio::test]
    async fn whoever_asks_has_one_question_answered_at_a_time_and_a_few_have_in_all() {
        let data = tempfile::tempdir().unwrap();
        let engine = engine(&data).await;
        let app = &engine.app;
        let refused = |it: Result<AuditPage, Refusal>| {
            let refusal = it.unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::TooMany);
            (refusal.message, refusal.retry_after_seconds)
        };
        let first = app.questions.take("a").unwrap();
        let own =
            "the audit is being looked through for you already: wait for that answer, and ask one question at a time";
        for answer in [page(app, &asked_by("a")).await, export(app, &asked_by("a")).await] {
            assert_eq!(refused(answer), (own.into(), Some(1)));
        }
        assert_eq!(super::own(app, &asked_by("a")).await.unwrap_err().kind, RefusalKind::TooMany);
        assert!(page(app, &asked_by("b")).await.is_ok() && export(app, &asked_by("b")).await.is_ok());
        let others: Vec<_> = ["b", "c", "d"].iter().map(|it| app.questions.take(it).unwrap()).collect();
        let text = "the audit is being looked through for others: try again in some seconds";
        assert_eq!(refused(page(app, &asked_by("e")).await), (text.into(), Some(3)));
        // A person at the server waits for none of them.
        assert!(page(app, &Search::newest(20, None, None).unwrap()).await.is_ok());
        drop((first, others));
        assert!(page(app, &asked_by("a")).await.is_ok());
    }

    #[tokio::test]
    async fn what_an_agent_did_last_is_looked_for_among_the_last_rows_alone() {
        let data = tempfile::tempdir().unwrap();
        let engine = engine(&data).await;
        let app = &engine.app;
        let write = async |details: Vec<&'static str>| {
            let row = |it: &str| Entry { detail: it.into(), ..Entry::new(Action::SecretDelete, Actor::System) };
            let audit = details.into_iter().map(row).collect();
            let decide = Box::new(move |_: &crate::decision::Context<'_>| {
                Ok(Decision { changes: vec![], audit, answer: Box::new(|_| ()) })
            });
            let request = ChangeRequest { spend: None, actor: Actor::System, source_ip: None, what: "test", decide };
            app.writer.change(request).await.unwrap();
        };
        write(vec!["of the agent"]).await;
        write(vec!["of another"; 4_999]).await;
        let query = AuditQuery { search: Some("of the agent".into()), ..AuditQuery::default() };
        let search = Search::new(&query, None, None).unwrap();
        assert_eq!(own(app, &search).await.unwrap().len(), 1);
        write(vec!["of another"]).await;
        assert_eq!(own(app, &search).await.unwrap().len(), 0);
        assert_eq!(page(app, &search).await.unwrap().entries.len(), 1);
    }

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

    #[test]
    fn what_is_equal_stays_with_the_newest_first() {
        let entry = |id: u64, name: &str| {
            let row = AuditRow {
                seq: id,
                time: Millis(0),
                entry: format!("{{\"action\":\"{name}\",\"actor\":\"System\"}}"),
                hash: [0; 32],
            };
            view::tell(&row, view::parse(&row).unwrap())
        };
        let mut entries = vec![entry(1, "secret_read"), entry(2, "pod_gone"), entry(3, "secret_read")];
        sort(&mut entries, SortBy::Action, SortDir::Desc);
        assert_eq!(entries.iter().map(|it| it.id).collect::<Vec<_>>(), [3, 1, 2]);
        sort(&mut entries, SortBy::Action, SortDir::Asc);
        assert_eq!(entries.iter().map(|it| it.id).collect::<Vec<_>>(), [2, 3, 1]);
        assert!(view::parse(&AuditRow { entry: "{}".into(), seq: 1, time: Millis(0), hash: [0; 32] }).is_none());
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
