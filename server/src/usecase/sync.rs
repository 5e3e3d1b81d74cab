//! What is new for a sidecar.
//!
//! A sync burns its nonce first, and may then be held until there is news, for as long as its client allows. Nothing is
//! decided ahead: when something has changed, what is new is looked at again, decided by the writer, and audited when it
//! is delivered. Asking is no read.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::kubernetes::ObjectKey;
use sikkerkey_protocol::sync::{Delivery, Held, MAX_WAIT_SECONDS, News, SecretKey, Sync, Synced};
use sikkerkey_traces::span;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;

use super::read_secret::damaged;
use super::reading::{self, Asking};
use super::source::Source;
use crate::app::App;
use crate::bell::{Subscription, Topic};
use crate::ledger::ActivityKind;
use crate::live::World;
use crate::model::fleet::{Fleet, FleetSubject};
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::secret::Secret;
use crate::policy::{self, Verdict};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::authenticate;
use crate::verify::Verified;
use crate::writer::{Attempt, Claim, Committed, Files, Outcome, ReadRequest, Standing};

/// Changes come in bursts (a secret, then its grant): this long after the first, all of them are looked at together.
const SETTLE: Duration = Duration::from_millis(20);
/// When to ask again, for whoever found no place to wait. Spread over as much again.
const NO_PLACE_MILLIS: u64 = 5_000;

/// What a look at the state says.
struct View {
    delivery_revision: String,
    delivery: Option<Arc<Delivery>>,
    fresh: Vec<(SecretKey, Fresh)>,
    /// All that it should have, new or not.
    delivers: BTreeSet<SecretKey>,
    /// What it says of its files that is not known yet.
    said: Vec<(SecretId, u64, bool)>,
    expires_at: Option<Millis>,
    /// When time alone may change what this says.
    until: Option<Millis>,
}

/// Something that the sidecar does not have yet.
enum Fresh {
    Known(SecretId),
    Unknown,
}

/// Answers a sidecar when there is news, or when its patience ends.
pub async fn sync(app: &App, request: Verified<Arc<Machine>>, mut sync: Sync) -> Result<Synced, Refusal> {
    let (machine, spend, source) = request.into_parts();
    let claim = Claim::Fresh(spend);
    // From before the first look on, so that nothing is missed between looking and waiting.
    let subscription = app.bell.subscribe(topics(app, &machine));
    let mut view = match look(app, &machine, source, &sync) {
        Ok(view) => view,
        Err(refusal) => {
            admit(app, &machine, source, claim, Vec::new()).await?;
            return Err(refusal);
        }
    };
    let wait = Duration::from_secs(u64::from(sync.wait_seconds.min(MAX_WAIT_SECONDS)));
    if view.is_news() || wait.is_zero() {
        return deliver(app, &machine, source, &sync, view, claim).await;
    }
    // It may say to hold thousands that nobody delivers to it, and thousands may wait.
    sync.held.retain(|key, _| view.delivers.contains(key));
    let deadline = Instant::now() + wait;
    let held = Claim::Held(admit(app, &machine, source, claim, std::mem::take(&mut view.said)).await?);
    let Ok(_place) = app.waiting.try_acquire() else {
        let mut answer = deliver(app, &machine, source, &sync, view, held).await?;
        answer.next_sync_millis = NO_PLACE_MILLIS + spread(&machine, NO_PLACE_MILLIS);
        return Ok(answer);
    };
    let _waiting = Waiting::begin(app);
    loop {
        let waiting = wait_for_news(app, &subscription, deadline, view.until);
        let is_over = waiting.instrument(span!("wait for news")).await;
        view = look(app, &machine, source, &sync)?;
        if view.is_news() || is_over {
            return deliver(app, &machine, source, &sync, view, held).await;
        }
    }
}

/// What the machine waits for: itself, its fleet and what that is granted, the namespaces of its delivery.
fn topics(app: &App, machine: &Machine) -> Vec<Topic> {
    let world = app.live.read();
    let fleet = machine.fleet.as_ref().and_then(|id| world.state.fleets.get(id));
    let mut topics = vec![Topic::Machine(machine.id.clone()), Topic::Grantee(machine.grantee())];
    if let Some((fleet, delivery, _)) = fleet.and_then(delivery) {
        let namespaces: BTreeSet<_> = delivery.secrets().map(|key| &key.namespace).collect();
        topics.extend(namespaces.into_iter().map(|it| Topic::Namespace(fleet.managed.cluster.clone(), it.clone())));
    }
    topics
}

/// Burns the nonce, and notes what the machine says of its files.
async fn admit(
    app: &App,
    machine: &Arc<Machine>,
    source: Source,
    claim: Claim,
    said: Vec<(SecretId, u64, bool)>,
) -> Result<Committed, Refusal> {
    let request = ReadRequest {
        claim,
        machine: Arc::clone(machine),
        source,
        standing: Standing::Each,
        attempts: Vec::new(),
        activity: Some(ActivityKind::Sync),
        files: Files::Said(said),
    };
    Ok(app.writer.read(request).await?.committed)
}

/// Waits for a change, an instant at which time itself changes something, the end of the wait, or of the server. Says
/// whether the wait is over.
async fn wait_for_news(app: &App, subscription: &Subscription<'_>, deadline: Instant, until: Option<Millis>) -> bool {
    let now = app.clock.now();
    let pause = until.map(|it| Duration::from_millis(u64::try_from(it.0 - now.0).unwrap_or(0).max(1)));
    let instant = pause.and_then(|it| Instant::now().checked_add(it)).map_or(deadline, |it| it.min(deadline));
    tokio::select! {
        () = sleep_until(instant) => Instant::now() >= deadline,
        () = app.ending() => true,
        () = subscription.rung() => {
            sleep_until((Instant::now() + SETTLE).min(deadline)).await;
            false
        }
    }
}

/// Decides, audits and delivers what is new.
async fn deliver(
    app: &App,
    machine: &Arc<Machine>,
    source: Source,
    sync: &Sync,
    view: View,
    claim: Claim,
) -> Result<Synced, Refusal> {
    let attempts = view.fresh.iter().map(|(key, fresh)| match fresh {
        Fresh::Known(id) => reading::attempt(app, machine, source, id),
        Fresh::Unknown => Attempt::Unknown { namespace: Some(key.namespace.clone()), name: key.name.clone() },
    });
    let attempts: Vec<Attempt> = attempts.collect();
    let activity = matches!(claim, Claim::Fresh(_)).then_some(ActivityKind::Sync);
    // What it said when it began to wait is noted already.
    let said = if activity.is_some() { view.said } else { Vec::new() };
    let receipt = if attempts.is_empty() && activity.is_none() {
        None
    } else {
        let machine = Arc::clone(machine);
        let files = Files::Said(said);
        let request = ReadRequest { claim, machine, source, standing: Standing::Each, attempts, activity, files };
        Some(app.writer.read(request).await?)
    };
    let mut secrets = BTreeMap::new();
    if let Some(receipt) = receipt {
        for ((key, fresh), outcome) in view.fresh.into_iter().zip(receipt.outcomes) {
            let asks = matches!(&outcome, Outcome::Denied(denial) if denial.asks);
            let news = match (outcome, fresh) {
                (Outcome::Released(it), Fresh::Known(id)) => {
                    let version = it.permit.version();
                    let value = it.withheld.release(&it.permit, &receipt.committed).ok_or_else(damaged)?;
                    let field_names = field_names(app, &id);
                    News::Value { id, version, field_names, value }
                }
                (Outcome::Denied(denial), _) => {
                    News::Denied { reason: denial.reason, message: denial.message, until: denial.until.map(|it| it.0) }
                }
                (Outcome::Damaged | Outcome::Released(_), _) => return Err(damaged()),
            };
            // The writer may have seen what the sidecar has already: a denial of the same reason is no news, unless it names
            // another request that waits.
            if asks || !is_held(sync.held.get(&key), &news) {
                secrets.insert(key, news);
            }
        }
    }
    Ok(Synced {
        delivery_revision: view.delivery_revision,
        delivery: view.delivery.map(|it| (*it).clone()),
        secrets,
        next_sync_millis: if *app.shutdown.borrow() { 1_000 + spread(machine, 4_000) } else { 0 },
        identity_expires_at: view.expires_at.map_or(0, |at| at.0),
    })
}

fn field_names(app: &App, id: &SecretId) -> Vec<String> {
    app.live.read().state.secrets.get(id).map(|it| it.field_names.clone()).unwrap_or_default()
}

fn is_held(held: Option<&Held>, news: &News) -> bool {
    match (held, news) {
        (Some(Held::Denied(held)), News::Denied { reason, .. }) => held == reason,
        (Some(Held::Version { id, version }), News::Value { id: new_id, version: new, .. }) => {
            id == new_id && version == new
        }
        _ => false,
    }
}

impl View {
    fn is_news(&self) -> bool {
        self.delivery.is_some() || !self.fresh.is_empty()
    }
}

/// Compares what the sidecar has with what it should have. Writes nothing.
fn look(app: &App, machine: &Machine, source: Source, sync: &Sync) -> Result<View, Refusal> {
    let now = app.clock.now();
    let world = app.live.read();
    let state = &world.state;
    // As it is now: it may have been renewed, suspended or revoked while it waited.
    let machine = state.machines.get(&machine.id).ok_or_else(authenticate::unknown)?;
    let fleet = machine.fleet.as_ref().and_then(|id| state.fleets.get(id));
    let Some((fleet, delivery, revision)) = fleet.and_then(delivery) else {
        let text =
            "this machine has no delivery: only pods of a Machine object synchronise; read secrets by id instead";
        return Err(Refusal::new(RefusalKind::Forbidden, text));
    };
    let mut until = machine.expires_at;
    let (mut fresh, mut said) = (Vec::new(), Vec::new());
    for key in delivery.secrets() {
        let object = ObjectKey { namespace: key.namespace.clone(), name: key.name.clone() };
        let held = sync.held.get(key);
        let found = match state.secret_of(&fleet.managed.cluster, &object) {
            None => {
                let denial = reading::unknown(state, machine, now, Some(&key.namespace), &key.name);
                (held != Some(&Held::Denied(denial.reason))).then_some(Fresh::Unknown)
            }
            Some(secret) => {
                said.extend(of_files(&world, machine, secret, held, !sync.not_in_files.contains(key)));
                let (is_news, change) = compare(&world, now, source, machine, secret, held);
                until = until.into_iter().chain(change).min();
                is_news.then(|| Fresh::Known(secret.id.clone()))
            }
        };
        fresh.extend(found.map(|it| (key.clone(), it)));
    }
    Ok(View {
        delivery_revision: revision.clone(),
        delivery: (sync.delivery_revision.as_ref() != Some(revision)).then(|| Arc::clone(delivery)),
        fresh,
        delivers: delivery.secrets().cloned().collect(),
        said,
        expires_at: machine.expires_at,
        until: until.filter(|it| *it > now),
    })
}

/// What a sidecar says of a secret in its files, if that is not known: the version that it holds stands there or does not; or
/// none of it does, because it was denied.
fn of_files(
    world: &World,
    machine: &Machine,
    secret: &Secret,
    held: Option<&Held>,
    in_files: bool,
) -> Option<(SecretId, u64, bool)> {
    let known = world.ledger.holding(&machine.id, &secret.id)?;
    let speaks_of_it = match held? {
        Held::Version { id, version } => *id == secret.id && *version == known.version,
        // One that was denied may stay in files, and may have stood in none.
        Held::Denied(_) => !in_files,
    };
    (speaks_of_it && known.in_files != in_files).then(|| (secret.id.clone(), known.version, in_files))
}

/// Whether a secret stands otherwise than the sidecar has it, and when that may change by time alone.
fn compare(
    world: &World,
    now: Millis,
    source: Source,
    machine: &Machine,
    secret: &Secret,
    held: Option<&Held>,
) -> (bool, Option<Millis>) {
    let asking = Asking { machine, address: source.address, now };
    let (verdict, change) = match reading::facts(&world.state, &world.ledger, asking, secret) {
        Ok(facts) => (policy::decide(&facts), policy::changes_at(&facts)),
        Err(denial) => (Verdict::Deny(denial), None),
    };
    let is_current =
        |current: u64| matches!(held, Some(Held::Version { id, version }) if *id == secret.id && *version == current);
    let is_news = match verdict {
        // What has been read already stays read: a cap that is reached takes no file away. A co-signer who was not asked yet
        // is to be asked, whatever is known.
        Verdict::Deny(denial) if is_current(secret.version) => !reading::stays_read(&world.state, secret, now, &denial),
        Verdict::Deny(denial) => held != Some(&Held::Denied(denial.reason)) || denial.asks,
        Verdict::Permit(permit) => !is_current(permit.version()),
    };
    (is_news, change)
}

fn delivery(fleet: &Fleet) -> Option<(&Fleet, &Arc<Delivery>, &String)> {
    match &fleet.subject {
        FleetSubject::Workload { delivery, delivery_revision, .. } => Some((fleet, delivery, delivery_revision)),
        FleetSubject::Host { .. } => None,
    }
}

/// A part of `range` that is each machine's own, so that those who were told at once do not come back at once.
fn spread(machine: &Machine, range: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    machine.id.hash(&mut hasher);
    hasher.finish() % range
}

/// Counts a client that waits, for as long as it does.
struct Waiting<'a>(&'a App);

impl<'a> Waiting<'a> {
    fn begin(app: &'a App) -> Self {
        app.metrics.waiting.inc();
        Self(app)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.metrics.waiting.dec();
    }
}
