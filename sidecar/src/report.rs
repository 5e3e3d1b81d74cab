//! Has the operator say as an Event what a person should know of this pod: while the hook of the sidecar's start runs,
//! nothing else of it is seen.
//!
//! Best effort: no read waits for it, and what cannot be reported is in the log and in the state all the same.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::report::{MAX_MESSAGE, Report, ReportReason};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::cause::in_full;
use crate::client::Client;
use crate::enrol::{Doorway, read_token};
use crate::state::reason;
use crate::status::Board;

/// How long something stands before it is reported: an ordinary start makes no noise.
const PAUSE: Duration = Duration::from_secs(5);
/// How often a report is tried.
const ATTEMPTS: u32 = 3;
/// How long the operator may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest pause that the operator can impose between two tries.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);
/// How much that was told is remembered. Beyond it something may be told again.
const REMEMBERED: usize = 64;

/// What is reported, and why for a person.
pub type News = (ReportReason, String);

/// What makes it another thing to tell.
type Gist = (ReportReason, String);

/// What was told since all was well.
type Told = Arc<Mutex<BTreeSet<Gist>>>;

/// Reports each thing once, when it has stood for a while, until all is well.
#[derive(Debug)]
pub struct Reporter {
    doorway: Doorway,
    board: Arc<Board>,
    told: Told,
    /// What is being told, or was last.
    standing: Option<Gist>,
    pending: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Reports to the operator of `doorway`, counting on `board`.
    pub fn new(doorway: Doorway, board: Arc<Board>) -> Self {
        Self { doorway, board, told: Told::default(), standing: None, pending: None }
    }

    /// Counts on `board`.
    pub fn count_on(&mut self, board: Arc<Board>) {
        self.board = board;
    }

    /// How it stands now. Without `news` all is well if `is_ready`, and then what was told before may be told again. `client`
    /// makes one to report with.
    pub fn stands(&mut self, news: Option<News>, is_ready: bool, client: impl FnOnce() -> Client) {
        let gist = news.as_ref().map(gist);
        if gist.is_none() && is_ready {
            told(&self.told).clear();
        }
        if gist == self.standing && self.pending.as_ref().is_none_or(|task| !task.is_finished()) {
            return;
        }
        self.cancel();
        self.standing.clone_from(&gist);
        let Some((news, gist)) = news.zip(gist).filter(|(_, gist)| !told(&self.told).contains(gist)) else { return };
        let (doorway, board, client) = (self.doorway.clone(), Arc::clone(&self.board), client());
        let heard = Arc::clone(&self.told);
        self.pending = Some(tokio::spawn(async move {
            sleep(PAUSE).await;
            // What nobody heard is told anew if it still stands.
            if report(client, doorway, board, news).await {
                let mut told = told(&heard);
                if told.len() >= REMEMBERED {
                    told.clear();
                }
                told.insert(gist);
            }
        }));
    }

    /// Something has happened, whatever stands.
    pub fn happened(&self, news: News, client: Client) {
        let (doorway, board) = (self.doorway.clone(), Arc::clone(&self.board));
        tokio::spawn(async move { report(client, doorway, board, news).await });
    }

    fn cancel(&mut self) {
        if let Some(task) = self.pending.take() {
            task.abort();
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.cancel();
    }
}

fn told(told: &Told) -> MutexGuard<'_, BTreeSet<Gist>> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gist((reason, message): &News) -> Gist {
    (*reason, reason.gist(message).to_owned())
}

/// Whether that is settled: the operator has heard it, or takes no such report.
async fn report(mut client: Client, doorway: Doorway, board: Arc<Board>, (reason, message): News) -> bool {
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    for attempt in 1..=ATTEMPTS {
        let token = match read_token(&doorway.token) {
            Ok(token) => token,
            Err(error) => {
                tracing::debug!(error = in_full(&error), "cannot report");
                return false;
            }
        };
        let report = Report { token, reason, message: message.clone() };
        let reported = client.call(&doorway.operator, &report, PATIENCE).await;
        board.counts.reports.add(&reported);
        let Err(error) = reported else {
            tracing::debug!(?reason, "reported to the operator");
            return true;
        };
        // It is of an earlier version, or this pod is none of its own. Whoever was sent away for a while comes again.
        if error.status().is_some_and(|status| status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS) {
            tracing::debug!(error = in_full(&error), ?reason, "the operator takes no report");
            return true;
        }
        tracing::debug!(error = in_full(&error), ?reason, attempt, "cannot report to the operator");
        if attempt < ATTEMPTS {
            let asked = error.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
            sleep(asked.max(PAUSE * (1 << attempt))).await;
        }
    }
    false
}

/// What a state is reported as. A refusal of the operator's it tells itself.
pub fn of_state(reason: &str) -> Option<ReportReason> {
    use ReportReason as R;
    match reason {
        reason::ENROLMENT_FAILED => Some(R::EnrolmentFailed),
        reason::SERVER_UNREACHABLE | reason::SERVER_REFUSED => Some(R::ServerUnreachable),
        reason::FILES_STALE => Some(R::FilesStale),
        reason::FILE_REFUSED
        | reason::FILE_INVALID
        | reason::FORMAT_UNSUPPORTED
        | reason::VOLUME_FULL
        | reason::PUBLISH_FAILED => Some(R::FilesNotWritten),
        denial => serde_json::from_value(denial.into()).ok().and_then(of_denial),
    }
}

/// What a denial is reported as; a word that is no denial of this version is none.
pub fn of_denial(reason: DenialReason) -> Option<ReportReason> {
    match reason {
        DenialReason::CoSignMissing | DenialReason::CoSignRefused => Some(ReportReason::CoSignAwaited),
        DenialReason::Other => None,
        _ => Some(ReportReason::ReadDenied),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::client::{Origin, Trust};

    #[test]
    fn states_and_denials_are_reported_as_what_they_mean() {
        use ReportReason as R;
        for (state, expected) in [
            ("Ready", None),
            ("Starting", None),
            ("Pending", None),
            ("EnrolmentRefused", None),
            ("FileInvalid", Some(R::FilesNotWritten)),
            ("FileRefused", Some(R::FilesNotWritten)),
            ("FormatUnsupported", Some(R::FilesNotWritten)),
            ("VolumeFull", Some(R::FilesNotWritten)),
            ("PublishFailed", Some(R::FilesNotWritten)),
            ("EnrolmentFailed", Some(R::EnrolmentFailed)),
            ("ServerUnreachable", Some(R::ServerUnreachable)),
            ("FilesStale", Some(R::FilesStale)),
            ("NotGranted", Some(R::ReadDenied)),
            ("RateCapReached", Some(R::ReadDenied)),
            ("CoSignMissing", Some(R::CoSignAwaited)),
        ] {
            assert_eq!(of_state(state), expected, "{state}");
        }
    }

    fn client() -> Client {
        let trust = Trust::nobody().unwrap();
        Client::new(trust, Arc::new(crate::clock::SystemClock), Arc::new(crate::random::OsRandom))
    }

    /// A reporter whose operator is away.
    fn reporter(token: &Path) -> Reporter {
        let doorway = Doorway { operator: Origin::parse("https://127.0.0.1:1").unwrap(), token: token.to_owned() };
        Reporter::new(doorway, Arc::default())
    }

    #[tokio::test]
    async fn what_only_changes_its_words_is_told_once() {
        use ReportReason::{CoSignAwaited, FilesRemoved, FilesStale, ReadDenied, ServerUnreachable};
        let news = |reason, text: &str| Some((reason, text.to_owned()));
        for (before, now, same) in [
            (None, news(ServerUnreachable, "a"), false),
            (news(ServerUnreachable, "a"), news(ServerUnreachable, "b"), true),
            (news(FilesStale, "gone: no route"), news(FilesStale, "gone: refused"), true),
            (news(CoSignAwaited, "request 1"), news(CoSignAwaited, "request 1"), true),
            (news(CoSignAwaited, "request 1"), news(CoSignAwaited, "request 2"), false),
            (news(ServerUnreachable, "a"), news(CoSignAwaited, "request 2"), false),
            (news(ReadDenied, "file a: RateCapReached: at 1"), news(ReadDenied, "file a: RateCapReached: at 2"), true),
            (news(ReadDenied, "file a: RateCapReached: at 1"), news(ReadDenied, "file b: RateCapReached: at 1"), false),
            (news(ReadDenied, "file a: RateCapReached: at 1"), news(ReadDenied, "file a: NotGranted"), false),
            (news(FilesRemoved, "a: b: PolicyEnded: 1"), news(FilesRemoved, "a: b: PolicyEnded: 2"), true),
            (news(FilesRemoved, "a: b: PolicyEnded: 1"), news(FilesRemoved, "a: b: NotGranted: 1"), false),
        ] {
            let mut reporter = reporter(Path::new("/nowhere"));
            reporter.stands(before.clone(), false, client);
            let first = reporter.pending.as_ref().map(JoinHandle::id);
            reporter.stands(now.clone(), false, client);
            let second = reporter.pending.as_ref().map(JoinHandle::id);
            assert_eq!(first == second, same, "{before:?} {now:?}");
        }
    }

    #[tokio::test]
    async fn what_was_told_is_told_again_only_after_all_was_well() {
        let denial = Some((ReportReason::ReadDenied, "file a: NotGranted".to_owned()));
        let hiccup = Some((ReportReason::ServerUnreachable, "no route".to_owned()));
        let mut reporter = reporter(Path::new("/nowhere"));
        for news in [&denial, &hiccup] {
            told(&reporter.told).extend(news.as_ref().map(gist));
        }
        for (now, is_ready, is_telling) in [
            (&denial, false, false),
            (&hiccup, false, false),
            (&denial, false, false),
            // It has just started again, or the trouble is not one to report: all is not well.
            (&None, false, false),
            (&denial, false, false),
            (&None, false, false),
            (&None, true, false),
            (&denial, false, true),
            (&None, true, false),
        ] {
            reporter.stands(now.clone(), is_ready, client);
            assert_eq!(reporter.pending.is_some(), is_telling, "{now:?} {is_ready}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_heard_is_told_anew_for_as_long_as_it_stands() {
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "token").unwrap();
        let mut reporter = reporter(token.path());
        let stands = Some((ReportReason::ReadDenied, "file a: NotGranted".to_owned()));
        reporter.stands(stands.clone(), false, client);
        let (given_up, started) = (reporter.pending.take().unwrap(), tokio::time::Instant::now());
        given_up.await.unwrap();
        let took = started.elapsed();
        assert!(took >= PAUSE * 7 && took < PAUSE * 7 + PATIENCE * ATTEMPTS, "no pause after the last try: {took:?}");
        assert!(told(&reporter.told).is_empty());
        reporter.pending = Some(tokio::spawn(async {}));
        tokio::task::yield_now().await;
        reporter.stands(stands, false, client);
        assert!(reporter.pending.as_ref().is_some_and(|task| !task.is_finished()));
    }
}
