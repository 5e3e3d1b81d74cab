//! Sending one delivery.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Request;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::Full;
use hyper::body::Bytes;
use ipnet::IpNet;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use sikkerkey_protocol::management::WebhookEvent;
use sikkerkey_protocol::secret_text::SecretText;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::{Checked, Closed, Guard};
use super::endpoint::Endpoint;
use super::event::signature;
use crate::https;
use crate::metrics::DeliveryOutcome;

/// How long one delivery may take, from looking up the name to the answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Names that are looked up at the same time. Each holds a thread until the resolver gives up, which others need as well.
const LOOKUPS: usize = 8;

/// The headers of a delivery.
pub const DELIVERY_ID: &str = "x-sikkerkey-delivery-id";
/// HMAC-SHA256 of the body.
pub const SIGNATURE: &str = "x-sikkerkey-signature";
/// The same by the secret before the present one, for as long as it is good.
pub const PREVIOUS_SIGNATURE: &str = "x-sikkerkey-signature-previous";
/// The action.
pub const EVENT: &str = "x-sikkerkey-event";
const AGENT: &str = "SikkerKey-Webhook/1.0";

/// Sends deliveries.
#[derive(Debug)]
pub struct Sender {
    guard: Guard,
    patience: Duration,
    /// Of receivers whose certificates the system knows nothing of; none: the system's.
    roots: Option<RootCertStore>,
    /// Places for looking up names.
    lookups: Arc<Semaphore>,
    /// Made when the first delivery is sent: most servers send none.
    tls: OnceLock<Option<Tls>>,
}

struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// A delivery, ready to be sent.
pub struct Delivery<'a> {
    /// Where to.
    pub to: &'a Endpoint,
    /// What.
    pub event: &'a WebhookEvent,
    /// Signs it.
    pub secret: &'a SecretText,
    /// Signs it as well, while it is good.
    pub previous: Option<&'a SecretText>,
}

/// Why a delivery has failed. Each text tells the receiver's owner what to do.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The name has no address.
    #[error("{0} cannot be resolved: {1}")]
    Name(String, std::io::Error),
    /// Nobody has looked its name up in time.
    #[error(
        "{0} was not looked up: the names of other webhooks still are; see whether the name server of this server answers, \
         and delete webhooks whose names are no more"
    )]
    Lookups(String),
    /// Deliveries do not go there.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// Nobody is there, or not who should be.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    /// It is no web server.
    #[error("{0} did not answer as HTTP does: {1}")]
    Http(String, hyper::Error),
    /// It has not taken it.
    #[error("{0} answered {1}: it has to answer 2xx when it has taken the event{hint}", hint = hint(*.1))]
    Refused(String, u16),
    /// It took too long.
    #[error("{0} did not answer within {1} seconds: take the event, answer, and work on it afterwards")]
    Slow(String, u64),
    /// No certificate can be checked.
    #[error("this server knows no certificate authority: start it with --webhook-ca, or set SSL_CERT_FILE")]
    NoRoots,
    /// It cannot be written.
    #[error("the event cannot be written as a request")]
    Form,
}

fn hint(status: u16) -> &'static str {
    if (300..400).contains(&status) { "; redirects are not followed, so give the address that it leads to" } else { "" }
}

impl SendError {
    /// What it is counted as.
    pub fn outcome(&self) -> DeliveryOutcome {
        match self {
            Self::Closed(_) => DeliveryOutcome::Blocked,
            Self::Refused(..) => DeliveryOutcome::Refused,
            Self::Slow(..) => DeliveryOutcome::Slow,
            Self::Name(..) | Self::Lookups(_) | Self::Connect(..) | Self::Http(..) | Self::NoRoots | Self::Form => {
                DeliveryOutcome::Unreachable
            }
        }
    }

    /// What the receiver answered, if it did.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(_, status) => Some(*status),
            _ => None,
        }
    }
}

impl Default for Sender {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            patience: PATIENCE,
            roots: None,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            tls: OnceLock::new(),
        }
    }
}

impl Sender {
    /// Sends to public addresses and those of `allowed`, to whom the system's certificate authorities vouch for, or those in
    /// the file `ca`.
    pub fn new(allowed: Vec<IpNet>, ca: Option<&Path>) -> anyhow::Result<Self> {
        let roots = ca.map(https::roots_of).transpose()?;
        Ok(Self { guard: Guard::new(allowed), roots, ..Self::default() })
    }

    /// With another patience than [`PATIENCE`].
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// To which addresses it sends.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Sends a delivery. Returns the status of the answer, which is 2xx.
    pub async fn send(&self, delivery: &Delivery<'_>) -> Result<u16, SendError> {
        let sent = timeout(self.patience, self.try_send(delivery)).await;
        sent.unwrap_or_else(|_| Err(SendError::Slow(delivery.to.to_string(), self.patience.as_secs())))
    }

    async fn try_send(&self, delivery: &Delivery<'_>) -> Result<u16, SendError> {
        let to = delivery.to;
        let body = serde_json::to_vec(delivery.event).map_err(|_| SendError::Form)?;
        let mut request = Request::post(to.path())
            .header(HOST, to.authority())
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .header(USER_AGENT, AGENT)
            .header(DELIVERY_ID, &delivery.event.id)
            .header(EVENT, &delivery.event.event)
            .header(SIGNATURE, signature(delivery.secret, &body));
        if let Some(previous) = delivery.previous {
            request = request.header(PREVIOUS_SIGNATURE, signature(previous, &body));
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|_| SendError::Form)?;
        let failed = |error| SendError::Connect(to.to_string(), error);
        let tls = self.tls().ok_or(SendError::NoRoots)?;
        let name = ServerName::try_from(to.host().to_owned()).map_err(|error| failed(std::io::Error::other(error)))?;
        let stream = connect(&self.resolve(to).await?).await.map_err(failed)?;
        let stream = tls.connect(name, stream).await.map_err(failed)?;
        let status = https::exchange(stream, request).await.map_err(|error| SendError::Http(to.to_string(), error))?;
        if status.is_success() { Ok(status.as_u16()) } else { Err(SendError::Refused(to.to_string(), status.as_u16())) }
    }

    /// The addresses of an endpoint, all of which deliveries may go to.
    async fn resolve(&self, to: &Endpoint) -> Result<Checked, SendError> {
        let addresses = match to.address() {
            Some(address) => vec![SocketAddr::new(address, to.port())],
            None => self.look_up(to, lookup(to.host().to_owned(), to.port())).await?,
        };
        if addresses.is_empty() {
            return Err(SendError::Name(to.host().to_owned(), std::io::Error::other("it has no address")));
        }
        Ok(self.guard.check(addresses)?)
    }

    /// Has a name looked up. A lookup cannot be called off, so it keeps its place until it ends, whoever has given up on it.
    async fn look_up<L>(&self, to: &Endpoint, lookup: L) -> Result<Vec<SocketAddr>, SendError>
    where
        L: Future<Output = std::io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let place = timeout(self.patience / 2, Arc::clone(&self.lookups).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(SendError::Lookups(to.host().to_owned())) };
        let looked = tokio::spawn(async move {
            let found = lookup.await;
            drop(place);
            found
        });
        let found = looked.await.map_err(std::io::Error::other).flatten();
        found.map_err(|error| SendError::Name(to.host().to_owned(), error))
    }

    fn tls(&self) -> Option<&TlsConnector> {
        let make = || {
            let roots = self.roots.clone().unwrap_or_else(https::system_roots);
            if roots.is_empty() { None } else { https::connector(roots).ok().map(Tls) }
        };
        self.tls.get_or_init(make).as_ref().map(|it| &it.0)
    }
}

async fn lookup(host: String, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}

/// To the first address that somebody listens at.
async fn connect(to: &Checked) -> std::io::Result<TcpStream> {
    let mut failure = std::io::Error::other("it has no address");
    for address in to.addresses() {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_lookup_keeps_its_place_until_it_ends_whoever_has_given_up_on_it() {
        let sender = Sender::default().with_patience(Duration::from_millis(20));
        let to: Endpoint = "https://hooks.example.com/token".parse().unwrap();
        let mut ends = Vec::new();
        for _ in 0..LOOKUPS {
            let (end, ended) = oneshot::channel::<()>();
            ends.push(end);
            let lookup = async move {
                drop(ended.await);
                Ok(vec![])
            };
            assert!(timeout(Duration::from_millis(1), sender.look_up(&to, lookup)).await.is_err(), "it takes long");
        }
        let next = sender.look_up(&to, async { Ok(vec![]) }).await;
        assert!(matches!(next, Err(SendError::Lookups(ref it)) if it == "hooks.example.com"), "{next:?}");
        ends.clear();
        let all = sender.lookups.acquire_many(u32::try_from(LOOKUPS).unwrap()).await;
        drop(all.unwrap());
        assert_eq!(sender.look_up(&to, async { Ok(vec![]) }).await.unwrap(), []);
    }
}
