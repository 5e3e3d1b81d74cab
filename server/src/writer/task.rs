//! The task itself.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sikkerkey_protocol::id::VaultId;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::group::{Done, Group, Job, Means, Nonce};
use super::nonces::Nonces;
use super::{QUEUE, Writer, alert};
use crate::audit::chain;
use crate::audit::entry::{Action, Entry};
use crate::bell::Bell;
use crate::clock::{Anchor, Clock};
use crate::crypto::keyring::Keyring;
use crate::entropy::Entropy;
use crate::floods::Floods;
use crate::ledger::ActivityKind;
use crate::live::Live;
use crate::lockout::Lockout;
use crate::metrics::Metrics;
use crate::model::millis::Millis;
use crate::model::spend::{LIFE_SECONDS, Spend};
use crate::store::{Begun, ChainHead, ReadsOfHour, Rows, Store, StoreError};

/// The weight at which a group is full: a thousand pods that start at once ask for a hundred values each.
const WEIGHT: usize = 2048;
/// Requests that are decided before the lock on the state is let go.
const AT_ONCE: usize = 16;
/// How many times those who are ready to run are let into a group that has begun.
const GATHERING: usize = 32;
/// How often nonces are purged and last requests saved; and how often a database that failed is tried again.
const TICK: Duration = Duration::from_secs(5);
/// How often a shared database is purged, in seconds: each of its servers does it.
const SHARED_PURGE: i64 = 30;
/// How often it is begun to store the tallies that are late. A start reads so much of the audit again.
const ROUND: Duration = Duration::from_secs(15);
/// How often some of them are stored: all at once would hold up the reads.
const LATE: Duration = Duration::from_millis(100);
const HOUR: i64 = 3_600_000;

/// What the task works with.
pub struct Parts {
    /// The database. The task is alone in writing it.
    pub store: Store,
    /// What is known. The task is alone in changing it.
    pub live: Arc<Live>,
    /// Seals new values, chains the audit.
    pub keyring: Arc<Keyring>,
    /// Decides what time it is.
    pub clock: Arc<dyn Clock>,
    /// For ids, tokens and values.
    pub entropy: Arc<dyn Entropy>,
    /// The server's public origin.
    pub public_url: String,
    /// Requests that handlers counted.
    pub floods: Arc<Floods>,
    /// Learns from where signers authenticate.
    pub lockout: Arc<Lockout>,
    /// Wakes those whom a change concerns.
    pub bell: Arc<Bell>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// The most requests that are written together.
    pub max_group: usize,
    /// Nonces that can still matter.
    pub nonces: Vec<Spend>,
    /// Timestamps at or below it are refused.
    pub nonce_floor: i64,
}

/// The task that writes. It ends when it is told to and the queue is empty.
pub struct WriterTask {
    parts: Parts,
    queue: mpsc::Receiver<Box<dyn Job>>,
    health: Arc<AtomicBool>,
    /// When the group began that is under way.
    progress: watch::Sender<Option<Instant>>,
    nonces: Nonces,
    /// The end of the audit, as it is committed.
    audit_head: watch::Sender<ChainHead>,
    anchor: Anchor,
}

impl WriterTask {
    /// The task and the way to it.
    pub fn new(parts: Parts) -> (Writer, Self) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let health = Arc::new(AtomicBool::new(true));
        let mut nonces = Nonces::new(parts.nonce_floor);
        parts.nonces.iter().for_each(|spend| nonces.remember(spend));
        let (audit_head, committed) = watch::channel(parts.store.audit_head());
        let (progress, under_way) = watch::channel(None);
        let writer = Writer {
            progress: under_way,
            audit_head: committed,
            queue: sender,
            health: Arc::clone(&health),
            is_shared: parts.store.is_shared(),
            last_look: Arc::default(),
            pressure: super::pressure::Pressure::new(&parts),
        };
        (writer, Self { anchor: Anchor::new(&*parts.clock), parts, queue, health, progress, nonces, audit_head })
    }

    /// Works until `stop` changes or its sender is gone, then finishes what waits and lets go of the database.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), StoreError> {
        let (mut tick, mut round, mut late) = (interval(TICK), interval(ROUND), interval(LATE));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        late.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut jobs = Vec::with_capacity(self.parts.max_group);
        loop {
            // Only the waiting is cancelled here, never the writing.
            tokio::select! {
                taken = self.queue.recv_many(&mut jobs, self.parts.max_group) => {
                    if taken == 0 {
                        break;
                    }
                    self.gather(&mut jobs).await;
                    let mut waiting = std::mem::take(&mut jobs).into_iter().peekable();
                    while waiting.peek().is_some() {
                        let mut weight = 0;
                        let group = std::iter::from_fn(|| {
                            weight += waiting.peek().filter(|_| weight < WEIGHT)?.weight();
                            waiting.next()
                        });
                        let group = group.collect();
                        self.group(group, Rows::default()).await?;
                    }
                }
                _ = tick.tick() => self.keep_house().await?,
                _ = round.tick() => {
                    let head = self.parts.store.audit_head().seq;
                    self.parts.live.write().ledger.begin_storing_tallies(head);
                }
                _ = late.tick(), if self.parts.live.read().ledger.is_storing_tallies() => self.store_late().await?,
                _ = stop.changed(), if !self.queue.is_closed() => self.queue.close(),
            }
        }
        self.keep_house().await?;
        let ending = Instant::now();
        self.parts.live.write().ledger.begin_storing_tallies(self.parts.store.audit_head().seq);
        while self.parts.live.read().ledger.is_storing_tallies() && ending.elapsed() < TICK {
            self.store_late().await?;
        }
        self.parts.store.close().await
    }

    /// Lets those who are ready to run come into this group. Whoever was answered by the last one is about to ask again,
    /// and would otherwise wait for a whole commit that the first to come made alone. On an idle server nobody is ready,
    /// and this takes no time.
    async fn gather(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        for _ in 0..GATHERING {
            let before = jobs.len();
            tokio::task::yield_now().await;
            while jobs.len() < self.parts.max_group
                && let Ok(job) = self.queue.try_recv()
            {
                jobs.push(job);
            }
            if jobs.len() == before || jobs.len() >= self.parts.max_group {
                return;
            }
        }
    }

    /// Purges nonces, saves last requests, and by doing so tries the database again when it failed.
    async fn keep_house(&mut self) -> Result<(), StoreError> {
        // Nobody can lower the floor again.
        let floor = self.anchor.bounded_now(&*self.parts.clock).seconds() - LIFE_SECONDS;
        let floods = self.parts.floods.take();
        let head = self.parts.store.audit_head().seq;
        let (last_seen, late) = {
            let ledger = &mut self.parts.live.write().ledger;
            for (key, flood) in &floods {
                ledger.add_activity(*key, flood.clone());
            }
            (ledger.take_unsaved_last_seen(), ledger.take_counted(head))
        };
        // On a shared database others have burnt nonces, and the log is purged with them.
        let is_due = if self.parts.store.is_shared() {
            floor >= self.nonces.floor() + SHARED_PURGE
        } else {
            floor > self.nonces.floor() && !self.nonces.is_empty()
        };
        let nonce_floor = is_due.then_some(floor);
        self.group(Vec::new(), Rows { late, last_seen, nonce_floor, ..Rows::default() }).await?;
        if !self.health.load(Ordering::Relaxed) {
            self.parts.floods.put_back(floods);
        }
        Ok(())
    }

    /// Stores some of the tallies that were not stored with their reads.
    async fn store_late(&mut self) -> Result<(), StoreError> {
        let head = self.parts.store.audit_head().seq;
        let late = self.parts.live.write().ledger.take_unsaved_tallies(head);
        self.group(Vec::new(), Rows { late, ..Rows::default() }).await
    }

    /// Writes a group and answers it. An error means that this server must not go on.
    async fn group(&mut self, mut jobs: Vec<Box<dyn Job>>, rows: Rows) -> Result<(), StoreError> {
        let mut done = Done::default();
        let begun = Instant::now();
        self.progress.send_replace(Some(begun));
        let result = self.write(&mut jobs, &mut done, rows).await;
        self.progress.send_replace(None);
        if !jobs.is_empty() {
            self.parts.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
            // Far below what a float holds exactly.
            self.parts.metrics.group_size.observe(u32::try_from(jobs.len()).map_or(f64::MAX, f64::from));
        }
        let committed = result.is_ok();
        {
            let mut world = self.parts.live.write();
            if committed {
                world.ledger.settle();
            } else {
                for undo in done.undo.drain(..).rev() {
                    world.state.undo(undo);
                }
                world.ledger.take_back();
            }
        }
        let mut fatal = Ok(());
        if let Err(error) = result {
            self.parts.metrics.failed_commits.inc();
            if self.health.swap(false, Ordering::Relaxed) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a group could not be written: nothing of it was done"
                );
            }
            if error.is_fatal() {
                self.mourn(&error).await;
                fatal = Err(error);
            }
        } else if !self.health.swap(true, Ordering::Relaxed) {
            tracing::info!("the database takes writes again");
        }
        for job in jobs {
            // What cannot be written down now is counted, and written when it can be.
            if !committed && let Some(address) = job.spend().and_then(|it| it.address) {
                let now = self.parts.clock.now();
                self.parts.floods.count(ActivityKind::Overloaded, now, &address.to_string());
            }
            job.finish(committed);
        }
        if committed {
            self.parts.bell.ring(&done.topics);
            alert::tell(&self.parts.live, &self.parts.metrics, &done.audit);
        }
        fatal
    }

    /// What was answered by groups that the database has lost must not be answered again: its timestamps are refused from
    /// now on, by whoever serves that database next.
    async fn mourn(&mut self, error: &StoreError) {
        if !matches!(error, StoreError::WentBack { .. } | StoreError::AnotherPast(_)) {
            return;
        }
        if let Err(error) = self.parts.store.raise_floor_after_loss(self.nonces.latest()).await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(
                error,
                "the floor of the nonces was not raised: requests of the last minutes can be sent again"
            );
        }
    }

    /// Begins a group, after which this server knows all that any other has done.
    async fn begin(&mut self, spends: &[Spend]) -> Result<Begun, StoreError> {
        let parts = &mut self.parts;
        let begun = parts.store.begin(spends).await;
        for news in parts.store.take_news() {
            // From where a machine authenticates counts at every server, or it could be locked out at those where it
            // has not been yet.
            for (machine, address) in news.addresses() {
                parts.lockout.succeeded(address, machine.as_str());
            }
            let topics = parts.live.write().follow(news);
            parts.bell.ring(&topics);
        }
        self.nonces.raise_floor(parts.store.nonce_floor());
        if let Ok(Begun { now: Some(now), .. }) = &begun {
            parts.clock.observe(*now);
        }
        begun
    }

    async fn write(&mut self, jobs: &mut [Box<dyn Job>], done: &mut Done, mut rows: Rows) -> Result<(), StoreError> {
        let nonces = &self.nonces;
        let candidate = |spend: &&Spend| spend.timestamp > nonces.floor() && !nonces.contains(spend);
        let candidates: Vec<Spend> = jobs.iter().filter_map(|job| job.spend()).filter(candidate).cloned().collect();
        let mut has_begun = false;
        let mut burnt = HashSet::new();
        // Others may have changed what is decided on, so on a shared database nothing is decided before a group begins.
        if !candidates.is_empty() || self.parts.store.is_shared() {
            burnt = self.begin(&candidates).await?.burnt;
            has_begun = true;
        }
        let (parts, nonces) = (&mut self.parts, &self.nonces);
        // One instant decides the whole group.
        let now = parts.clock.now();
        let is_shared = parts.store.is_shared();
        let (keyring, metrics) = (&parts.keyring, &parts.metrics);
        let means = Means { keyring, metrics, entropy: &*parts.entropy, public_url: &parts.public_url, is_shared };
        let mut authenticated = Vec::with_capacity(jobs.len());
        let deciding = Instant::now();
        // The lock is let go now and then: whoever is about to ask looks at the same state.
        for jobs in jobs.chunks_mut(AT_ONCE) {
            let mut world = parts.live.write();
            for job in jobs {
                let nonce = match job.spend() {
                    None => Nonce::None,
                    Some(spend) if spend.timestamp <= nonces.floor() => Nonce::BelowFloor,
                    // Taken out, so that of several in this group only the first has it.
                    Some(spend) if burnt.remove(&(spend.signer.clone(), spend.nonce.clone())) => {
                        authenticated.push(spend.clone());
                        Nonce::Fresh
                    }
                    Some(_) => Nonce::Replayed,
                };
                job.perform(&mut Group { world: &mut world, means: &means, now, done }, nonce);
            }
        }
        parts.metrics.decide_seconds.observe(deciding.elapsed().as_secs_f64());
        rows.audit = chain::append(parts.keyring.audit(), parts.store.audit_head(), now, &done.audit)
            .map_err(StoreError::Encode)?;
        rows.reads = reads(&done.audit, now);
        rows.entities = std::mem::take(&mut done.entities);
        rows.versions = std::mem::take(&mut done.versions);
        rows.forgotten = std::mem::take(&mut done.forgotten);
        rows.master = done.master.take();
        rows.audit_base = done.audit_base;
        let as_of = rows.audit.last().map_or(parts.store.audit_head().seq, |row| row.seq);
        rows.dirty = parts.live.read().ledger.dirty(as_of);
        if !has_begun {
            // An idle server writes nothing; but one that failed has to find out whether it can write again.
            if rows.is_empty() && self.health.load(Ordering::Relaxed) {
                return Ok(());
            }
            parts.store.begin(&[]).await?;
        }
        let floor = rows.nonce_floor;
        parts.store.save(rows, now).await?;
        self.audit_head.send_if_modified(|it| {
            let head = parts.store.audit_head();
            std::mem::replace(it, head) != head
        });
        for spend in &candidates {
            self.nonces.remember(spend);
        }
        // Only now: whoever sends again what he has seen of another has not authenticated as him.
        for spend in &authenticated {
            if let Some(address) = spend.address {
                parts.lockout.succeeded(address, &spend.signer);
            }
        }
        if let Some(floor) = floor {
            self.nonces.raise_floor(floor);
        }
        Ok(())
    }
}

/// How many reads and denials these rows of the audit tell of, by vault.
fn reads(audit: &[Entry], now: Millis) -> Vec<ReadsOfHour> {
    let hour = now.0.div_euclid(HOUR);
    let mut counts: BTreeMap<&VaultId, (u64, u64)> = BTreeMap::new();
    for entry in audit {
        let Some(vault) = &entry.vault else { continue };
        match entry.action {
            Action::SecretRead => counts.entry(vault).or_default().0 += 1,
            Action::SecretReadDenied => counts.entry(vault).or_default().1 += 1,
            _ => {}
        }
    }
    counts.into_iter().map(|(vault, (delivered, denied))| (vault.clone(), hour, delivered, denied)).collect()
}
