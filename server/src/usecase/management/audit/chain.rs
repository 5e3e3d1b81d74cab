//! Checking the chain of the audit, for a person who looks.
//!
//! The chain is that of all vaults of the server: a check reads the rows of all of them, and tells numbers of rows alone.

use std::time::Duration;

use serde::Serialize;

use crate::app::App;
use crate::audit::checkpoint::{Checkpoint, Epoch, Link};
use crate::audit::report::{Check, Report};
use crate::decision::{Context, Decided};
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::store::{ChainHead, Records, StoreError};
use crate::usecase::archive;
use crate::usecase::audit::away;
use crate::usecase::management::Manager;
use crate::usecase::steps::Steps;

/// How many rows are read at a time.
const PAGE: u32 = 1000;
/// The most rows of one check. A check of more goes on where the one before it has ended.
pub const MOST: u64 = 500_000;
/// The longest that one check lasts.
const LONGEST: Duration = Duration::from_secs(5);
/// A check is begun anew when rows are archived meanwhile, so often.
const TRIES: usize = 3;

/// What is to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing yet: how the checkpoints stand.
    Standing,
    /// The rows after this one.
    After(u64),
}

/// How the chain stands, and what a check found.
pub struct Checked {
    /// How it stands.
    pub standing: Standing,
    /// What the check found.
    pub part: Option<Part>,
}

/// How the chain stands, as far as this server knows.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The first row that is in the database.
    pub first: u64,
    /// The last row.
    pub last: u64,
    /// Since when the database goes on without having been restored.
    pub epoch: Epoch,
    /// The last checkpoint of this server.
    pub checkpoint: Option<Checkpoint>,
    /// Each anchor: whether it is a file, the last row that it has seen since the server started, and whether it takes
    /// checkpoints.
    pub anchors: Vec<(bool, Option<u64>, bool)>,
    /// The fingerprint of the key that checkpoints and exports are signed with.
    pub fingerprint: String,
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// What is wrong, and which rows were looked at.
    pub report: Report,
    /// The row that a checkpoint of this server has seen and that was compared.
    pub compared: Option<u64>,
    /// After which row the next check goes on; none: this was the last.
    pub go_on: Option<u64>,
}

/// Checks, or tells how things stand. It is done by [`check`].
pub fn wanted(_: &Context<'_>, manager: &Manager<'_>, wanted: Wanted) -> Decided<Wanted> {
    let detail = match wanted {
        Wanted::Standing => "how the chain of the audit stands".to_owned(),
        Wanted::After(row) => format!("whether the chain of the audit holds after row {row}"),
    };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(detail));
    Ok(steps.decide(move |_| wanted))
}

/// Checks, beside the writer and beside whoever looks through the audit.
pub async fn check(app: App, wanted: Wanted) -> Result<Checked, Refusal> {
    let part = match wanted {
        Wanted::Standing => None,
        Wanted::After(row) => Some(part(&app, row).await?),
    };
    Ok(Checked { standing: standing(&app).await.map_err(|error| away(&error))?, part })
}

async fn standing(app: &App) -> Result<Standing, StoreError> {
    let known = archive::known(app).await?;
    let status = app.checkpoints.get().map(|it| it.status()).unwrap_or_default();
    Ok(Standing {
        first: known.base.seq + 1,
        last: known.head.seq,
        epoch: known.installation.epoch,
        checkpoint: status.last,
        // Not where: whoever looks at a vault need not know the server's paths.
        anchors: status
            .anchors
            .iter()
            .map(|it| (it.anchor.starts_with("file:"), it.seq, it.failure.is_none()))
            .collect(),
        fingerprint: app.keyring.audit_signer().public_key().fingerprint(),
    })
}

async fn part(app: &App, after: u64) -> Result<Part, Refusal> {
    let turn = app.checks.take("the chain");
    let _turn = turn.map_err(|_| {
        Refusal::new(RefusalKind::TooMany, "the chain is being checked for somebody already: wait for that")
            .retry_after(LONGEST.as_secs())
    })?;
    // By a connection of its own: whoever looks through the audit meanwhile is not held up.
    let records = app.records.another().await.map_err(|error| away(&error))?;
    let mut tries = 0;
    loop {
        let base = archive::known(app).await.map_err(|error| away(&error))?.base;
        let part = follow(app, &records, after).await?;
        tries += 1;
        // Days may be archived meanwhile: then rows seem to be missing that are in a file by now.
        let now = archive::known(app).await.map_err(|error| away(&error))?.base;
        if part.report.holds || now.seq <= base.seq || tries >= TRIES {
            if !part.report.holds {
                app.metrics.broken_chains.inc();
            }
            return Ok(part);
        }
    }
}

async fn follow(app: &App, records: &Records, after: u64) -> Result<Part, Refusal> {
    let failed = |error| away(&error);
    let key = app.keyring.rows();
    // What this server has written is known to it, whatever stands in the database by now.
    let known = archive::known(app).await.map_err(failed)?;
    let head = records.audit_end(key).await.map_err(failed)?;
    let begin = match after {
        row if row <= known.base.seq => known.base,
        row => {
            let rows = records.after(row - 1, 1).await.map_err(failed)?;
            let row = rows.first().filter(|it| it.seq == row);
            let text = "there is no such row to go on after: check from the first row on";
            row.map(|it| ChainHead { seq: it.seq, hash: it.hash }).ok_or_else(|| invalid(text))?
        }
    };
    let mut check = Check::new(app.keyring.audit(), begin, head);
    check.restored(known.installation.epoch);
    check.vouch(Link::from(known.head), "this server");
    let checkpoint = app.checkpoints.get().and_then(|it| it.status().last);
    let checkpoint = checkpoint.filter(|it| it.epoch == known.installation.epoch);
    if let Some(it) = &checkpoint {
        check.vouch(Link { seq: it.seq, hash: it.hash }, "the last checkpoint");
    }
    let (since, last) = (app.clock.steady(), begin.seq.saturating_add(MOST));
    let is_whole = loop {
        let rows = records.after(check.at(), PAGE).await.map_err(failed)?;
        for row in &rows {
            check.next(row);
        }
        if u32::try_from(rows.len()).unwrap_or(0) < PAGE {
            break true;
        }
        if check.at() >= last || app.clock.steady().saturating_sub(since) >= LONGEST {
            break false;
        }
    };
    let at = check.at();
    let report = if is_whole { check.finish() } else { check.stop() };
    let compared = checkpoint.map(|it| it.seq).filter(|seq| (begin.seq + 1..=at).contains(seq));
    Ok(Part { report, compared, go_on: (!is_whole).then_some(at) })
}
