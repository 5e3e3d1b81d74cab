//! Making checkpoints and taking them to the anchors.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Anchor, AnchorError, FileAnchor, Known, Target, admit};
use crate::audit::checkpoint::{Checkpoint, Installation, Line};
use crate::clock::Clock;
use crate::crypto::keyring::Keyring;
use crate::metrics::Metrics;
use crate::store::{ChainHead, Records};

/// How often it is looked at whether there is something to do.
const TICK: Duration = Duration::from_secs(5);
/// The least time between two checkpoints that nobody asked for.
const EVERY: Duration = Duration::from_mins(1);
/// The longest time between two tries to reach an anchor.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// What a keeper works with.
pub struct Means {
    /// Signs.
    pub keyring: Arc<Keyring>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counts checkpoints and failures.
    pub metrics: Arc<Metrics>,
    /// The end of the audit, as it is committed.
    pub head: watch::Receiver<ChainHead>,
    /// What the database says about itself.
    pub known: Known,
    /// Where the last checkpoint is kept, so that the chain of checkpoints goes on after a restart; none: it begins anew.
    pub directory: Option<PathBuf>,
}

/// Makes checkpoints and takes them to the anchors.
pub struct Keeper {
    means: Means,
    anchors: Vec<Anchor>,
    /// Held while something is made or taken away, which may take as long as the slowest anchor.
    work: tokio::sync::Mutex<Work>,
    status: Mutex<Status>,
}

struct Work {
    last: Option<Line>,
    /// By the steady clock.
    made_at: Option<Duration>,
    /// Since when, by the steady clock, an anchor has lacked the last line.
    behind_since: Option<Duration>,
    /// For each anchor, when it is to be tried again and how often it has failed; none when it has the last line.
    waiting: Vec<Option<(Duration, u32)>>,
}

/// How the checkpoints stand.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The last one.
    pub last: Option<Checkpoint>,
    /// Each anchor.
    pub anchors: Vec<AnchorStatus>,
    /// Why the last checkpoint could not be kept beside the data.
    pub local_failure: Option<String>,
}

/// How one anchor stands.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnchorStatus {
    /// Which.
    pub anchor: String,
    /// The last row that it has seen since the server started.
    pub seq: Option<u64>,
    /// Failures since the server started.
    pub failures: u64,
    /// Why it has not got the last checkpoint.
    pub failure: Option<String>,
}

impl Keeper {
    /// Compares the database with the anchors that can be read, and refuses one that knows less than they do.
    pub async fn open(
        means: Means,
        targets: &[Target],
        records: &Records,
        accept_restored: bool,
    ) -> anyhow::Result<Self> {
        let key = means.keyring.audit_signer().public_key();
        let mut last = means.directory.as_deref().and_then(read_last).and_then(|text| Line::parse(&key, &text).ok());
        last = last.filter(|it| it.checkpoint.installation == means.known.installation.id);
        let (mut found, mut begins_anew) = (None, false);
        for target in targets {
            let Target::File(path) = target else { continue };
            let lines = FileAnchor::new(path.clone()).tail()?;
            begins_anew |= lines.is_empty();
            let newest = admit(&key, &lines, &means.known, records, accept_restored).await?;
            found = found.or(newest);
        }
        last = last.or(found);
        if let Some(it) = last.as_ref().map(|it| &it.checkpoint)
            && (it.epoch.number, it.seq) > (means.known.installation.epoch.number, means.known.head.seq)
        {
            tracing::error!(
                checkpoint = it.seq,
                database = means.known.head.seq,
                "the database ends before the last checkpoint that this server made: it was put back; an anchor \
                 (--audit-anchor) would have refused it"
            );
        }
        if begins_anew && last.take().is_some() {
            // Its first line must not name one that it does not have.
            tracing::warn!("an anchor is empty: the checkpoints begin anew, and it vouches for nothing before");
        }
        let anchors = targets.iter().map(Anchor::open).collect::<Result<Vec<_>, _>>()?;
        // Nobody knows whether it arrived.
        let waiting = targets.iter().map(|_| last.is_some().then_some((Duration::ZERO, 0))).collect();
        let status = Status {
            last: last.as_ref().map(|it| it.checkpoint.clone()),
            anchors: targets
                .iter()
                .map(|it| AnchorStatus { anchor: it.to_string(), ..AnchorStatus::default() })
                .collect(),
            local_failure: None,
        };
        let work = tokio::sync::Mutex::new(Work { last, made_at: None, behind_since: None, waiting });
        Ok(Self { means, anchors, work, status: Mutex::new(status) })
    }

    /// Works until `stopped`.
    pub async fn run(&self, mut stopped: watch::Receiver<bool>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stopped.wait_for(|it| *it) => return,
            }
            self.routine().await;
        }
    }

    /// Makes a checkpoint if one is due, and tries again what did not arrive, when it is time.
    pub async fn routine(&self) {
        let mut work = self.work.lock().await;
        let now = self.means.clock.steady();
        let is_due = work.made_at.is_none_or(|at| now.saturating_sub(at) >= EVERY);
        if self.deliver(&mut work, false).await && is_due {
            self.make(&mut work).await;
        }
    }

    /// Makes a checkpoint now, if rows were added since the last.
    pub async fn now(&self) {
        let mut work = self.work.lock().await;
        if self.deliver(&mut work, true).await {
            self.make(&mut work).await;
        }
    }

    /// How the checkpoints stand.
    pub fn status(&self) -> Status {
        self.shown().clone()
    }

    /// Which data this is about.
    pub fn installation(&self) -> &Installation {
        &self.means.known.installation
    }

    async fn make(&self, work: &mut Work) {
        let head = *self.means.head.borrow();
        let of = &self.means.known.installation;
        let is_known = |it: &Line| it.checkpoint.epoch == of.epoch && it.checkpoint.seq == head.seq;
        if head.seq == 0 || work.last.as_ref().is_some_and(is_known) {
            return;
        }
        let time = self.means.clock.now();
        let line = match Line::next(self.means.keyring.audit_signer(), of, work.last.as_ref(), head, time) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot write a checkpoint as JSON");
                return;
            }
        };
        let kept = match &self.means.directory {
            Some(directory) => keep_last(directory, &line.text).await,
            None => Ok(()),
        };
        let failure = kept.err().map(|it| it.to_string());
        if let Some(failure) = &failure {
            tracing::warn!(failure, "the last checkpoint cannot be kept beside the data");
        }
        {
            let mut shown = self.shown();
            shown.last = Some(line.checkpoint.clone());
            shown.local_failure = failure;
        }
        self.means.metrics.checkpoints.inc();
        work.last = Some(line);
        work.made_at = Some(self.means.clock.steady());
        work.waiting = self.anchors.iter().map(|_| Some((Duration::ZERO, 0))).collect();
        self.deliver(work, true).await;
    }

    /// Takes the last line to the anchors that have not got it. Says whether all have it then.
    async fn deliver(&self, work: &mut Work, at_once: bool) -> bool {
        let Some(line) = &work.last else { return true };
        let mut have_it = true;
        for (index, (anchor, waiting)) in self.anchors.iter().zip(&mut work.waiting).enumerate() {
            let Some((at, failures)) = *waiting else { continue };
            if !at_once && self.means.clock.steady() < at {
                have_it = false;
                continue;
            }
            let kept = anchor.keep(&line.text).await;
            *waiting = kept.as_ref().err().map(|_| {
                let rest = TICK.saturating_mul(1 << failures.min(6)).min(LONGEST_REST);
                (self.means.clock.steady() + rest, failures.saturating_add(1))
            });
            have_it &= kept.is_ok();
            self.show(index, line.checkpoint.seq, kept);
        }
        let now = self.means.clock.steady();
        work.behind_since = (!have_it).then(|| work.behind_since.unwrap_or(now));
        let lag = work.behind_since.map_or(0, |since| now.saturating_sub(since).as_secs());
        self.means.metrics.anchor_lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
        have_it
    }

    fn show(&self, index: usize, seq: u64, kept: Result<(), AnchorError>) {
        let mut shown = self.shown();
        let Some(status) = shown.anchors.get_mut(index) else { return };
        match kept {
            Ok(()) => {
                status.seq = Some(seq);
                if status.failure.take().is_some() {
                    tracing::info!(anchor = status.anchor, seq, "the anchor takes checkpoints again");
                }
            }
            Err(error) => {
                self.means.metrics.anchor_failures.inc();
                status.failures += 1;
                let text = with_causes(&error);
                if status.failure.replace(text).is_none() {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(
                        anchor = status.anchor,
                        error,
                        "the anchor did not take a checkpoint: reads go on, and it is tried again"
                    );
                }
            }
        }
    }

    fn shown(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_last(directory: &Path) -> Option<String> {
    std::fs::read_to_string(directory.join("last-checkpoint")).ok().map(|it| it.trim_end().to_owned())
}

async fn keep_last(directory: &Path, line: &str) -> std::io::Result<()> {
    let (directory, line) = (directory.to_owned(), line.to_owned());
    let keep = move || {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let new = directory.join("last-checkpoint.new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{line}")?;
        file.sync_all()?;
        std::fs::rename(&new, directory.join("last-checkpoint"))?;
        std::fs::File::open(&directory)?.sync_all()
    };
    tokio::task::spawn_blocking(keep).await.map_err(std::io::Error::other)?
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |it| it.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
