//! Tells the application that its files have changed.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use sikkerkey_protocol::sync::{ChangeAction, OnChange};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::cause::in_full;
use crate::client::{ConnectError, Connection, Origin, OriginError};

/// How long the application may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the application is told before it is given up.
const ATTEMPTS: u32 = 3;

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
}

/// Tells the application, some time after the last of several changes.
#[derive(Debug, Default)]
pub struct Notifier {
    pending: Option<JoinHandle<()>>,
}

impl Notifier {
    /// The files have changed.
    pub fn changed(&mut self, on_change: Option<&OnChange>) {
        self.cancel();
        let Some(OnChange { debounce_millis, action }) = on_change else { return };
        match action {
            ChangeAction::HttpPost { port, path } => {
                self.pending = Some(tokio::spawn(post(Duration::from_millis(*debounce_millis), *port, path.clone())));
            }
            ChangeAction::Signal { name, process_name } => tracing::error!(
                "files changed, but {name} is not sent to {process_name}: onChange.signal is not supported by this \
                 version of the sidecar, use onChange.httpPost"
            ),
        }
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

async fn post(debounce: Duration, port: u16, path: String) {
    sleep(debounce).await;
    for attempt in 1..=ATTEMPTS {
        match timeout(PATIENCE, post_once(port, &path)).await.unwrap_or(Err(NotifyError::TimedOut)) {
            Ok(()) => return tracing::info!(port, path, "told the application that its files have changed"),
            Err(error) => {
                tracing::warn!(
                    port,
                    path,
                    attempt,
                    error = in_full(&error),
                    "cannot tell the application that its files have changed"
                );
            }
        }
        sleep(Duration::from_secs(1 << attempt)).await;
    }
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
