//! Rows for a file.

use sikkerkey_protocol::management::{AuditPage, SortBy};

use super::{Bound, MOST, Search, away, edge, range, sort, turn, walk};
use crate::app::App;
use crate::refusal::Refusal;

/// Rows that are looked through for a file.
pub const EXPORT_LOOKED_AT: u64 = 1_000_000;

/// Rows for a file, how far it was looked, and where to go on.
pub async fn export(app: &App, search: &Search) -> Result<AuditPage, Refusal> {
    let _turn = turn(app, search).await?;
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
