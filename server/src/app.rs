//! What request handlers share.

use std::sync::{Arc, OnceLock};

use tokio::sync::{Semaphore, watch};

use crate::anchor::Keeper;
use crate::bell::Bell;
use crate::clock::Clock;
use crate::crypto::keyring::Keyring;
use crate::decision::Context;
use crate::entropy::Entropy;
use crate::floods::Floods;
use crate::health::Health;
use crate::http::body::Memory;
use crate::http::client_address::TrustedProxies;
use crate::live::{Live, World};
use crate::lockout::Lockout;
use crate::lockout::people::People;
use crate::looks::Looks;
use crate::metrics::Metrics;
use crate::passwords::Passwords;
use crate::rates::Rates;
use crate::store::Records;
use crate::tls::Authority;
use crate::turns::Turns;
use crate::verify::Verifier;
use crate::webhook::sender::Sender;
use crate::writer::Writer;

/// What request handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// What is known, to look at.
    pub live: Arc<Live>,
    /// The way to change it.
    pub writer: Writer,
    /// Opens values.
    pub keyring: Arc<Keyring>,
    /// Who failed to authenticate too often.
    pub lockout: Arc<Lockout>,
    /// Who failed to log in too often.
    pub people: People,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Verifies signatures.
    pub verifier: Verifier,
    /// How often each signer has asked lately.
    pub rates: Rates,
    /// The memory that bodies may take.
    pub bodies: Memory,
    /// What keeps the server from being ready.
    pub health: Arc<Health>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The audit, to look at.
    pub records: Records,
    /// Turns at pages of the dashboard: lists are gone through where whoever reads waits.
    pub pages: Turns,
    /// Turns at looking through the audit.
    pub questions: Turns,
    /// Turns at checking the chain of the audit.
    pub checks: Turns,
    /// Looks of people that are written down.
    pub looks: Looks,
    /// Requests that are counted instead of audited.
    pub floods: Arc<Floods>,
    /// Wakes those whom a change concerns.
    pub bell: Arc<Bell>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Proxies whose word about the client is taken.
    pub proxies: TrustedProxies,
    /// The server's public origin, without a trailing slash.
    pub public_url: String,
    /// The authority that hosts need to be told of in order to trust the server.
    pub authority: Option<Arc<Authority>>,
    /// Places for sidecars that wait for news.
    pub waiting: Semaphore,
    /// Makes checkpoints of the audit, in a server that serves.
    pub checkpoints: OnceLock<Arc<Keeper>>,
    /// Turns at trying a webhook.
    pub trials: Turns,
    /// Sends deliveries to webhooks.
    pub webhooks: Arc<Sender>,
    /// Turns true when the server is about to end: whoever waits is answered.
    pub shutdown: watch::Receiver<bool>,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The authority that hosts need to be told of in order to trust the server, in PEM.
    pub fn authority(&self) -> Option<String> {
        self.authority.as_ref().map(|it| it.pem().as_ref().to_owned())
    }

    /// What a use case looks at that is only tried: what is decided here may be another's by the time it is written.
    pub fn context<'a>(&'a self, world: &'a World) -> Context<'a> {
        Context {
            state: &world.state,
            ledger: &world.ledger,
            now: self.clock.now(),
            keyring: &self.keyring,
            entropy: &*self.entropy,
            public_url: &self.public_url,
        }
    }

    /// Ends when the server is about to.
    pub async fn ending(&self) {
        let mut shutdown = self.shutdown.clone();
        // Gone senders mean the same.
        drop(shutdown.wait_for(|it| *it).await);
    }
}

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}
