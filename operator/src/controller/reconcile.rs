//! One pass over one object.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta as KubeMeta;
use k8s_openapi::jiff::Timestamp;
use kube::{Resource as KubeResource, ResourceExt};
use sikkerkey_crds::Time;
use sikkerkey_crds::condition::{Condition, ConditionStatus, ConditionType, find};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::{Delete, ObjectKey, ObjectMeta};
use sikkerkey_traces::span;
use tokio::time::timeout;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::Context;
use super::conditions::{self, Findings, Programmed};
use super::error::Error;
use super::events::{News, news};
use super::finalizer::{self, Release};
use super::ledger::{Entry, Held, back_off, jittered};
use super::plan::{Action, Evidence, Outcome, Plan, Reconciled};
use super::queue::Next;
use super::status::{self, Worth};
use crate::api_server;
use crate::index::references::Target;
use crate::index::seen::{Indexed, Seen};
use crate::metrics;
use crate::server::{Retry, ServerError};

/// What a pass waits for tells by a touch; this is for the case that it does not.
const WAITS: Duration = Duration::from_secs(30);
/// How long one pass may last: nobody else looks at the object meanwhile.
const LASTS: Duration = Duration::from_mins(1);
/// How long the store may take to show what was written to the API server.
const CATCH_UP: Duration = Duration::from_secs(1);
/// What is further away is seen to by the regular look, which comes first.
const FAR: Duration = Duration::from_hours(2);
/// How long a first status is held back at most, for those who are about to change it.
const HOLDS_BACK: Duration = Duration::from_mins(5);

/// One object as a pass knows it.
struct Subject<'a> {
    context: &'a Context,
    key: ObjectKey,
    uid: String,
    entry: Entry,
    now: Timestamp,
}

/// Brings the server and the status in line with the object.
pub async fn reconcile<K: Reconciled>(object: Arc<Seen<K>>, context: Arc<Context>) -> Result<Next, Error> {
    let target = object.target();
    let span = span!("reconcile", kind = K::KIND, key = %target.key, outcome = Empty);
    let uid = object.uid().unwrap_or_default();
    let pass = look_at(target.key.clone(), object, Arc::clone(&context));
    let passed = timeout(LASTS, pass).instrument(span.clone()).await;
    context.ledger.pass_ended(K::WIRE, &target.key, &uid);
    let passed = passed.unwrap_or_else(|_| Err(Error::TooLong(target, LASTS)));
    if passed.is_err() {
        span.record("outcome", "Failed");
    }
    passed
}

async fn look_at<K: Reconciled>(key: ObjectKey, object: Arc<Seen<K>>, context: Arc<Context>) -> Result<Next, Error> {
    let uid = object.uid().unwrap_or_default();
    let entry = context.ledger.entry(K::WIRE, &key, &uid);
    let subject = Subject { context: &context, key, uid, entry, now: context.clock.now() };
    subject.note(K::WIRE, |entry| {
        entry.looked_at = subject.now.as_second();
        entry.said = entry.said.take().filter(|_| object.0.is_err());
    });
    if object.meta().deletion_timestamp.is_some() {
        return subject.release(&object).await;
    }
    match &object.0 {
        Ok(received) => subject.pass(received, &object).await,
        Err(invalid) => subject.reject::<K>(&object, &invalid.error).await,
    }
}

impl Subject<'_> {
    fn target<K: Reconciled>(&self) -> Target {
        Target { resource: K::RESOURCE, key: self.key.clone() }
    }

    fn note(&self, kind: sikkerkey_protocol::kubernetes::Kind, change: impl FnOnce(&mut Entry)) {
        self.context.ledger.note(kind, &self.key, &self.uid, change);
    }

    async fn pass<K: Reconciled>(&self, object: &Received<K>, seen: &Seen<K>) -> Result<Next, Error> {
        let index = &self.context.index;
        let Some(namespace_uid) = index.namespace_uid(&self.key.namespace) else {
            return Ok(self.waits::<K>());
        };
        let generation = object.meta().generation.unwrap_or_default();
        if let Some(next) = self.is_held::<K>(generation) {
            return Ok(next);
        }
        let meta = ObjectMeta { key: self.key.clone(), namespace_uid, uid: self.uid.clone(), generation };
        let mut facts = K::gather(object, index, self.now);
        K::count_pods(object, &mut facts, &self.context.pods);
        let plan = if index.manages(&self.key.namespace) {
            K::look(object, &mut facts, self.context).await?;
            K::plan(object, meta, &facts)
        } else {
            Plan::NotManaged
        };
        if let Plan::Wait = plan {
            return Ok(self.waits::<K>());
        }
        let previous = object.status().cloned().unwrap_or_default();
        let is_absent = self.entry.is_absent();
        let in_force = self.entry.in_force_or(|| conditions::in_force(K::conditions_of(&previous)));
        let outcome = self.tell::<K>(seen, &plan).await?;
        let in_force = self.still_in_force::<K>(in_force, &plan, &outcome);
        self.remember::<K>(generation, in_force, K::gave_nothing(&previous), &plan, &outcome);
        if let Plan::NotManaged = plan {
            self.note(K::WIRE, |entry| (entry.held, entry.in_force, entry.failures) = (Held::Unknown, None, 0));
        }
        if let Outcome::Failed(error) = &outcome
            && error.is_superseded()
        {
            // The server has seen a newer generation than we have: it is on its way here.
            return Ok(self.after_outcome::<K>(object.changes_at(&facts, &previous), &outcome));
        }
        K::follow_up(object, &mut facts, &outcome, self.context).await;
        let cluster = self.context.session.logged_in().map(|logged_in| logged_in.cluster).unwrap_or_default();
        let wanted = K::conclude(&Evidence {
            object,
            facts: &facts,
            plan: &plan,
            outcome: &outcome,
            previous: &previous,
            in_force,
            is_absent,
            cluster: &cluster,
            server_url: self.context.session.url().as_str(),
            now: self.now,
        });
        if !self.is_behind(seen.meta())
            && let Some(next) = self.hold_back::<K>(&outcome, &previous, &wanted)
        {
            return Ok(next);
        }
        self.publish::<K>(seen, &previous, &wanted).await?;
        index.let_through(&self.target::<K>());
        Ok(self.after_outcome::<K>(object.changes_at(&facts, &wanted), &outcome))
    }

    /// Whether this generation is in force and its first status is still held back: nothing has to be told, or written.
    fn is_held<K: Reconciled>(&self, generation: i64) -> Option<Next> {
        let target = self.target::<K>();
        let left = self.holds_back_for(&target)?;
        let is_in_force = self.entry.held == Held::Applied && self.entry.in_force == Some(generation);
        (is_in_force && self.context.index.awaits(&target)).then(|| self.holds::<K>(left))
    }

    /// Whether the first status waits for those who are about to change it. Nobody waits for bad news.
    fn hold_back<K: Reconciled>(
        &self,
        outcome: &Outcome<K::State>,
        previous: &K::Status,
        wanted: &K::Status,
    ) -> Option<Next> {
        let (index, target) = (&self.context.index, self.target::<K>());
        let is_ready = |ready: &Condition| ready.status == ConditionStatus::True;
        let is_good = find(K::conditions_of(wanted), ConditionType::Ready).is_some_and(is_ready);
        let is_first = matches!(outcome, Outcome::InForce(_)) && conditions::is_pending(K::conditions_of(previous));
        if !is_first || !is_good || !index.awaits(&target) {
            return None;
        }
        index.hold_back(&target, &self.uid, self.now);
        self.holds_back_for(&target).map(|left| self.holds::<K>(left))
    }

    /// How much longer the first status may be held back.
    fn holds_back_for(&self, target: &Target) -> Option<Duration> {
        let since = self.context.index.held_since(target, &self.uid)?;
        let age = Duration::try_from(self.now.duration_since(since)).unwrap_or_default();
        HOLDS_BACK.checked_sub(age).filter(|left| !left.is_zero())
    }

    fn holds<K: Reconciled>(&self, left: Duration) -> Next {
        self.context.metrics.reconciled(K::WIRE, metrics::Outcome::Waits);
        Next::After(left)
    }

    /// Tells the server. The finalizer comes first: what is at the server has an object that says so.
    async fn tell<K: Reconciled>(&self, seen: &Seen<K>, plan: &Plan<K::Apply>) -> Result<Outcome<K::State>, Error> {
        let action = match plan {
            Plan::Act { action, .. } => action,
            // A generation that was accepted took it out of force, and this one changes nothing about that.
            Plan::Reject { .. } if self.has_returned() => &Action::Withdraw,
            Plan::Reject { .. } | Plan::NotManaged | Plan::Wait => return Ok(Outcome::NotAsked),
        };
        let answer = match action {
            Action::Cannot(_) => return Ok(Outcome::NotAsked),
            Action::Apply(call) => {
                if !finalizer::is_on(seen.meta()) {
                    finalizer::add::<K>(&self.context.client, &self.key, &self.uid)
                        .instrument(span!("add finalizer"))
                        .await
                        .map_err(|error| Error::AddFinalizer(self.target::<K>(), error))?;
                }
                let answer = self.context.session.call(call).await;
                // What must not be there goes, also where nothing comes in its place.
                let goes = self.has_returned() && answer.as_ref().is_err_and(ServerError::is_refusal);
                if goes && self.delete::<K>(false).await.is_ok() {
                    self.note(K::WIRE, |entry| entry.held = Held::Withdrawn);
                }
                answer.map(Outcome::InForce)
            }
            Action::Withdraw => self.delete::<K>(false).await.map(|()| Outcome::Withdrawn),
        };
        Ok(answer.unwrap_or_else(Outcome::Failed))
    }

    async fn delete<K: Reconciled>(&self, trash: bool) -> Result<(), ServerError> {
        let delete = Delete { kind: K::WIRE, key: self.key.clone(), uid: self.uid.clone(), trash };
        self.context.session.call(&delete).await.map(drop)
    }

    /// Whether the server holds what was taken out of force.
    fn has_returned(&self) -> bool {
        matches!(self.entry.held, Held::Returned(_))
    }

    /// The generation that is in force once the server has answered, while a newer one is not.
    fn still_in_force<K: Reconciled>(
        &self,
        before: Option<i64>,
        plan: &Plan<K::Apply>,
        outcome: &Outcome<K::State>,
    ) -> Option<i64> {
        match (plan, outcome) {
            (Plan::NotManaged, _) => None,
            (Plan::Reject { .. }, Outcome::Withdrawn) => self.entry.in_force,
            _ => before,
        }
    }

    fn remember<K: Reconciled>(
        &self,
        generation: i64,
        in_force: Option<i64>,
        gave_nothing: bool,
        plan: &Plan<K::Apply>,
        outcome: &Outcome<K::State>,
    ) {
        self.note(K::WIRE, |entry| {
            entry.passes = entry.passes.wrapping_add(1);
            entry.waits = matches!(outcome, Outcome::Failed(error) if error.is_away());
            entry.refused = matches!(outcome, Outcome::Failed(error) if error.is_refusal());
            match outcome {
                Outcome::InForce(_) | Outcome::Withdrawn => {
                    let gives = matches!(outcome, Outcome::InForce(state) if K::gives(state));
                    entry.held = if gives { Held::Applied } else { Held::Withdrawn };
                    entry.in_force = if let Plan::Reject { .. } = plan { in_force } else { Some(generation) };
                    entry.failures = 0;
                }
                // What is known by now may be newer than what this pass began with.
                Outcome::NotAsked | Outcome::Failed(_) if entry.held == Held::Unknown => {
                    entry.in_force = in_force;
                    // Another leader took out of force what was there before.
                    if in_force.is_some() && gave_nothing {
                        entry.held = Held::Withdrawn;
                    }
                }
                Outcome::NotAsked | Outcome::Failed(_) => {}
            }
        });
    }

    /// Whether the object is older here than what was written last, because its watch is slow.
    fn is_behind(&self, meta: &KubeMeta) -> bool {
        api_server::version(meta).is_some_and(|version| version < self.entry.written)
    }

    /// Writes the status if it is worth it, and tells of a new reason.
    async fn publish<K: Reconciled>(
        &self,
        seen: &Seen<K>,
        previous: &K::Status,
        wanted: &K::Status,
    ) -> Result<(), Error> {
        let ledger = &self.context.ledger;
        let worth = if self.is_behind(seen.meta()) {
            // What it is compared with is not what stands there. Written once more, it changes nothing.
            Worth::Facts
        } else {
            status::worth_now::<K>(previous, wanted, ledger, &self.entry, self.now)
        };
        if !status::is_written_now(worth, ledger, self.now) {
            return Ok(());
        }
        self.write::<K>(wanted).await?;
        if worth != Worth::Nothing {
            self.note(K::WIRE, |entry| {
                entry.counters_written = Some(self.now);
                entry.denials_told.extend(K::last_denial(wanted).map(|denial| (denial.to_owned(), self.now)));
            });
        }
        let of_ready = news(K::conditions_of(previous), K::conditions_of(wanted));
        for news in of_ready.into_iter().chain(K::further_news(previous, wanted)) {
            self.context.events.publish(&seen.object_ref(&()), "Reconcile", &news).await;
        }
        Ok(())
    }

    async fn write<K: Reconciled>(&self, wanted: &K::Status) -> Result<(), Error> {
        // One whose answer is lost may have been written.
        self.note(K::WIRE, |entry| entry.written = u64::MAX);
        let version = status::write::<K>(&self.context.client, &self.key, &self.uid, wanted)
            .instrument(span!("write status"))
            .await
            .map_err(|error| Error::WriteStatus(self.target::<K>(), error))?;
        self.context.metrics.status_written(K::WIRE);
        self.note(K::WIRE, |entry| entry.written = version.unwrap_or_default());
        if let Some(version) = version {
            // The next pass compares with what the store has.
            self.context.index.catch_up::<Seen<K>>(&self.key, version, CATCH_UP).await;
        }
        Ok(())
    }

    fn waits<K: Reconciled>(&self) -> Next {
        self.context.metrics.reconciled(K::WIRE, metrics::Outcome::Waits);
        Next::After(jittered(WAITS, &self.uid))
    }

    /// When to look again.
    fn after_outcome<K: Reconciled>(&self, changes_at: [Option<Timestamp>; 2], outcome: &Outcome<K::State>) -> Next {
        let Outcome::Failed(error) = outcome else {
            self.context.metrics.reconciled(K::WIRE, metrics::Outcome::Done);
            return next_look(changes_at, self.now);
        };
        let kind = if error.is_away() { metrics::Outcome::ServerAway } else { metrics::Outcome::Refused };
        self.context.metrics.reconciled(K::WIRE, kind);
        tracing::debug!(kind = K::KIND, key = %self.key, %error, "the server did not take it");
        match error.retry() {
            Retry::Never => next_look(changes_at, self.now),
            Retry::After(wait) => Next::After(wait),
            Retry::BackOff => {
                Next::After(back_off(self.context.ledger.failed(K::WIRE, &self.key, &self.uid), &self.uid))
            }
        }
    }

    /// An object that does not parse: the API server has a newer schema, or none was asked.
    async fn reject<K: Reconciled>(&self, seen: &Seen<K>, error: &str) -> Result<Next, Error> {
        let generation = seen.meta().generation.unwrap_or_default();
        let is_managed = self.context.index.manages(&self.key.namespace);
        let rejected = Plan::Reject { reason: Reason::InvalidSpec, what: format!("spec: {error}") };
        let plan = if is_managed { rejected } else { Plan::NotManaged };
        let outcome = self.tell::<K>(seen, &plan).await?;
        let in_force = self.still_in_force::<K>(self.entry.in_force_or(|| None), &plan, &outcome);
        self.remember::<K>(generation, in_force, false, &plan, &outcome);
        let (accepted, programmed) = if let Plan::Reject { reason, what } = &plan {
            (conditions::rejected(*reason, what, in_force), Programmed::AsBefore)
        } else {
            let verdict = conditions::not_managed(&self.key.namespace);
            (verdict.clone(), Programmed::Now(verdict))
        };
        let said = format!("{generation} {}", accepted.message);
        // Its status cannot be read either, so what was said stands in memory.
        if self.entry.said.as_deref() != Some(said.as_str()) {
            let in_force = in_force.map(|generation| {
                let (programmed, time) = (ConditionType::Programmed, Time(self.now));
                Condition::new(programmed, ConditionStatus::True, Reason::Programmed, "", Some(generation), time)
            });
            let wanted = conditions::conclude(Findings {
                previous: in_force.as_slice(),
                generation,
                accepted,
                resolved: None,
                programmed,
                own: None,
                now: self.now,
            });
            let news = news(&[], &wanted);
            self.write::<K>(&K::bare_status(generation, wanted)).await?;
            self.note(K::WIRE, |entry| entry.said = Some(said.into()));
            if let Some(news) = news {
                self.context.events.publish(&seen.object_ref(&()), "Reconcile", &news).await;
            }
        }
        Ok(self.after_outcome::<K>([None, None], &outcome))
    }

    /// An object that is being deleted: the server forgets it first.
    async fn release<K: Reconciled>(&self, seen: &Seen<K>) -> Result<Next, Error> {
        let meta = seen.meta();
        let deleted_at = meta.deletion_timestamp.as_ref().map_or(self.now, |time| time.0);
        let trash = seen.0.as_ref().is_ok_and(|received| received.object.is_trashed());
        let told = self.delete::<K>(trash).await;
        match finalizer::release(told.as_ref().map(drop), deleted_at, self.now) {
            Release::After(wait) => {
                self.note(K::WIRE, |entry| entry.waits = true);
                self.context.metrics.reconciled(K::WIRE, metrics::Outcome::ServerAway);
                return Ok(Next::After(wait));
            }
            Release::Deferred if finalizer::is_on(meta) => {
                self.context.ledger.defer(&self.uid, trash);
                let news = News::warning(
                    Reason::CleanupDeferred,
                    "The server cannot be told that this object is gone: the operator tells it as soon as it can.",
                );
                self.context.events.publish(&seen.object_ref(&()), "Delete", &news).await;
            }
            Release::Deferred => self.context.ledger.defer(&self.uid, trash),
            Release::Now => {
                let farewell = seen.0.as_ref().ok().and_then(|received| received.object.farewell());
                if let Some(news) = farewell.filter(|_| finalizer::is_on(meta)) {
                    self.context.events.publish(&seen.object_ref(&()), "Delete", &news).await;
                }
            }
        }
        finalizer::remove::<K>(&self.context.client, &self.key, meta)
            .await
            .map_err(|error| Error::RemoveFinalizer(self.target::<K>(), error))?;
        self.context.ledger.forget(K::WIRE, &self.key);
        self.context.metrics.reconciled(K::WIRE, metrics::Outcome::Done);
        Ok(Next::OnTouch)
    }
}

/// At the instant when the status changes by the clock alone. What is looked at once in a while all the same, the comparison
/// sees to: ten thousand timers would only take memory. Pure.
fn next_look(changes_at: [Option<Timestamp>; 2], now: Timestamp) -> Next {
    let next = changes_at.into_iter().flatten().filter(|at| *at > now).min();
    let until = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok()).filter(|until| *until <= FAR);
    // A little late rather than a little early: what is early finds nothing changed and comes again.
    until.map_or(Next::OnTouch, |until| Next::After(until + Duration::from_millis(200)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_looked_at_when_its_date_comes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (never, soon) = (Next::OnTouch, Next::After(Duration::from_millis(30_200)));
        for (changes_at, expected) in [
            ([None, None], never),
            ([Some(at(10)), None], never),
            ([None, Some(at(100))], never),
            ([Some(at(130)), None], soon),
            ([Some(at(10)), Some(at(130))], soon),
            ([Some(at(140)), Some(at(130))], soon),
            ([Some(at(1_000_000)), None], never),
        ] {
            assert_eq!(next_look(changes_at, at(100)), expected);
        }
    }
}
