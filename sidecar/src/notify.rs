//! Tells the application that its files have changed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use sikkerkey_protocol::sync::{ChangeAction, OnChange};
use sikkerkey_traces::span;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::cause::in_full;
use crate::client::{ConnectError, Connection, Origin, OriginError};
use crate::signal::{self, SignalError};
use crate::status::Board;

/// How long the application may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the application is called before it is given up.
const CALLS: u32 = 3;
/// How often its process is looked for: for five minutes, as a container that is being restarted may be away for long.
const SIGNALS: u32 = 10;
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// Why the application was not told.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error("its path is not allowed: begin with /")]
    Path,
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("it closed the connection")]
    Broken(#[from] hyper::Error),
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    TimedOut,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error(transparent)]
    Signal(#[from] SignalError),
}

/// Tells the application, some time after the last of several changes.
#[derive(Debug, Default)]
pub struct Notifier {
    board: Arc<Board>,
    pending: Option<JoinHandle<()>>,
}

impl Notifier {
    /// One that counts on `board`.
    pub fn counting(board: Arc<Board>) -> Self {
        Self { board, pending: None }
    }

    /// The files have changed.
    pub fn changed(&mut self, on_change: Option<&OnChange>) {
        self.cancel();
        let Some(OnChange { debounce_millis, action }) = on_change else { return };
        self.pending = Some(tokio::spawn(
            tell(Duration::from_millis(*debounce_millis), action.clone(), Arc::clone(&self.board)).in_current_span(),
        ));
    }

    fn cancel(&mut self) {
        if let Some(task) = self.pending.take() {
            task.abort();
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.cancel();
    }
}

async fn tell(debounce: Duration, action: ChangeAction, board: Arc<Board>) {
    sleep(debounce).await;
    let attempts = match action {
        ChangeAction::HttpPost { .. } => CALLS,
        ChangeAction::Signal { .. } => SIGNALS,
    };
    for attempt in 1..=attempts {
        let span = span!("notice", attempt = i64::from(attempt), told = Empty);
        let told = tell_once(&action).instrument(span.clone()).await;
        span.record("told", told.is_ok());
        board.counts.notices.add(&told);
        let Err(error) = told else { return };
        let error = in_full(&error);
        if attempt == attempts {
            return tracing::error!(error, attempt, "gave up telling the application that its files have changed");
        }
        tracing::warn!(error, attempt, "cannot tell the application that its files have changed: tries again");
        sleep(Duration::from_secs(1 << attempt).min(MAX_PAUSE)).await;
    }
}

async fn tell_once(action: &ChangeAction) -> Result<(), NotifyError> {
    match action {
        ChangeAction::HttpPost { port, path } => {
            timeout(PATIENCE, post_once(*port, path)).await.unwrap_or(Err(NotifyError::TimedOut))?;
            tracing::info!(port, path, "told the application that its files have changed");
        }
        ChangeAction::Signal { name, process_name } => {
            let pids = signal::send(name, process_name)?;
            tracing::info!(name, process_name, ?pids, "told the application that its files have changed");
        }
    }
    Ok(())
}

async fn post_once(port: u16, path: &str) -> Result<(), NotifyError> {
    let uri: Uri = path.parse().map_err(|_| NotifyError::Path)?;
    if !path.starts_with('/') {
        return Err(NotifyError::Path);
    }
    let mut connection = Connection::open_plain(&Origin::loopback(port)?).await?;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(http::header::HOST, HeaderValue::from_static("127.0.0.1"));
    let status = connection.send(request).await?.status();
    if status.is_success() { Ok(()) } else { Err(NotifyError::Status(status)) }
}
