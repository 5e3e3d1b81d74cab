//! Looking through the audit, beside the writer.
//!
//! The table has no index but the number of its rows: it is written with every read, and nothing else is looked up in it.
//! So a question is answered by walking from one row to the next, and an answer says how far it went: what one answer may
//! look through is bounded, whatever the table has grown to. An instant becomes the number of a row by halving.

mod export;
mod search;

use sikkerkey_protocol::management::{AuditEntry, AuditPage, Next, SortBy, SortDir};

pub use self::export::{EXPORT_LOOKED_AT, export};
pub use self::search::{About, By, LARGEST_PAGE, MOST, Search, actions_named};
use super::archive;
use crate::app::App;
use crate::refusal::{Refusal, RefusalKind};
use crate::store::{Order, StoreError};
use crate::turns::{NoTurn, Turn};

/// Rows that are looked through in one statement. Others who look at the audit wait for no more.
pub(super) const STRETCH: u64 = 20_000;
/// Rows that one statement answers.
const FETCHED: usize = 2_000;
const FEWEST: usize = 256;
/// Rows that are looked through for a page.
pub const LOOKED_AT: u64 = 200_000;
/// Rows that are looked through for what an agent did last: whoever has no scope at all may ask for that.
pub const OWN_LOOKED_AT: u64 = 5_000;

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

/// A page of rows.
pub async fn page(app: &App, search: &Search) -> Result<AuditPage, Refusal> {
    page_within(app, search, LOOKED_AT).await
}

/// A page of rows, for which no more than that many are looked through.
pub async fn page_within(app: &App, search: &Search, rows: u64) -> Result<AuditPage, Refusal> {
    let _turn = turn(app, search).await?;
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

/// The newest rows, the newest first.
pub async fn recent(app: &App, search: &Search) -> Result<Vec<AuditEntry>, Refusal> {
    page(app, search).await.map(|it| it.entries)
}

/// The newest rows about whoever asks, the newest first.
pub async fn own(app: &App, search: &Search) -> Result<Vec<AuditEntry>, Refusal> {
    page_within(app, search, OWN_LOOKED_AT).await.map(|it| it.entries)
}

/// Nothing is looked through without a turn: whoever waited for one would keep what is found for him meanwhile.
async fn turn<'a>(app: &'a App, search: &Search) -> Result<Option<Turn<'a>>, Refusal> {
    let Some(asker) = &search.asker else { return Ok(None) };
    let turn = app.questions.wait(asker, search.patience).await;
    turn.map(Some).map_err(|why| {
        let (text, seconds) = match why {
            NoTurn::HasOne => (
                "the audit is being looked through for you already: wait for that answer, and ask one question at a time",
                1,
            ),
            NoTurn::AllTaken => ("the audit is being looked through for others: try again in some seconds", 3),
        };
        Refusal::new(RefusalKind::TooMany, text).retry_after(seconds)
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
    use sikkerkey_protocol::management::AuditQuery;

    use super::*;
    use crate::audit::entry::{Action, Actor, Entry};
    use crate::audit::view;
    use crate::crypto::root_key::Source;
    use crate::decision::Decision;
    use crate::engine::{DataPlace, Engine, Options};
    use crate::model::millis::Millis;
    use crate::store::AuditRow;
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
}
