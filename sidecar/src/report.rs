//! Has the operator say as an Event what a person should know of this pod: while the hook of the sidecar's start runs,
//! nothing else of it is seen.
//!
//! Best effort: no read waits for it, and what cannot be reported is in the log and in the state all the same.

use std::sync::Arc;
use std::time::Duration;

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

/// What is reported, and why for a person.
pub type News = (ReportReason, String);

/// Reports each thing once, when it has stood for a while.
#[derive(Debug)]
pub struct Reporter {
    doorway: Doorway,
    board: Arc<Board>,
    standing: Option<News>,
    pending: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Reports to the operator of `doorway`, counting on `board`.
    pub fn new(doorway: Doorway, board: Arc<Board>) -> Self {
        Self { doorway, board, standing: None, pending: None }
    }

    /// Counts on `board`.
    pub fn count_on(&mut self, board: Arc<Board>) {
        self.board = board;
    }

    /// How it stands now; `client` makes one to report with.
    pub fn stands(&mut self, news: Option<News>, client: impl FnOnce() -> Client) {
        if is_same(self.standing.as_ref(), news.as_ref()) {
            return;
        }
        self.cancel();
        self.standing.clone_from(&news);
        if let Some(news) = news {
            let (doorway, board, client) = (self.doorway.clone(), Arc::clone(&self.board), client());
            self.pending = Some(tokio::spawn(async move {
                sleep(PAUSE).await;
                report(client, doorway, board, news).await;
            }));
        }
    }

    /// Something has happened, whatever stands.
    pub fn happened(&self, news: News, client: Client) {
        tokio::spawn(report(client, self.doorway.clone(), Arc::clone(&self.board), news));
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

/// Whether nothing new is to be told.
fn is_same(before: Option<&News>, now: Option<&News>) -> bool {
    before.map(gist) == now.map(gist)
}

/// What makes it another thing to tell.
fn gist((reason, message): &News) -> (ReportReason, &str) {
    (*reason, reason.gist(message))
}

async fn report(mut client: Client, doorway: Doorway, board: Arc<Board>, (reason, message): News) {
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    for attempt in 1..=ATTEMPTS {
        let token = match read_token(&doorway.token) {
            Ok(token) => token,
            Err(error) => return tracing::debug!(error = in_full(&error), "cannot report"),
        };
        let report = Report { token, reason, message: message.clone() };
        let reported = client.call(&doorway.operator, &report, PATIENCE).await;
        board.counts.reports.add(&reported);
        match reported {
            Ok(_) => return tracing::debug!(?reason, "reported to the operator"),
            // It is of an earlier version, or has heard enough of this pod.
            Err(error) if error.status().is_some_and(|status| status.is_client_error()) => {
                return tracing::debug!(error = in_full(&error), ?reason, "the operator takes no report");
            }
            Err(error) => tracing::debug!(error = in_full(&error), ?reason, attempt, "cannot report to the operator"),
        }
        sleep(PAUSE * (1 << attempt)).await;
    }
}

/// What a state is reported as. A refusal of the operator's it tells itself.
pub fn of_state(reason: &str) -> Option<ReportReason> {
    use ReportReason as R;
    match reason {
        reason::ENROLMENT_FAILED => Some(R::EnrolmentFailed),
        reason::SERVER_UNREACHABLE | reason::SERVER_REFUSED => Some(R::ServerUnreachable),
        reason::FILES_STALE => Some(R::FilesStale),
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
    use super::*;

    #[test]
    fn states_and_denials_are_reported_as_what_they_mean() {
        use ReportReason as R;
        for (state, expected) in [
            ("Ready", None),
            ("Starting", None),
            ("Pending", None),
            ("EnrolmentRefused", None),
            ("FileInvalid", None),
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

    #[test]
    fn what_only_changes_its_words_is_told_once() {
        use ReportReason::{CoSignAwaited, FilesRemoved, ReadDenied, ServerUnreachable};
        let news = |reason, text: &str| Some((reason, text.to_owned()));
        for (before, now, same) in [
            (None, None, true),
            (None, news(ServerUnreachable, "a"), false),
            (news(ServerUnreachable, "a"), news(ServerUnreachable, "b"), true),
            (news(CoSignAwaited, "request 1"), news(CoSignAwaited, "request 1"), true),
            (news(CoSignAwaited, "request 1"), news(CoSignAwaited, "request 2"), false),
            (news(ServerUnreachable, "a"), news(CoSignAwaited, "request 2"), false),
            (news(ServerUnreachable, "a"), None, false),
            (news(ReadDenied, "file a: RateCapReached: at 1"), news(ReadDenied, "file a: RateCapReached: at 2"), true),
            (news(ReadDenied, "file a: RateCapReached: at 1"), news(ReadDenied, "file b: RateCapReached: at 1"), false),
            (news(ReadDenied, "file a: RateCapReached: at 1"), news(ReadDenied, "file a: NotGranted"), false),
            (news(FilesRemoved, "a: b: PolicyEnded: 1"), news(FilesRemoved, "a: b: PolicyEnded: 2"), true),
            (news(FilesRemoved, "a: b: PolicyEnded: 1"), news(FilesRemoved, "a: b: NotGranted: 1"), false),
        ] {
            assert_eq!(is_same(before.as_ref(), now.as_ref()), same, "{before:?} {now:?}");
        }
    }
}
