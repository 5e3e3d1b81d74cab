//! Signed calls as this replica.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderMap;
use kube::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::canonical::string_to_sign;
use sikkerkey_protocol::header;
use sikkerkey_protocol::kubernetes::{LoggedIn, Login};
use sikkerkey_traces::{parent, span};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;
use zeroize::Zeroizing;

use super::error::{Class, ServerError};
use super::login::{self, Account, Identity};
use super::transport;
use super::url::ServerUrl;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// How long a failed login is the answer to everybody who asks.
const LOGIN_PAUSE: Duration = Duration::from_millis(500);

/// The session of one replica with the server. Cheap to clone: all clones share one key and one login.
///
/// The key lives in memory only. The session logs in when it is first used, again after two thirds of its life, and once
/// more when the server does not know it any longer (401).
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    url: ServerUrl,
    /// By which name the server must know this cluster, if that matters.
    cluster: OnceLock<String>,
    kubernetes: Client,
    account: Account,
    clock: Clock,
    metrics: Metrics,
    /// PEM; a change of it (rotation of the certificate authority) rebuilds the client.
    trust: watch::Receiver<Arc<str>>,
    client: Mutex<Option<(Arc<str>, reqwest::Client)>>,
    identity: RwLock<Option<Arc<Identity>>>,
    /// Held while logging in: callers that come meanwhile wait and share the outcome.
    login: tokio::sync::Mutex<Option<(Instant, ServerError)>>,
    up: watch::Sender<Option<bool>>,
}

impl Session {
    /// A session that has not logged in yet. `trust` holds the only certificates (PEM) that the server may come with.
    pub fn new(
        url: ServerUrl,
        kubernetes: Client,
        account: Account,
        trust: watch::Receiver<Arc<str>>,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Shared {
            url,
            cluster: OnceLock::new(),
            kubernetes,
            account,
            clock,
            metrics,
            trust,
            client: Mutex::new(None),
            identity: RwLock::new(None),
            login: tokio::sync::Mutex::new(None),
            up: watch::Sender::new(None),
        }))
    }

    /// From now on a server that knows this cluster by another name is not talked to. Said once; a second name is ignored.
    #[must_use]
    pub fn of_cluster(self, name: Option<String>) -> Self {
        if let Some(name) = name {
            let _ = self.0.cluster.set(name);
        }
        self
    }

    /// Where the server is.
    pub fn url(&self) -> &ServerUrl {
        &self.0.url
    }

    /// Whether the server answered the last time it was asked; `None`: it was not asked yet.
    pub fn up(&self) -> watch::Receiver<Option<bool>> {
        self.0.up.subscribe()
    }

    /// As what this replica is logged in, if it is.
    pub fn logged_in(&self) -> Option<LoggedIn> {
        self.current().map(|identity| identity.logged_in.clone())
    }

    /// Makes a call.
    pub async fn call<C: Call + Serialize>(&self, call: &C) -> Result<C::Answer, ServerError>
    where
        C::Answer: DeserializeOwned,
    {
        let read = |answer: Vec<u8>| serde_json::from_slice(&answer);
        self.noted(self.attempt(call).await.and_then(|answer| read(answer).map_err(|error| unreadable(&error))))
    }

    /// Makes a call whose answer is long: as it came, JSON that nobody has read.
    pub async fn ask<C: Call + Serialize>(&self, call: &C) -> Result<Vec<u8>, ServerError> {
        self.noted(self.attempt(call).await)
    }

    /// Notes whether the server answered. That it is sealed is no answer: nothing that was asked for is done.
    fn noted<A>(&self, outcome: Result<A, ServerError>) -> Result<A, ServerError> {
        let away = matches!(outcome, Err(ServerError::Unreachable { .. } | ServerError::Sealed));
        let unasked = matches!(outcome, Err(ServerError::NoToken(_)));
        if !unasked {
            self.0.metrics.server_up(!away);
            self.0.up.send_if_modified(|up| up.replace(!away) != Some(!away));
        }
        outcome
    }

    async fn attempt<C: Call + Serialize>(&self, call: &C) -> Result<Vec<u8>, ServerError> {
        let body = Zeroizing::new(serde_json::to_vec(call).map_err(|error| unreadable(&error))?);
        let span = span!("call", otel.kind = "client", peer = %self.0.url, http.route = C::PATH, error = Empty);
        let result = self.attempt_or_log_in::<C>(&body).instrument(span.clone()).await;
        if let Err(error) = &result {
            span.record("error", error.reason().as_str());
        }
        result
    }

    async fn attempt_or_log_in<C: Call>(&self, body: &[u8]) -> Result<Vec<u8>, ServerError> {
        let identity = self.identity(None).await?;
        match self.signed(&identity, C::PATH, body).await {
            Err(ServerError::Refused { status: 401, .. }) => {
                let identity = self.identity(Some(&identity)).await?;
                self.signed(&identity, C::PATH, body).await
            }
            other => other,
        }
    }

    async fn signed(&self, identity: &Identity, path: &str, body: &[u8]) -> Result<Vec<u8>, ServerError> {
        let timestamp = self.0.clock.now().as_second().to_string();
        let nonce = nonce()?;
        let signature = identity.key.sign(&string_to_sign("POST", path, &timestamp, &nonce, body));
        let request = self
            .client()?
            .post(self.0.url.join(path))
            .headers(belonging())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .header(header::MACHINE_ID, identity.logged_in.agent_id.as_str())
            .header(header::TIMESTAMP, timestamp)
            .header(header::NONCE, nonce)
            .header(header::SIGNATURE, signature.to_string())
            .body(body.to_vec());
        transport::exchange(request).await
    }

    /// An identity to sign with; another one than `stale`.
    async fn identity(&self, stale: Option<&Arc<Identity>>) -> Result<Arc<Identity>, ServerError> {
        let usable = |identity: &Arc<Identity>| stale.is_none_or(|stale| !Arc::ptr_eq(stale, identity));
        let now = self.0.clock.unix_millis();
        if let Some(identity) = self.current().filter(|identity| usable(identity) && identity.is_fresh(now)) {
            return Ok(identity);
        }
        let mut last_failure = self.0.login.lock().await;
        let now = self.0.clock.unix_millis();
        if let Some(identity) = self.current().filter(|identity| usable(identity) && identity.is_fresh(now)) {
            return Ok(identity);
        }
        let outcome = match last_failure.as_ref() {
            Some((at, error)) if at.elapsed() < LOGIN_PAUSE => Err(error.clone()),
            _ => self.log_in().instrument(span!("log in")).await,
        };
        match outcome {
            Ok(identity) => {
                *last_failure = None;
                let identity = Arc::new(identity);
                *self.0.identity.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&identity));
                Ok(identity)
            }
            Err(error) => {
                if last_failure.as_ref().is_none_or(|(at, _)| at.elapsed() >= LOGIN_PAUSE) {
                    if last_failure.as_ref().is_none_or(|(_, last)| *last != error) {
                        tracing::warn!(%error, url = %self.0.url, "cannot log in to the server; tried again until it works");
                    }
                    *last_failure = Some((Instant::now(), error.clone()));
                }
                // Due for renewal is not dead: what still works goes on working.
                self.current().filter(|identity| usable(identity) && identity.is_alive(now)).ok_or(error)
            }
        }
    }

    async fn log_in(&self) -> Result<Identity, ServerError> {
        let attempt = login::prepare(&self.0.kubernetes, &self.0.account, self.0.url.as_str()).await?;
        let body = Zeroizing::new(serde_json::to_vec(&attempt.request).map_err(|error| unreadable(&error))?);
        let request = self
            .client()?
            .post(self.0.url.join(Login::PATH))
            .headers(belonging())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body.to_vec());
        let answer = transport::exchange(request).await?;
        let logged_in: LoggedIn = serde_json::from_slice(&answer).map_err(|error| unreadable(&error))?;
        if let Some(ours) = self.0.cluster.get().filter(|ours| **ours != logged_in.cluster) {
            let text = format!(
                "the server knows this cluster as {}, not as {ours}: correct --cluster-name",
                logged_in.cluster
            );
            return Err(ServerError::Refused { status: 403, code: None, text });
        }
        tracing::info!(agent = %logged_in.agent_id, cluster = %logged_in.cluster, "logged in to the server");
        Ok(Identity::new(attempt.key, logged_in, self.0.clock.unix_millis()))
    }

    fn current(&self) -> Option<Arc<Identity>> {
        self.0.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn client(&self) -> Result<reqwest::Client, ServerError> {
        let bundle = Arc::clone(&self.0.trust.borrow());
        let mut cached = self.0.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = cached.as_ref().filter(|(built_from, _)| *built_from == bundle) {
            return Ok(client.clone());
        }
        let client = transport::client(&bundle).map_err(|error| {
            tracing::error!(%error, "the server cannot be trusted");
            ServerError::Unreachable { class: Class::CertificateNotTrusted }
        })?;
        *cached = Some((bundle, client.clone()));
        Ok(client)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.0.url)
    }
}

/// Where a request belongs, for whoever looks; not signed, because nothing depends on it.
fn belonging() -> HeaderMap {
    parent::traceparent().map(|it| (parent::TRACEPARENT, it)).into_iter().collect()
}

fn nonce() -> Result<String, ServerError> {
    use base64::Engine;
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)
        .map_err(|error| ServerError::NoToken(format!("no random bytes for a nonce: {error}")))?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// An answer that is not what the protocol says: as good as none.
pub(crate) fn unreadable(error: &serde_json::Error) -> ServerError {
    tracing::error!(line = error.line(), column = error.column(), category = ?error.classify(), "unreadable JSON");
    ServerError::Unreachable { class: Class::Unavailable }
}

#[cfg(test)]
impl Session {
    /// With a server that is never there, and an API server that decides whether it gives a token.
    pub(crate) fn without_server(kubernetes: Client, clock: Clock, metrics: Metrics) -> Self {
        let account = Account {
            namespace: "sikkerkey-system".into(),
            service_account: "operator".into(),
            pod_name: "operator-0".into(),
            pod_uid: "u".into(),
        };
        let (_, trust) = watch::channel(Arc::from(""));
        Self::new("https://server.example".parse().unwrap(), kubernetes, account, trust, clock, metrics)
    }
}

#[cfg(test)]
mod tests;
