//! The server without its faces: data, writer and what handlers share.
//!
//! `serve` puts listeners before it; the command line opens it for one command when no server runs.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use ipnet::IpNet;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::app::{App, Parts};
use crate::bell::Bell;
use crate::clock::{Clock, SystemClock};
use crate::crypto::root_key::{RootKey, RootKeyError, Source};
use crate::entropy::{Entropy, SystemEntropy};
use crate::floods::Floods;
use crate::health::Health;
use crate::http::body::Memory;
use crate::http::client_address::TrustedProxies;
use crate::live::Live;
use crate::lockout::Lockout;
use crate::lockout::people::People;
use crate::looks::Looks;
use crate::metrics::Metrics;
use crate::passwords::Passwords;
use crate::rates::{Rate, Rates};
use crate::store::{DataDirectory, Database, Store, StoreError};
use crate::tls::Authority;
use crate::turns::Turns;
use crate::verify::Verifier;
use crate::webhook::sender::Sender;
use crate::writer::{self, Writer, WriterTask};

/// Sidecars that may wait for news at the same time. Whoever comes beyond it is told to ask again later.
const WAITING: usize = 20_000;

/// Agents and people that may have the audit looked through at the same time: there is one connection to look by, and an
/// answer may be 10,000 rows.
const QUESTIONS: usize = 4;

/// Webhooks that may be tried at the same time.
const TRIALS: usize = 4;

/// How long after the database was lost it is listened to again.
const AWAY: Duration = Duration::from_secs(1);

/// Where the data is.
#[derive(Clone, Debug)]
pub enum DataPlace {
    /// Embedded, in this directory.
    Directory(PathBuf),
    /// In a PostgreSQL database that several servers may share, by URL.
    Postgres(String),
}

impl DataPlace {
    /// What the command line says: a database's URL before a directory.
    pub fn new(database_url: Option<String>, data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let place = database_url.map(Self::Postgres).or(data_dir.map(Self::Directory));
        place.context("give --data-dir, or --database-url")
    }

    /// Locks the data, where one server alone may have it.
    pub fn open(&self) -> Result<Arc<Database>, StoreError> {
        Ok(Arc::new(match self {
            Self::Directory(path) => Database::Directory(DataDirectory::lock(path)?),
            Self::Postgres(url) => Database::Postgres(url.clone()),
        }))
    }
}

/// What an engine is opened with.
#[derive(Clone)]
pub struct Options {
    /// Where the data is.
    pub place: DataPlace,
    /// Where the root key comes from.
    pub root_key: Source,
    /// The server's public origin, without a trailing slash.
    pub public_url: String,
    /// The authority that hosts need to be told of in order to trust the server.
    pub authority: Option<Arc<Authority>>,
    /// Proxies whose word about the client is taken.
    pub proxies: Vec<IpNet>,
    /// Addresses that stand for many clients.
    pub shared_addresses: Vec<IpNet>,
    /// The most requests that are written together: [`writer::MAX_GROUP`], or 1 to compare with.
    pub max_group: usize,
    /// How often one machine may ask.
    pub rate: Rate,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Sends deliveries to webhooks.
    pub webhooks: Arc<Sender>,
}

impl Options {
    /// Ordinary ones, for whoever answers no requests from outside.
    pub fn new(place: DataPlace, root_key: Source) -> Self {
        Self {
            place,
            root_key,
            public_url: String::new(),
            authority: None,
            proxies: Vec::new(),
            shared_addresses: Vec::new(),
            max_group: writer::MAX_GROUP,
            rate: Rate::default(),
            metrics: Arc::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            webhooks: Arc::default(),
        }
    }
}

/// The server without its faces.
pub struct Engine {
    /// What handlers share.
    pub app: App,
    stop_waiting: watch::Sender<bool>,
    stop_writer: watch::Sender<bool>,
    writer: JoinHandle<Result<(), StoreError>>,
    verifiers: JoinSet<()>,
    /// Holds the lock on the data, where there is one.
    database: Arc<Database>,
}

impl Engine {
    /// Locks the data, checks it, and starts the writer.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        Self::open_in(options.place.open()?, options).await
    }

    /// [`Engine::open`], for whoever has the lock already.
    pub async fn open_in(database: Arc<Database>, options: Options) -> anyhow::Result<Self> {
        let root = root_key(&database, &options.root_key, &*options.entropy)?;
        let (store, loaded) = Store::open(&database, &root, &*options.entropy).await?;
        drop(root);
        let keyring = store.keyring();
        let records = database.records().await?;
        let people = People::new(options.shared_addresses.clone());
        let passwords = Passwords::new(Arc::clone(&keyring), Arc::clone(&options.entropy));
        let lockout = Arc::new(Lockout::new(options.shared_addresses));
        for (machine, address) in loaded.world.ledger.last_addresses() {
            lockout.succeeded(address, machine.as_str());
        }
        let live = Arc::new(Live::new(loaded.world));
        let (floods, bell, metrics) = (Arc::new(Floods::default()), Arc::new(Bell::default()), options.metrics);
        let rates = Rates::default();
        rates.set(options.rate);
        let (writer, task) = WriterTask::new(writer::Parts {
            store,
            live: Arc::clone(&live),
            keyring: Arc::clone(&keyring),
            clock: Arc::clone(&options.clock),
            entropy: Arc::clone(&options.entropy),
            public_url: options.public_url.clone(),
            floods: Arc::clone(&floods),
            lockout: Arc::clone(&lockout),
            bell: Arc::clone(&bell),
            metrics: Arc::clone(&metrics),
            max_group: options.max_group,
            nonces: loaded.nonces,
            nonce_floor: loaded.nonce_floor,
        });
        let (stop_writer, stopped) = watch::channel(false);
        let (stop_waiting, shutdown) = watch::channel(false);
        let (verifier, verifiers) = Verifier::start(&metrics);
        let app = App::new(Parts {
            live,
            writer,
            keyring,
            lockout,
            people,
            passwords,
            verifier,
            rates,
            bodies: Memory::default(),
            health: Arc::new(Health::default()),
            clock: options.clock,
            entropy: options.entropy,
            records,
            pages: Turns::new(std::thread::available_parallelism().map_or(1, |it| (it.get() / 2).max(1))),
            questions: Turns::new(QUESTIONS),
            // One at a time, in all: it reads everything, and keeps a core busy.
            checks: Turns::new(1),
            looks: Looks::default(),
            floods,
            bell,
            metrics,
            proxies: TrustedProxies::new(options.proxies),
            public_url: options.public_url,
            authority: options.authority,
            waiting: Semaphore::new(WAITING),
            checkpoints: OnceLock::new(),
            trials: Turns::new(TRIALS),
            webhooks: options.webhooks,
            shutdown,
        });
        let writer = tokio::spawn(task.run(stopped));
        Ok(Self { app, stop_waiting, stop_writer, writer, verifiers, database })
    }

    /// A way to hear of what other servers on the same data do.
    pub fn follow(&self) -> Follower {
        Follower { writer: self.app.writer.clone(), database: Arc::clone(&self.database) }
    }

    /// Answers whoever waits for news, so that their connections can end.
    pub fn stop_waiting(&self) {
        self.stop_waiting.send_replace(true);
    }

    /// Ends when the writer does, or whoever verifies signatures, which they should not do before they are told to.
    pub async fn writer_ended(&mut self) -> anyhow::Error {
        let ended = tokio::select! {
            ended = &mut self.writer => ended,
            Some(ended) = self.verifiers.join_next() => {
                return match ended {
                    Ok(()) => anyhow::anyhow!("a task that verifies signatures ended by itself"),
                    Err(error) => anyhow::Error::new(error).context("a task that verifies signatures panicked"),
                };
            }
        };
        match ended {
            Ok(Ok(())) => anyhow::anyhow!("the writer ended by itself"),
            Ok(Err(error)) => anyhow::Error::new(error).context("the writer ended"),
            Err(error) => anyhow::Error::new(error).context("the writer panicked"),
        }
    }

    /// Writes what waits and lets go of the data.
    pub async fn close(self) -> anyhow::Result<()> {
        self.stop_waiting();
        self.stop_writer.send_replace(true);
        self.writer.await.context("the writer panicked")?.context("cannot close the database")
    }
}

/// Takes over what other servers do as soon as they have done it: whoever waits here for news is to hear of it at once.
pub struct Follower {
    writer: Writer,
    database: Arc<Database>,
}

impl Follower {
    /// Follows for ever; with embedded data, where nobody else writes, there is nothing to do.
    pub async fn run(self) {
        let mut listener = loop {
            match self.database.listener().await {
                Ok(Some(listener)) => break listener,
                Ok(None) => return std::future::pending().await,
                // Lost a moment after the server has begun, it comes back like at any other time.
                Err(error) => tracing::debug!(%error, "cannot listen to the database"),
            }
            tokio::time::sleep(AWAY).await;
        };
        loop {
            if let Err(error) = listener.heard().await {
                tracing::debug!(%error, "cannot hear from the database");
                // The writer looks by itself every few seconds as well.
                tokio::time::sleep(AWAY).await;
            }
            // A database that is away is reported by the writer.
            drop(self.writer.catch_up().await);
        }
    }
}

/// Why the root key cannot be had at the moment, when that is why an engine does not open.
pub fn sealed(error: &anyhow::Error) -> Option<String> {
    let absent = |it: &&RootKeyError| it.is_absence();
    let error = error.chain().find_map(|it| it.downcast_ref::<RootKeyError>()).filter(absent)?;
    Some(match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}

fn root_key(database: &Database, source: &Source, entropy: &dyn Entropy) -> anyhow::Result<Arc<RootKey>> {
    match source {
        Source::Given(key) => return Ok(Arc::clone(key)),
        Source::File(path) => return Ok(Arc::new(RootKey::read(path)?)),
        Source::Beside => {}
    }
    let Database::Directory(directory) = database else {
        anyhow::bail!("a PostgreSQL database needs its root key from elsewhere: give --root-key-file");
    };
    let path = directory.path().join("root.key");
    // Data without its key cannot be read with a new one: making one would only hide what happened.
    if directory.has_data() && !path.exists() {
        anyhow::bail!(
            "{} has data, but no root key: give the one it was made with by --root-key-file",
            directory.path().display()
        );
    }
    let (key, made) = RootKey::read_or_make(&path, entropy)?;
    if made {
        tracing::warn!(
            path = %path.display(),
            "made a root key beside the data: whoever has the directory has every secret; to keep the key elsewhere, \
             move the file and give it by --root-key-file"
        );
    }
    Ok(Arc::new(key))
}
