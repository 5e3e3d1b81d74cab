//! The loop: become a machine, read what is new, write it, wait for more.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_traces::{parent, span};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::cause::in_full;
use crate::client::{CallError, Client, printable};
use crate::clock::{Clock, UnixMillis, parse_rfc3339, rfc3339};
use crate::enrol::{self, Doorway};
use crate::fetch::{Holdings, Progress};
use crate::identity::Identity;
use crate::manifest::{Manifest, SecretVersion};
use crate::notify::Notifier;
use crate::outlook::Outlook;
use crate::publish::{Change, Label, PublishError, Published, Volume};
use crate::render::{FileSet, MissingFile, render};
use crate::schedule;
use crate::state::{State, StateFile, reason};
use crate::status::Board;

/// How long an answer may take that the server does not hold on purpose.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long files of an earlier process stay when it did not say it.
const DEFAULT_STALENESS: Duration = Duration::from_hours(24);
/// What the state says for as long as the files are gone for this.
const STALE: &str =
    "the server was away for longer than spec.delivery.maxStaleness: the files are removed until it is back";
/// The shortest pause between two attempts to remove stale files: a call of the server is cut short by each.
const MIN_REMOVAL_PAUSE: Duration = Duration::from_secs(1);
/// How long a started process may take before it removes files of an earlier one that have become stale meanwhile.
const ADOPTION: Duration = Duration::from_secs(5);

/// The sidecar.
pub struct Agent {
    doorway: Doorway,
    client: Client,
    clock: Arc<dyn Clock>,
    volume: Volume,
    state: StateFile,
    notifier: Notifier,
    identity: Option<Identity>,
    holdings: Holdings,
    /// Failures in a row.
    failures: u32,
    /// Answers in a row that were neither news nor held.
    idle: u32,
    /// When the files go, unless the server is heard from before.
    stale_at: Option<Instant>,
    /// The same by the clock, as it was last written down.
    stale_at_written: UnixMillis,
    /// Whether what is held is not what is in the volume.
    is_unpublished: bool,
    /// How often in a row nothing got there.
    publish_failures: u32,
    /// Whether the files are gone because the server was away for too long, and still is.
    are_stale: bool,
    /// What others are shown and told.
    outlook: Outlook,
    /// Whether an application runs that may have to be told.
    has_application: bool,
    /// The span of the start, until every required file is there.
    start: Span,
}

impl Agent {
    /// A sidecar that goes on with what an earlier one left in `volume`; `before` is what that one said last.
    pub fn new(
        doorway: Doorway,
        client: Client,
        clock: Arc<dyn Clock>,
        volume: Volume,
        state: StateFile,
        before: Option<&State>,
    ) -> Self {
        let stale_at = volume.has_files().then(|| {
            let until = before.and_then(|state| parse_rfc3339(state.files_until.as_deref()?));
            let left = until.map_or(DEFAULT_STALENESS, |until| {
                Duration::from_millis(u64::try_from(until.saturating_sub(clock.now())).unwrap_or(0))
            });
            Instant::now() + left.max(ADOPTION)
        });
        let outlook = Outlook::new(doorway.clone(), before.is_some_and(|state| state.machine));
        Self {
            doorway,
            client,
            clock,
            volume,
            state,
            notifier: Notifier::default(),
            identity: None,
            holdings: Holdings::default(),
            failures: 0,
            idle: 0,
            stale_at,
            stale_at_written: 0,
            is_unpublished: true,
            publish_failures: 0,
            are_stale: false,
            outlook,
            has_application: true,
            start: Span::none(),
        }
    }

    /// What goes on until every required file is there belongs to one trace, below the span that `parent` names.
    pub fn trace_start(&mut self, parent: Option<&str>) {
        let span = span!("start");
        if let Some(parent) = parent {
            parent::adopt(&span, parent);
        }
        self.start = span;
    }

    /// The same before the application runs: nobody is told of changes.
    #[must_use]
    pub fn before_the_application(mut self) -> Self {
        self.has_application = false;
        self
    }

    /// Shows on `board` how it stands.
    pub fn show_on(&mut self, board: Arc<Board>) {
        self.notifier = Notifier::counting(Arc::clone(&board));
        self.outlook.show_on(board);
        self.look();
    }

    /// Says what a person should see to.
    pub fn warn(&mut self, warning: Option<String>) {
        self.outlook.warn(warning);
    }

    /// Works until it is dropped, which may be at any `await`.
    pub async fn run(&mut self) -> Infallible {
        loop {
            let pause = self.exchange().await;
            self.rest(pause).await;
        }
    }

    /// One exchange with the server, or the end of files that have become stale. Gives how long to pause. May be dropped at
    /// any `await`.
    pub async fn exchange(&mut self) -> Duration {
        let span = self.start.in_scope(|| span!("exchange", ready = Empty, reason = Empty));
        let pause = match before(self.stale_at, self.talk().instrument(span.clone())).await {
            Some(pause) => pause,
            None => self.remove_stale(),
        };
        self.look();
        let said = self.state.said();
        span.record("ready", said.ready).record("reason", &*said.reason);
        if said.ready {
            // It ends with the last that holds it.
            self.start = Span::none();
        }
        pause
    }

    /// Pauses. May be dropped at any `await`.
    pub async fn rest(&mut self, pause: Duration) {
        if before(self.stale_at, sleep(pause)).await.is_none() {
            self.remove_stale();
            self.look();
        }
    }

    /// How it stands.
    pub fn said(&self) -> &State {
        self.state.said()
    }

    /// Forgets the identity's key and gives the identity up: tries until the server has heard it, within `bound`.
    pub async fn resign(&mut self, bound: Duration) {
        let Some(mut identity) = self.identity.take() else { return };
        let deadline = Instant::now() + bound;
        let mut failures = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let resigned = enrol::resign(&mut self.client, &identity, left.min(PATIENCE));
            match timeout_at(deadline, resigned).await {
                Ok(Ok(())) => {
                    self.state.note_machine(false);
                    return tracing::info!(machine = %identity.machine_id(), "resigned");
                }
                // It is over already: an answer that was lost came after the deed.
                Ok(Err(error)) if error.status() == Some(StatusCode::UNAUTHORIZED) && !identity.refused() => {
                    self.state.note_machine(false);
                    return tracing::info!(machine = %identity.machine_id(), "has resigned or ended before");
                }
                Ok(Err(error)) => tracing::warn!(error = in_full(&error), "has not resigned yet"),
                Err(_) => break,
            }
            failures += 1;
            let pause = schedule::backoff(failures, self.client.random().jitter(), None);
            if timeout_at(deadline, sleep(pause)).await.is_err() {
                break;
            }
        }
        tracing::warn!(
            machine = %identity.machine_id(),
            "cannot resign in time: nobody has this machine's key any more, and the operator revokes it with its pod"
        );
    }

    /// One exchange with the server, after whatever it takes to be let in. Gives how long to pause.
    async fn talk(&mut self) -> Duration {
        self.renew_if_due().await;
        if self.identity.is_none()
            && let Err(pause) = self.enrol().await
        {
            return pause;
        }
        self.sync().await
    }

    async fn enrol(&mut self) -> Result<(), Duration> {
        let enrolled = enrol::enrol(&mut self.client, &self.doorway).instrument(span!("enrol")).await;
        self.outlook.counts().enrolments.add(&enrolled);
        match enrolled {
            Ok(identity) => {
                tracing::info!(machine = %identity.machine_id(), server = %identity.server(), "enrolled");
                self.identity = Some(identity);
                self.state.note_machine(true);
                self.outlook.enrolled(&self.client);
                Ok(())
            }
            Err(error) => {
                if error.ends_access() {
                    self.access_is_over(&in_full(&error));
                }
                self.outlook.not_enrolled(&error);
                let reason = if error.is_refusal() { reason::ENROLMENT_REFUSED } else { reason::ENROLMENT_FAILED };
                Err(self.failed(reason, &error, error.retry_after()))
            }
        }
    }

    async fn renew_if_due(&mut self) {
        let now = self.client.server_time();
        let Some(identity) = self.identity.as_mut().filter(|id| id.until_renewal(now) == Some(Duration::ZERO)) else {
            return;
        };
        let renewed = enrol::renew(&mut self.client, identity).instrument(span!("renew")).await;
        self.outlook.counts().renewals.add(&renewed);
        match renewed {
            Ok(()) => tracing::info!(machine = %identity.machine_id(), "renewed"),
            Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => {
                tracing::warn!(error = in_full(&error), "not renewed");
                self.identity_refused();
            }
            Err(error) => tracing::warn!(error = in_full(&error), "not renewed: tries again"),
        }
    }

    /// The server does not accept the signature. The files stay meanwhile.
    fn identity_refused(&mut self) {
        if !self.identity.as_mut().is_some_and(Identity::refused) {
            self.identity = None;
        }
    }

    async fn sync(&mut self) -> Duration {
        let Some(identity) = &self.identity else { return Duration::ZERO };
        let now = self.client.server_time();
        // At the start and after a failure the answer is wanted at once.
        let is_urgent = self.failures > 0 || self.is_unpublished;
        let held = (!is_urgent).then(|| schedule::wait_seconds(self.staleness(), identity.until_renewal(now)));
        let wait = held.unwrap_or(0);
        let ask = self.holdings.ask(wait);
        let started = Instant::now();
        let patience = PATIENCE + Duration::from_secs(u64::from(wait));
        let server = identity.server().clone();
        let answer = self.client.call_signed(&server, &ask, identity.signer(), patience).await;
        self.outlook.counts().syncs.add(&answer);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.sync_failed(&error),
        };
        let (next, expires_at) = (answer.next_sync_millis, answer.identity_expires_at);
        let progress = self.holdings.take(answer);
        tracing::debug!(?progress, waited = wait, "the server answered");
        let now = self.client.server_time();
        let jitter = self.client.random().jitter();
        if let Some(identity) = &mut self.identity {
            identity.confirmed(expires_at, now, jitter);
        }
        self.heard_from_server();
        self.outlook.answered(self.clock.now(), self.client.skew());
        if progress != Progress::None || self.is_unpublished || self.failures > 0 {
            self.publish();
        }
        self.failures = 0;
        // A denial that is only repeated is no reason to ask again at once: whoever waits for a person waits long.
        let was_news = progress == Progress::New;
        let was_held = schedule::was_held(held, started.elapsed());
        self.idle = if was_news || was_held { 0 } else { self.idle.saturating_add(1) };
        let pause = if self.is_unpublished {
            // The volume is the trouble, not the server, which is asked less and less often while nothing can be done with
            // its answers. It is asked all the same: a denial takes files away without any room.
            schedule::backoff(self.publish_failures, self.client.random().jitter(), None)
        } else {
            schedule::pause(next, was_news, self.idle)
        };
        let until_renewal = self.identity.as_ref().and_then(|identity| identity.until_renewal(now));
        until_renewal.map_or(pause, |left| pause.min(left))
    }

    fn sync_failed(&mut self, error: &CallError) -> Duration {
        match error {
            CallError::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                tracing::warn!(error = in_full(error), "the server does not accept this machine's signature");
                self.identity_refused();
                self.failures += 1;
                // The first time at once; if that does not help, no faster than any other failure.
                if self.failures <= 2 { Duration::ZERO } else { self.backoff(None) }
            }
            CallError::Refused {
                status: StatusCode::FORBIDDEN,
                code: Some(ErrorCode::MachineNotActive),
                message,
                ..
            } => {
                self.access_is_over(message);
                self.failed(DenialReason::MachineSuspended.as_str(), error, error.retry_after())
            }
            CallError::Refused { .. } => self.failed(reason::SERVER_REFUSED, error, error.retry_after()),
            _ => self.failed(reason::SERVER_UNREACHABLE, error, None),
        }
    }

    /// Access is over as a whole, not for one secret alone: the files go, or stay, as `onRevoked` says.
    fn access_is_over(&mut self, message: &str) {
        self.heard_from_server();
        self.holdings.deny_all(DenialReason::MachineSuspended, &printable(message));
        if self.holdings.delivery().is_some() {
            self.publish();
        }
    }

    /// Says what went wrong and gives how long to pause.
    fn failed(
        &mut self,
        reason: &'static str,
        error: &dyn std::error::Error,
        retry_after: Option<Duration>,
    ) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let mut message = in_full(error);
        if self.are_stale {
            let message = format!("{STALE}: {message}");
            self.state.say(false, reason::FILES_STALE, &message);
            return self.backoff(retry_after);
        }
        if let Some(stale_at) = self.stale_at {
            let left = stale_at.saturating_duration_since(Instant::now());
            let until = self.clock.now().saturating_add_unsigned(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            // To the minute, so that the same trouble is the same message each time.
            message = format!("{message}: files stay until {}", rfc3339(until - until.rem_euclid(60_000)));
        }
        self.state.say(self.state.is_ready(), reason, &message);
        self.backoff(retry_after)
    }

    fn backoff(&self, retry_after: Option<Duration>) -> Duration {
        schedule::backoff(self.failures, self.client.random().jitter(), retry_after)
    }

    fn staleness(&self) -> Duration {
        self.holdings
            .delivery()
            .map_or(DEFAULT_STALENESS, |delivery| schedule::staleness(delivery.max_staleness_seconds))
    }

    /// The files are good for another while. That is written down for a process that may follow this one, but not each
    /// time.
    fn heard_from_server(&mut self) {
        self.are_stale = false;
        let staleness = self.staleness();
        self.stale_at = Some(Instant::now() + staleness);
        let millis = i64::try_from(staleness.as_millis()).unwrap_or(i64::MAX / 2);
        let until = self.clock.now().saturating_add(millis);
        if self.stale_at_written.abs_diff(until) > millis.unsigned_abs() / 16 {
            self.stale_at_written = until;
            self.state.keep_files_until(Some(until));
        }
    }

    /// The server was away for too long: the files go, and what they were made of is forgotten.
    fn remove_stale(&mut self) -> Duration {
        self.stale_at = None;
        self.stale_at_written = 0;
        self.holdings.forget_values();
        let label = self.label();
        let published = self.volume.publish(&[], &BTreeSet::new(), &label);
        self.count(&published);
        match published {
            Ok(published) => {
                self.publish_failures = 0;
                self.outlook.files_are_stale(STALE);
                self.tell_application(&published);
                self.state.keep_files_until(None);
                self.are_stale = true;
                self.state.say(false, reason::FILES_STALE, STALE);
            }
            Err(error) => {
                self.publish_failures = self.publish_failures.saturating_add(1);
                let pause = schedule::backoff(self.publish_failures, self.client.random().jitter(), None);
                self.stale_at = Some(Instant::now() + pause.max(MIN_REMOVAL_PAUSE));
                self.state.say(self.state.is_ready(), error.reason(), &in_full(&error));
            }
        }
        self.is_unpublished = true;
        Duration::ZERO
    }

    /// Writes what is held and says how it stands.
    fn publish(&mut self) {
        if self.holdings.delivery().is_none() {
            self.publish_failures = self.publish_failures.saturating_add(1);
            let message = "the server has not said which files to write";
            return self.state.say(self.state.is_ready(), reason::PENDING, message);
        }
        // Before the application runs, nothing is lost when a file goes, and old ones are not taken for right.
        let in_place = if self.has_application { self.volume.manifest() } else { None };
        let set = render(&self.holdings, in_place.as_ref());
        let may_stay: BTreeSet<_> = set.missing.iter().filter_map(|missing| missing.may_stay.clone()).collect();
        let label = self.label();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (files, missing) = (number(set.files.len()), number(set.missing.len()));
        let swap = span!("swap files", files, missing, reason = Empty);
        let published = swap.in_scope(|| self.volume.publish(&set.files, &may_stay, &label));
        if let Err(error) = &published {
            swap.record("reason", error.reason());
        }
        drop(swap);
        self.count(&published);
        let standing = match &published {
            Ok(published) => standing(&set, published, in_place.as_ref()),
            // The set before, or what of it could stay.
            Err(_) => self.volume.manifest().map(Manifest::into_secrets).unwrap_or_default(),
        };
        self.holdings.note_files(&standing);
        match published {
            Ok(published) => {
                self.outlook.published(&set, &published);
                self.is_unpublished = false;
                self.publish_failures = 0;
                self.tell_application(&published);
                let (ready, reason, message) = verdict(&set, &published);
                self.state.say(ready, reason, &message);
            }
            Err(error) => {
                self.is_unpublished = true;
                self.publish_failures = self.publish_failures.saturating_add(1);
                self.state.say(self.state.is_ready(), error.reason(), &in_full(&error));
            }
        }
    }

    /// Counts sets that were put in place, and those that could not be.
    fn count(&self, published: &Result<Published, PublishError>) {
        if !matches!(published, Ok(Published { change: Change::None, .. })) {
            self.outlook.counts().publications.add(published);
        }
    }

    /// Shows and tells how it stands.
    fn look(&mut self) {
        self.outlook.look(self.state.said(), self.identity.as_ref(), &self.client);
    }

    fn tell_application(&mut self, published: &Published) {
        tracing::debug!(change = ?published.change, "published");
        // Until every required file has been there once, the application is not started: what makes the set whole is what it
        // starts with.
        let is_running = self.has_application && self.state.said().was_complete;
        if published.change == Change::Swapped && is_running {
            self.notifier.changed(self.holdings.delivery().and_then(|delivery| delivery.on_change.as_ref()));
        }
    }

    /// Names a generation: the time for people, the random part so that no two are alike.
    fn label(&self) -> Label {
        let time = rfc3339(self.clock.now());
        let start = time.trim_end_matches('Z').replace(['-', ':', 'T', '.'], "_");
        let stamp = format!("{start}.{:016x}", self.client.random().jitter());
        Label { stamp, time, delivery_revision: self.holdings.revision().map(str::to_owned) }
    }
}

/// What `future` gives, or nothing if the deadline comes first.
async fn before<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// What the files in place are made of. `before`: what was said of those before them.
fn standing(set: &FileSet, published: &Published, before: Option<&Manifest>) -> Vec<SecretVersion> {
    let written = set.files.iter().flat_map(|file| file.made_of.iter().cloned());
    let stayed =
        published.stayed.iter().flat_map(|name| before.map(|it| it.secrets_of(name.as_str())).unwrap_or_default());
    written.chain(stayed).collect()
}

/// Whether every required file is in place, why, and in words. What somebody may have to repair comes before what a clock or a
/// person ends by themselves: whoever waits for all of it has to know of that first.
fn verdict(set: &FileSet, published: &Published) -> (bool, &'static str, String) {
    let is_absent = |file: &&MissingFile| file.may_stay.as_ref().is_none_or(|name| !published.stayed.contains(name));
    let mut absent = set.missing.iter().filter(is_absent);
    let required: Vec<_> = absent.clone().filter(|file| !file.optional).collect();
    if let Some(first) = required.iter().find(|file| !file.is_patient()).or(required.first()) {
        let rest = required.len() - 1;
        let more = if rest == 0 { String::new() } else { format!(" (and {rest} more)") };
        return (false, first.reason, format!("{}{more}", first.message));
    }
    let count = set.files.len() + published.stayed.len();
    let count = format!("{count} {}", if count == 1 { "file" } else { "files" });
    let message = if let Some(optional) = absent.next() {
        format!("{count}; left out, as it is optional: {}", optional.message)
    } else if let Some(kept) = set.kept.first() {
        format!("{count}; {}", kept.message)
    } else if let Some(stays) = set.missing.iter().find(|file| !is_absent(file)) {
        format!("{count}; as it was before, because {}", stays.message)
    } else {
        count
    };
    (true, reason::READY, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sikkerkey_files::layout::FileName;

    fn missing(path: &str, optional: bool, stays: bool) -> MissingFile {
        let may_stay = stays.then(|| FileName::parse(path).unwrap());
        MissingFile {
            path: path.to_owned(),
            may_stay,
            optional,
            reason: "NotGranted",
            denial: Some(DenialReason::NotGranted),
            message: format!("file {path} waits"),
        }
    }

    #[test]
    fn what_somebody_may_have_to_repair_comes_before_what_a_clock_or_a_person_ends() {
        use DenialReason::{CoSignMissing, LockedOut, NotGranted, OutsideTimeWindow, ValueMissing};
        for (denials, reason) in [
            (&[CoSignMissing, NotGranted][..], "NotGranted"),
            (&[NotGranted, CoSignMissing], "NotGranted"),
            (&[OutsideTimeWindow, CoSignMissing, LockedOut], "OutsideTimeWindow"),
            (&[OutsideTimeWindow, ValueMissing, NotGranted], "ValueMissing"),
        ] {
            let denied = |denial: &DenialReason| MissingFile {
                reason: denial.as_str(),
                denial: Some(*denial),
                ..missing("a", false, false)
            };
            let set = FileSet { missing: denials.iter().map(denied).collect(), ..FileSet::default() };
            let published = Published { change: Change::None, stayed: BTreeSet::new() };
            assert_eq!(verdict(&set, &published).1, reason, "{denials:?}");
        }
        let published = Published { change: Change::None, stayed: BTreeSet::new() };
        let invalid = MissingFile { reason: reason::FILE_INVALID, denial: None, ..missing("b", false, false) };
        let waits = MissingFile { denial: Some(CoSignMissing), ..missing("a", false, false) };
        let set = FileSet { missing: vec![waits, invalid], ..FileSet::default() };
        assert_eq!(verdict(&set, &published), (false, "FileInvalid", "file b waits (and 1 more)".to_owned()));
    }

    #[test]
    fn a_required_file_that_is_absent_gates_and_an_optional_one_does_not() {
        let stayed = |names: &[&str]| Published {
            change: Change::None,
            stayed: names.iter().map(|name| FileName::parse(name).unwrap()).collect(),
        };
        let cases = [
            (vec![], stayed(&[]), (true, "Ready", "0 files")),
            (vec![missing("a", false, false)], stayed(&[]), (false, "NotGranted", "file a waits")),
            (
                vec![missing("o", true, false), missing("a", false, true), missing("b", false, false)],
                stayed(&[]),
                (false, "NotGranted", "file a waits (and 1 more)"),
            ),
            (
                vec![missing("o", true, true)],
                stayed(&[]),
                (true, "Ready", "0 files; left out, as it is optional: file o waits"),
            ),
            (
                vec![missing("a", false, true)],
                stayed(&["a"]),
                (true, "Ready", "1 file; as it was before, because file a waits"),
            ),
        ];
        for (missing, published, (ready, reason, message)) in cases {
            let set = FileSet { missing, ..FileSet::default() };
            assert_eq!(verdict(&set, &published), (ready, reason, message.to_owned()));
        }
    }
}
