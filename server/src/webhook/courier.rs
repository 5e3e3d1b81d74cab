//! Walks through the audit for all webhooks, and has each told what is for it.
//!
//! Those that have come equally far are walked for together, so webhooks that work cost one look at each new row, however
//! many there are. What is found for a webhook is told by a task of its own; meanwhile the others go on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use sikkerkey_protocol::id::VaultId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::endpoint::Endpoint;
use super::event;
use super::sender::{Delivery, SendError};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::audit::view;
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::metrics::{DeliveryOutcome, Work};
use crate::model::millis::Millis;
use crate::model::webhook::{Position, Progress, Webhook};
use crate::refusal::Refusal;
use crate::store::{AuditRow, Order, Records, RowFilter, StoreError};
use crate::usecase::archive;
use crate::usecase::webhook::progress::{self, Advance, Claim, Failure, Rules};
use crate::usecase::webhook::{open_secrets, progress_of};
use crate::writer::ChangeRequest;

/// How often it is looked whether something is to be tried again, or another server has let go of a webhook.
const TICK: Duration = Duration::from_secs(1);
/// The least time between two looks at new rows: on a busy server there are some all the time.
const PAUSE: Duration = Duration::from_millis(100);
/// How many rows are looked through at a time.
const STRETCH: u64 = 20_000;
/// How many rows are told at a time.
const BATCH: u32 = 200;
/// How long what was delivered stays unnoted. After a kill it is sent again.
const NOTED: Duration = Duration::from_secs(1);
/// How long what is under way may take when the server is about to end.
const LAST: Duration = Duration::from_secs(3);
/// How many rows that were for nobody, and for how long, stay unnoted. After a restart they are looked through again.
const UNNOTED_ROWS: u64 = 50_000;
const UNNOTED_TIME: Duration = Duration::from_mins(10);

/// Has webhooks told.
pub struct Courier(Arc<Means>);

struct Means {
    app: App,
    /// Its own view of the audit: whoever else looks at it does not wait.
    records: Records,
    rules: Rules,
    /// Who this server is, among those on the same database.
    name: String,
    is_shared: bool,
    /// The server is about to end: nothing more is begun.
    is_ending: AtomicBool,
}

/// What is known of a webhook in this process.
#[derive(Default)]
struct Known {
    /// The last row that was looked at for it.
    scanned: u64,
    /// What of that is noted, and when it was.
    noted: u64,
    noted_at: Duration,
    is_busy: bool,
    /// When what it has not got yet was written.
    waits_since: Option<Millis>,
}

/// A webhook that is to be told.
struct Ready {
    id: String,
    vault: VaultId,
    actions: Vec<Action>,
}

/// How a task that told a webhook ended.
struct Ended {
    id: String,
    /// The last row that is done with.
    scanned: u64,
    /// Whether all is told that was to be.
    is_done: bool,
}

impl Courier {
    /// Tells the webhooks of this server's data.
    pub async fn new(app: App, rules: Rules) -> Result<Self, StoreError> {
        let records = app.records.another().await?;
        let is_shared = records.is_shared().await;
        let name = entropy::uuid(&*app.entropy);
        Ok(Self(Arc::new(Means { app, records, rules, name, is_shared, is_ending: AtomicBool::new(false) })))
    }

    /// Works until `stopped`. What is under way then is finished, or cut off if that takes long, and told again after the
    /// next start.
    pub async fn run(&self, mut stopped: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut head = self.0.app.writer.audit_head();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut known, mut tasks) = (HashMap::new(), JoinSet::new());
        let mut is_away = false;
        loop {
            tokio::select! {
                _ = stopped.wait_for(|it| *it) => break,
                _ = tick.tick() => {}
                changed = head.changed() => if changed.is_err() { break },
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    note(&mut known, &ended.context("telling a webhook panicked")?);
                }
            }
            while let Some(ended) = tasks.try_join_next() {
                note(&mut known, &ended.context("telling a webhook panicked")?);
            }
            let upper = head.borrow_and_update().seq;
            tokio::select! {
                _ = stopped.wait_for(|it| *it) => break,
                done = self.0.walk(upper, &mut known, &mut tasks) => {
                    let was_away = std::mem::replace(&mut is_away, done.is_err());
                    if let Err(error) = done {
                        self.0.app.metrics.count_failed(Work::Webhooks);
                        // Once: a database that is away for an hour would hide the rest of the log.
                        if !was_away {
                            let error: &dyn std::error::Error = &error;
                            tracing::warn!(error, "webhooks are put off: the audit cannot be read");
                        }
                    }
                }
            }
            self.0.measure(&known);
            tokio::select! {
                _ = stopped.wait_for(|it| *it) => break,
                () = sleep(PAUSE) => {}
            }
        }
        self.0.is_ending.store(true, Ordering::Relaxed);
        let rest = async {
            while let Some(ended) = tasks.join_next().await {
                note(&mut known, &ended.context("telling a webhook panicked")?);
            }
            anyhow::Ok(())
        };
        match timeout(LAST, rest).await {
            Ok(done) => done?,
            Err(_) => tasks.shutdown().await,
        }
        for (id, it) in &known {
            if it.scanned > it.noted && !it.is_busy {
                self.0.advance(id, it.scanned, None, false).await;
            }
        }
        Ok(())
    }
}

/// What a task that told a webhook leaves.
fn note(known: &mut HashMap<String, Known>, ended: &Ended) {
    if let Some(it) = known.get_mut(&ended.id) {
        it.is_busy = false;
        it.scanned = it.scanned.max(ended.scanned);
        if ended.is_done {
            it.waits_since = None;
        }
    }
}

impl Means {
    /// Looks through what is new, for every webhook that can be told.
    async fn walk(
        self: &Arc<Self>,
        head: u64,
        known: &mut HashMap<String, Known>,
        tasks: &mut JoinSet<Ended>,
    ) -> Result<(), StoreError> {
        loop {
            let ready = self.ready(known).await?;
            let mut by_position: BTreeMap<u64, Vec<Ready>> = BTreeMap::new();
            for it in ready {
                let at = known.get(&it.id).map_or(0, |it| it.scanned);
                if at < head {
                    by_position.entry(at).or_default().push(it);
                }
            }
            if by_position.is_empty() {
                return Ok(());
            }
            let mut has_moved = false;
            for (at, webhooks) in by_position {
                has_moved |= self.stretch(at, head, webhooks, known, tasks).await?;
            }
            if !has_moved {
                return Ok(());
            }
        }
    }

    /// Looks through rows behind `at` for webhooks that have all come that far. Whether they have come further.
    async fn stretch(
        self: &Arc<Self>,
        at: u64,
        head: u64,
        webhooks: Vec<Ready>,
        known: &mut HashMap<String, Known>,
        tasks: &mut JoinSet<Ended>,
    ) -> Result<bool, StoreError> {
        let Some(first) = self.records.after(at, 1).await?.pop() else { return Ok(false) };
        if first.seq > at + 1 {
            // No number is ever left out: those before it are archived.
            return Ok(self.lose(at, first.seq - 1, &webhooks, known).await);
        }
        let mut actions: Vec<Action> = webhooks.iter().flat_map(|it| it.actions.iter().copied()).collect();
        actions.sort_unstable();
        actions.dedup();
        let filter = RowFilter { actions: Some(actions), ..RowFilter::default() };
        let end = head.min(at + STRETCH);
        let rows = self.records.matching(&filter, (at, end), Order::OldestFirst, BATCH).await?;
        let is_full = u32::try_from(rows.len()).unwrap_or(u32::MAX) >= BATCH;
        let end = rows.last().filter(|_| is_full).map_or(end, |it| it.seq);
        // A row that cannot be read is for verify-audit to tell of.
        let rows: Vec<_> = rows.into_iter().filter_map(|row| Some((view::parse(&row)?, row))).collect();
        for webhook in webhooks {
            let Some(it) = known.get_mut(&webhook.id) else { continue };
            let is_for_it =
                |entry: &Entry| entry.vault.as_ref() == Some(&webhook.vault) && webhook.actions.contains(&entry.action);
            let events: Vec<AuditRow> =
                rows.iter().filter(|(entry, _)| is_for_it(entry)).map(|(_, row)| row.clone()).collect();
            let Some(first) = events.first() else {
                it.scanned = end;
                let now = self.app.clock.steady();
                let is_late = now.saturating_sub(it.noted_at) >= UNNOTED_TIME;
                if end - it.noted.min(end) >= UNNOTED_ROWS || (is_late && end > it.noted) {
                    self.advance(&webhook.id, end, None, false).await;
                    (it.noted, it.noted_at) = (end, now);
                }
                continue;
            };
            it.is_busy = true;
            it.waits_since = it.waits_since.or(Some(first.time));
            (it.noted, it.noted_at) = (end, self.app.clock.steady());
            let means = Arc::clone(self);
            tasks.spawn(async move { means.tell(webhook.id, at, events, end).await });
        }
        Ok(true)
    }

    /// Tells that rows are gone that these webhooks were not told of. Whether they have come further.
    async fn lose(&self, at: u64, base: u64, webhooks: &[Ready], known: &mut HashMap<String, Known>) -> bool {
        let mut has_moved = false;
        for webhook in webhooks {
            let id = webhook.id.clone();
            if self.change(move |it| progress::lose(it, &id, at, base)).await.is_some()
                && let Some(it) = known.get_mut(&webhook.id)
            {
                (it.scanned, it.noted) = (base, base);
                has_moved = true;
            }
        }
        has_moved
    }

    /// The webhooks that are switched on and that this server may tell now. Each has a place among those that are known.
    async fn ready(&self, known: &mut HashMap<String, Known>) -> Result<Vec<Ready>, StoreError> {
        let (ready, open) = {
            let world = self.app.live.read();
            let state = &world.state;
            known.retain(|id, it| it.is_busy || state.webhooks.get(id).is_some_and(|it| it.enabled));
            let now = self.app.clock.now();
            let mut ready = Vec::new();
            let mut open: Vec<(String, Progress)> = Vec::new();
            for webhook in state.webhooks.values().filter(|it| it.enabled) {
                let progress = progress_of(state, webhook);
                let is_busy = known.get(&webhook.id).is_some_and(|it| it.is_busy);
                if is_busy || progress.retry_at.is_some_and(|it| it > now) || self.is_elsewhere(&progress, now) {
                    continue;
                }
                let actions = state.told_to(webhook);
                open.push((webhook.id.clone(), progress));
                ready.push(Ready { id: webhook.id.clone(), vault: webhook.vault.clone(), actions });
            }
            (ready, open)
        };
        if open.is_empty() {
            return Ok(ready);
        }
        let is_lost = open.iter().any(|(id, it)| {
            let known = known.get(id);
            known.is_none() || matches!(it.position, Position::Since(_))
        });
        if is_lost {
            self.find_places(&open, known).await?;
        }
        for (id, progress) in &open {
            if let (Some(it), Position::After(stored)) = (known.get_mut(id), progress.position) {
                // Another server has told it.
                it.scanned = it.scanned.max(stored);
            }
        }
        // One that has no place yet is looked for again in a moment.
        let is_placed = |it: &Ready| known.contains_key(&it.id);
        Ok(ready.into_iter().filter(is_placed).collect())
    }

    /// Finds the rows behind which webhooks go on that this process does not know yet, or that begin anew.
    async fn find_places(
        &self,
        open: &[(String, Progress)],
        known: &mut HashMap<String, Known>,
    ) -> Result<(), StoreError> {
        let audit = archive::known(&self.app).await?;
        for (id, progress) in open {
            let stored = match progress.position {
                Position::After(_) if known.contains_key(id) => continue,
                Position::After(stored) => stored,
                Position::Since(since) => {
                    let after = archive::first_at(&self.app, &audit, since).await?.saturating_sub(1);
                    let id = id.clone();
                    if self.change(move |it| progress::settle(it, &id, since, after)).await.is_none() {
                        continue;
                    }
                    after
                }
            };
            let noted_at = self.app.clock.steady();
            known.insert(id.clone(), Known { scanned: stored, noted: stored, noted_at, ..Known::default() });
        }
        Ok(())
    }

    /// Tells a webhook of these rows, one after the other. `end` is the last row that was looked through for them.
    async fn tell(&self, id: String, from: u64, events: Vec<AuditRow>, end: u64) -> Ended {
        let mut granted_at = self.app.clock.steady();
        let ended = |scanned, is_done| Ended { id: id.clone(), scanned, is_done };
        if self.is_shared {
            let (webhook, name, rules) = (id.clone(), self.name.clone(), self.rules);
            match self.change(move |it| progress::claim(it, &webhook, from, &name, &rules)).await {
                Some(Claim::Granted(_)) => {}
                Some(Claim::Refused) | None => return ended(from, false),
            }
        }
        let (mut done, mut delivered_at, mut noted_at) = (from, None, self.app.clock.steady());
        for row in &events {
            let now = self.app.clock.steady();
            let is_due = now.saturating_sub(noted_at) >= NOTED && delivered_at.is_some();
            // Long before another server may take it over.
            if is_due || now.saturating_sub(granted_at) >= self.rules.lease / 3 {
                if !self.advance(&id, done, delivered_at.take(), self.is_shared).await && self.is_shared {
                    return ended(done, false);
                }
                (noted_at, granted_at) = (now, now);
            }
            if self.is_ending.load(Ordering::Relaxed) {
                self.advance(&id, done, delivered_at, false).await;
                return ended(done, false);
            }
            let Some(webhook) = self.current(&id) else { return ended(done, false) };
            match self.deliver(&webhook, row).await {
                Ok(()) => {
                    done = row.seq;
                    delivered_at = Some(self.app.clock.now());
                }
                Err(text) => {
                    self.failed(&webhook, done, delivered_at, text).await;
                    return ended(done, false);
                }
            }
        }
        self.advance(&id, end, delivered_at, false).await;
        ended(end, true)
    }

    /// The webhook as it is now: one that was changed since is told as it was changed, and one that is switched off or
    /// begins elsewhere is told no more.
    fn current(&self, id: &str) -> Option<Webhook> {
        let world = self.app.live.read();
        let webhook = world.state.webhooks.get(id).filter(|it| it.enabled)?;
        let begins_anew = matches!(progress_of(&world.state, webhook).position, Position::Since(_));
        (!begins_anew).then(|| webhook.clone())
    }

    async fn deliver(&self, webhook: &Webhook, row: &AuditRow) -> Result<(), String> {
        let Some(entry) = view::parse(row) else { return Ok(()) };
        let to: Endpoint = webhook.url.parse().map_err(str::to_owned)?;
        let event = event::of_row(event::delivery_id(&webhook.id, &row.hash), &view::tell(row, entry));
        let secrets = open_secrets(&self.app.keyring, webhook, self.app.clock.now())
            .map_err(|_| "its signing secret does not open: give it another one (rotate-secret)".to_owned())?;
        let (secret, previous) = (&secrets.present, secrets.previous.as_ref());
        let sent = self.app.webhooks.send(&Delivery { to: &to, event: &event, secret, previous }).await;
        let outcome = sent.as_ref().map_or_else(SendError::outcome, |_| DeliveryOutcome::Delivered);
        self.app.metrics.count_delivery(outcome);
        sent.map(drop).map_err(|error| error.to_string())
    }

    async fn failed(&self, webhook: &Webhook, after: u64, delivered_at: Option<Millis>, text: String) {
        let jitter = entropy::bytes::<1>(&*self.app.entropy).first().copied().unwrap_or_default();
        tracing::debug!(webhook = webhook.id, text, "a delivery has failed");
        let (id, rules) = (webhook.id.clone(), self.rules);
        let failure = Failure { after, delivered_at, by: self.name.clone(), text: text.clone(), jitter };
        let is_over = self.change(move |it| progress::fail(it, &id, failure, &rules)).await;
        if is_over == Some(true) {
            self.app.metrics.disabled_webhooks.inc();
            tracing::error!(webhook = webhook.id, text, "a webhook is switched off after too many failures");
        }
    }

    /// Notes how far a webhook has come. Whether that is written, and this server may go on telling it.
    async fn advance(&self, id: &str, after: u64, delivered_at: Option<Millis>, goes_on: bool) -> bool {
        let (id, rules) = (id.to_owned(), self.rules);
        let advance = Advance { after, delivered_at, by: self.name.clone(), goes_on };
        self.change(move |it| progress::advance(it, &id, advance, &rules)).await == Some(true)
    }

    /// Has something noted. None: the database does not take it, and what is not noted is told again.
    async fn change<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Context<'_>) -> Decided<T> + Send + 'static,
    ) -> Option<T> {
        let decide = Box::new(decide);
        let request = ChangeRequest { spend: None, actor: Actor::System, source_ip: None, what: "webhooks", decide };
        let done: Result<T, Refusal> = self.app.writer.change(request).await;
        done.inspect_err(|refusal| tracing::debug!(%refusal, "how far a webhook has come is not noted")).ok()
    }

    fn is_elsewhere(&self, progress: &Progress, now: Millis) -> bool {
        // Nobody else is there when the data is this server's alone, whatever a server that was killed has left.
        self.is_shared && progress.lease.as_ref().is_some_and(|(whose, until)| *whose != self.name && *until > now)
    }

    fn measure(&self, known: &HashMap<String, Known>) {
        let now = self.app.clock.now();
        let oldest = known.values().filter_map(|it| it.waits_since).min();
        let lag = oldest.map_or(0, |it| now.0.saturating_sub(it.0).max(0) / 1000);
        self.app.metrics.delivery_lag.set(lag);
    }
}
