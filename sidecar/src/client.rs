//! Calls to the operator and to the server: signed, bounded in time and size, over one connection that is kept.

mod connection;
mod origin;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::canonical::string_to_sign;
use sikkerkey_protocol::error_body::{ErrorBody, ErrorCode};
use sikkerkey_protocol::header;
use sikkerkey_protocol::id::MachineId;
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_traces::{parent, span};
use tokio::time::timeout;
use tracing::Instrument as _;
use tracing::field::Empty;
use zeroize::Zeroizing;

pub use self::connection::{ConnectError, Connection};
pub use self::origin::{Origin, OriginError};
pub use self::trust::{Trust, TrustError};
use crate::clock::{Clock, UnixMillis, parse_http_date};
use crate::random::{Random, RandomError};

/// The largest answer that is read: more than all files of the largest volume of the default size.
const MAX_ANSWER: usize = 8 << 20;
/// The largest answer of another status than 200 that is read.
const MAX_REFUSAL: usize = 64 << 10;
/// The longest text of a server that is passed on.
const MAX_MESSAGE: usize = 512;
/// A clock that is off by less signs well enough.
const TOLERATED_SKEW: UnixMillis = 5_000;
/// A correction by more may be why a signature was refused.
const NOTABLE_CORRECTION: UnixMillis = 30_000;

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke before the answer was there.
    #[error("{origin} closed the connection before it answered")]
    Broken {
        /// Who.
        origin: String,
    },
    /// No answer in time.
    #[error("{origin} did not answer within {} s", patience.as_secs())]
    TimedOut {
        /// Who.
        origin: String,
        /// How long was waited.
        patience: Duration,
    },
    /// An answer of another status than 200.
    #[error("{origin} answered {status}: {message}")]
    Refused {
        /// Who.
        origin: String,
        /// The status.
        status: StatusCode,
        /// What a program can act on.
        code: Option<ErrorCode>,
        /// Why, for a person, made safe to print.
        message: String,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// An answer that is too large.
    #[error("{origin} sent an answer of more than {limit} bytes")]
    TooLarge {
        /// Who.
        origin: String,
        /// The bound.
        limit: usize,
    },
    /// A 200 that is no answer to this call. What is wrong is told by position only: the text may be a value.
    #[error(
        "{origin} answered with a body that is not understood (line {line}, column {column}): is it of another version?"
    )]
    Garbled {
        /// Who.
        origin: String,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// The request cannot be written down.
    #[error("the request cannot be written down")]
    Encode,
    /// There is no nonce.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl CallError {
    /// What went wrong, in a word: what the other side says is not for everybody's eyes.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Connect(_) => "NotConnected",
            Self::Broken { .. } => "Broken",
            Self::TimedOut { .. } => "TimedOut",
            Self::Refused { .. } => "Refused",
            Self::TooLarge { .. } => "TooLarge",
            Self::Garbled { .. } => "Garbled",
            Self::Encode | Self::Random(_) => "NotSent",
        }
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => *code,
            _ => None,
        }
    }

    /// When the other side wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the other side may have done what was asked although there is no answer.
    pub fn is_answer_lost(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::TimedOut { .. } | Self::TooLarge { .. } | Self::Garbled { .. })
            || self.status().is_some_and(|status| status.is_server_error())
    }
}

/// Who signs a call.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// As which machine.
    pub machine_id: &'a MachineId,
    /// With which key.
    pub key: &'a MachineKey,
}

/// Makes calls.
pub struct Client {
    trust: Trust,
    connection: Option<Connection>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// What to add to the clock to have the server's time.
    correction: UnixMillis,
    /// The same to the second below, however small: the last `Date` minus the clock.
    skew: UnixMillis,
}

/// A request before it is signed. The path is the whole request target: no signed route takes a query.
#[derive(Clone, Copy)]
struct Outgoing<'a> {
    method: &'static Method,
    path: &'a str,
    body: &'a Bytes,
}

impl Client {
    /// A client that trusts `trust`.
    pub fn new(trust: Trust, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { trust, connection: None, clock, random, correction: 0, skew: 0 }
    }

    /// Another one that trusts the same, with a connection of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(self.trust.clone(), Arc::clone(&self.clock), Arc::clone(&self.random))
    }

    /// Trusts `trust` from now on, for everybody.
    pub fn set_trust(&mut self, trust: Trust) {
        self.trust = trust;
        self.connection = None;
    }

    /// The time by the server's clock, as far as it is known: its instants are compared with this.
    pub fn server_time(&self) -> UnixMillis {
        self.clock.now().saturating_add(self.correction)
    }

    /// An instant that the server's clock has reached, by at most two seconds: a `Date` is cut to its second. What may not
    /// be further away than a bound of the server's is counted from here.
    pub fn server_time_reached(&self) -> UnixMillis {
        self.clock.now().saturating_add(self.skew)
    }

    /// The server's clock minus this one's, as its last answer had it.
    pub fn skew(&self) -> UnixMillis {
        self.skew
    }

    /// The source of random bytes.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Makes a call that nobody signs.
    pub async fn call<C>(&mut self, origin: &Origin, call: &C, patience: Duration) -> Result<C::Answer, CallError>
    where
        C: Call<Answer: DeserializeOwned> + Serialize,
    {
        let body = encode(call)?;
        self.send(origin, Outgoing { method: &Method::POST, path: C::PATH, body: &body }, None, patience).await
    }

    /// Makes a signed call to the server.
    pub async fn call_signed<C>(
        &mut self,
        origin: &Origin,
        call: &C,
        signer: Signer<'_>,
        patience: Duration,
    ) -> Result<C::Answer, CallError>
    where
        C: Call<Answer: DeserializeOwned> + Serialize,
    {
        self.post_signed(origin, C::PATH, call, signer, patience).await
    }

    /// Asks the server for what stands at `path`.
    pub async fn get_signed<A: DeserializeOwned>(
        &mut self,
        origin: &Origin,
        path: &str,
        signer: Signer<'_>,
        patience: Duration,
    ) -> Result<A, CallError> {
        let outgoing = Outgoing { method: &Method::GET, path, body: &Bytes::new() };
        self.send_signed(origin, outgoing, signer, patience).await
    }

    /// Sends `body` to a `path` that names an object.
    pub async fn post_signed<A: DeserializeOwned>(
        &mut self,
        origin: &Origin,
        path: &str,
        body: &impl Serialize,
        signer: Signer<'_>,
        patience: Duration,
    ) -> Result<A, CallError> {
        let outgoing = Outgoing { method: &Method::POST, path, body: &encode(body)? };
        self.send_signed(origin, outgoing, signer, patience).await
    }

    /// The server's `Date` corrects the time that is signed; when a signature was refused and the time was notably wrong,
    /// the request is made once more.
    async fn send_signed<A: DeserializeOwned>(
        &mut self,
        origin: &Origin,
        outgoing: Outgoing<'_>,
        signer: Signer<'_>,
        patience: Duration,
    ) -> Result<A, CallError> {
        let before = self.correction;
        let result = self.send(origin, outgoing, Some(signer), patience).await;
        let refused = matches!(&result, Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED));
        if refused && self.correction.abs_diff(before) > NOTABLE_CORRECTION.unsigned_abs() {
            tracing::warn!(
                seconds = self.correction / 1000,
                "the clock differs from the server's: signing by the server's"
            );
            return self.send(origin, outgoing, Some(signer), patience).await;
        }
        result
    }

    async fn send<A: DeserializeOwned>(
        &mut self,
        origin: &Origin,
        outgoing: Outgoing<'_>,
        signer: Option<Signer<'_>>,
        patience: Duration,
    ) -> Result<A, CallError> {
        let span = span!("call", otel.kind = "client", peer = %origin, http.route = outgoing.path, error = Empty);
        let result = self.send_once_or_twice(origin, outgoing, signer, patience).instrument(span.clone()).await;
        if let Err(error) = &result {
            span.record("error", error.class());
        }
        result
    }

    async fn send_once_or_twice<A: DeserializeOwned>(
        &mut self,
        origin: &Origin,
        outgoing: Outgoing<'_>,
        signer: Option<Signer<'_>>,
        patience: Duration,
    ) -> Result<A, CallError> {
        let late = |_| CallError::TimedOut { origin: origin.to_string(), patience };
        let kept = self.connection.take().filter(|connection| connection.is_open_to(origin));
        let was_kept = kept.is_some();
        let mut sent = timeout(patience, self.exchange(kept, origin, outgoing, signer)).await.map_err(late)?;
        if was_kept && matches!(sent, Err(CallError::Broken { .. })) {
            // The other side closes idle connections when it likes. Each call may safely be made twice.
            sent = timeout(patience, self.exchange(None, origin, outgoing, signer)).await.map_err(late)?;
        }
        let answer = sent?;
        serde_json::from_slice(&answer).map_err(|error| CallError::Garbled {
            origin: origin.to_string(),
            line: error.line(),
            column: error.column(),
        })
    }

    /// One request and the body of its 200. The connection is kept only when the answer was read to its end.
    async fn exchange(
        &mut self,
        kept: Option<Connection>,
        origin: &Origin,
        outgoing: Outgoing<'_>,
        signer: Option<Signer<'_>>,
    ) -> Result<Zeroizing<Vec<u8>>, CallError> {
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(origin, &self.trust).await?,
        };
        let request = self.request(origin, outgoing, signer)?;
        let broken = |_| CallError::Broken { origin: origin.to_string() };
        let response = connection.send(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        if signer.is_some() || outgoing.path != sikkerkey_protocol::enrolment::Attest::PATH {
            self.learn_time(&head.headers);
        }
        let limit = if head.status == StatusCode::OK { MAX_ANSWER } else { MAX_REFUSAL };
        let answer = collect(body, limit).await.map_err(|error| match error {
            CollectError::TooLarge => CallError::TooLarge { origin: origin.to_string(), limit },
            CollectError::Broken => CallError::Broken { origin: origin.to_string() },
        })?;
        self.connection = Some(connection);
        if head.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(refusal(origin, head.status, &head.headers, &answer))
        }
    }

    fn request(
        &self,
        origin: &Origin,
        outgoing: Outgoing<'_>,
        signer: Option<Signer<'_>>,
    ) -> Result<Request<Full<Bytes>>, CallError> {
        let Outgoing { method, path, body } = outgoing;
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().map_err(|_| CallError::Encode)?;
        let headers = request.headers_mut();
        headers.insert(http::header::HOST, origin.authority());
        if method == Method::POST {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert(
            http::header::USER_AGENT,
            HeaderValue::from_static(concat!("sikkerkey-sidecar/", env!("CARGO_PKG_VERSION"))),
        );
        // Where the request belongs, for whoever looks; not signed, because nothing depends on it.
        if let Some(traceparent) = parent::traceparent() {
            headers.insert(parent::TRACEPARENT, traceparent);
        }
        if let Some(signer) = signer {
            let mut nonce = [0; 16];
            self.random.fill(&mut nonce)?;
            let nonce = STANDARD.encode(nonce);
            let timestamp = self.server_time().div_euclid(1000).to_string();
            let signature = signer.key.sign(&string_to_sign(method.as_str(), path, &timestamp, &nonce, body));
            for (name, text) in [
                (header::MACHINE_ID, signer.machine_id.to_string()),
                (header::TIMESTAMP, timestamp),
                (header::NONCE, nonce),
                (header::SIGNATURE, signature.to_string()),
            ] {
                headers.insert(name, HeaderValue::try_from(text).map_err(|_| CallError::Encode)?);
            }
        }
        Ok(request)
    }

    /// The server's `Date` came over TLS: it may set the time that is signed.
    fn learn_time(&mut self, headers: &HeaderMap) {
        let date = headers.get(http::header::DATE).and_then(|date| date.to_str().ok()).and_then(parse_http_date);
        if let Some(date) = date {
            self.skew = date.saturating_sub(self.clock.now());
            self.correction = if self.skew.abs() > TOLERATED_SKEW { self.skew } else { 0 };
        }
    }
}

/// The body as JSON, in a buffer that is wiped when the last copy of it is sent.
fn encode(call: &impl Serialize) -> Result<Bytes, CallError> {
    // Larger than a token's body, so that no part of it stays behind in a buffer that was outgrown.
    let mut body = Zeroizing::new(Vec::with_capacity(16 << 10));
    serde_json::to_writer(&mut *body, call).map_err(|_| CallError::Encode)?;
    Ok(Bytes::from_owner(body))
}

enum CollectError {
    TooLarge,
    Broken,
}

/// Reads a body of at most `limit` bytes into a buffer that is wiped.
async fn collect(mut body: Incoming, limit: usize) -> Result<Zeroizing<Vec<u8>>, CollectError> {
    let announced = hyper::body::Body::size_hint(&body).upper().and_then(|size| usize::try_from(size).ok());
    if announced.is_some_and(|size| size > limit) {
        return Err(CollectError::TooLarge);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(16 << 10)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| CollectError::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(CollectError::TooLarge);
        }
        if bytes.len() + data.len() > bytes.capacity() {
            // A buffer that grows leaves its old self behind unwiped, so it is replaced by hand.
            let mut larger = Zeroizing::new(Vec::with_capacity((bytes.capacity() * 2).max(bytes.len() + data.len())));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

fn refusal(origin: &Origin, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> CallError {
    let body = serde_json::from_slice::<ErrorBody>(body).ok();
    let seconds = headers.get(http::header::RETRY_AFTER).and_then(|text| text.to_str().ok()?.trim().parse().ok());
    CallError::Refused {
        origin: origin.to_string(),
        status,
        code: body.as_ref().and_then(|body| body.code),
        message: body.map_or_else(|| "without saying why".to_owned(), |body| printable(&body.error)),
        retry_after: seconds.map(Duration::from_secs),
    }
}

/// A text of the other side on one line of bounded length: it goes to a log, into a pod's status, and before a person who
/// approves what it says.
pub fn printable(text: &str) -> String {
    let line: String = text.chars().take(MAX_MESSAGE).map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
    line.trim().to_owned()
}

/// Steers the terminal, or hides or reorders what stands beside it.
fn is_unprintable(c: char) -> bool {
    let is_invisible = matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    );
    c.is_control() || is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_other_side_is_one_bounded_line() {
        assert_eq!(printable("no\n\x1b[31mgrant"), "no  [31mgrant");
        assert_eq!(printable("shop\u{202e}bew\u{2066}/\u{200b}x\u{2028}y"), "shop bew / x y");
        assert_eq!(printable("Maschine Ä-7, 日本"), "Maschine Ä-7, 日本");
        assert_eq!(printable(&"a".repeat(10_000)).len(), MAX_MESSAGE);
    }

    #[test]
    fn a_refusal_tells_status_code_message_and_when_to_come_back() {
        let origin = Origin::parse("https://server").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("17"));
        let error =
            refusal(&origin, StatusCode::TOO_MANY_REQUESTS, &headers, br#"{"error":"slow down","code":"PodGone"}"#);
        assert_eq!(error.to_string(), "https://server answered 429 Too Many Requests: slow down");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
        assert!(matches!(error, CallError::Refused { code: Some(ErrorCode::PodGone), .. }));
        let error = refusal(&origin, StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>");
        assert_eq!(error.to_string(), "https://server answered 502 Bad Gateway: without saying why");
    }

    #[test]
    fn a_lost_answer_is_told_from_a_refusal() {
        let origin = || "https://server".to_owned();
        assert!(CallError::Broken { origin: origin() }.is_answer_lost());
        assert!(CallError::TimedOut { origin: origin(), patience: Duration::from_secs(1) }.is_answer_lost());
        let origin = Origin::parse("https://server").unwrap();
        assert!(!refusal(&origin, StatusCode::FORBIDDEN, &HeaderMap::new(), b"").is_answer_lost());
        assert!(refusal(&origin, StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"").is_answer_lost());
    }
}
