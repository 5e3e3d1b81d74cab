//! The server without its faces: data, writer and what handlers share.
//!
//! `serve` puts listeners before it; the command line opens it for one command when no server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use ipnet::IpNet;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::app::{App, Parts};
use crate::bell::Bell;
use crate::clock::Clock;
use crate::crypto::keyring::Keyring;
use crate::crypto::root_key::RootKey;
use crate::entropy::Entropy;
use crate::floods::Floods;
use crate::health::Health;
use crate::http::body::Memory;
use crate::http::client_address::TrustedProxies;
use crate::live::Live;
use crate::lockout::Lockout;
use crate::metrics::Metrics;
use crate::rates::Rates;
use crate::store::{DataDirectory, Store, StoreError};
use crate::verify::Verifier;
use crate::writer::{self, WriterTask};

/// Sidecars that may wait for news at the same time. Whoever comes beyond it is told to ask again later.
const WAITING: usize = 20_000;

/// What an engine is opened with.
pub struct Options {
    /// Where the data is.
    pub data_dir: PathBuf,
    /// Where the root key is; none: in the data directory.
    pub root_key_file: Option<PathBuf>,
    /// The server's public origin, without a trailing slash.
    pub public_url: String,
    /// Proxies whose word about the client is taken.
    pub proxies: Vec<IpNet>,
    /// Addresses that stand for many clients.
    pub shared_addresses: Vec<IpNet>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The server without its faces.
pub struct Engine {
    /// What handlers share.
    pub app: App,
    stop_waiting: watch::Sender<bool>,
    stop_writer: watch::Sender<bool>,
    writer: JoinHandle<Result<(), StoreError>>,
    verifiers: JoinSet<()>,
    _directory: DataDirectory,
}

impl Engine {
    /// Locks the data, checks it, and starts the writer.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        let directory = DataDirectory::lock(&options.data_dir)?;
        let root = root_key(&directory, options.root_key_file.as_deref(), &*options.entropy)?;
        let keyring = Arc::new(Keyring::new(&root));
        drop(root);
        let (store, loaded) = Store::open(&directory, Arc::clone(&keyring), &*options.entropy).await?;
        let records = Store::records(&directory).await?;
        let lockout = Arc::new(Lockout::new(options.shared_addresses));
        for (machine, address) in loaded.world.ledger.last_addresses() {
            lockout.succeeded(address, machine.as_str());
        }
        let live = Arc::new(Live::new(loaded.world));
        let (floods, bell, metrics) =
            (Arc::new(Floods::default()), Arc::new(Bell::default()), Arc::<Metrics>::default());
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
            nonces: loaded.nonces,
            nonce_floor: loaded.nonce_floor,
            audit_head: loaded.audit_head,
        });
        let (stop_writer, stopped) = watch::channel(false);
        let (stop_waiting, shutdown) = watch::channel(false);
        let (verifier, verifiers) = Verifier::start(&metrics);
        let app = App::new(Parts {
            live,
            writer,
            keyring,
            lockout,
            verifier,
            rates: Rates::default(),
            bodies: Memory::default(),
            health: Arc::new(Health::default()),
            clock: options.clock,
            entropy: options.entropy,
            records,
            floods,
            bell,
            metrics,
            proxies: TrustedProxies::new(options.proxies),
            public_url: options.public_url,
            waiting: Semaphore::new(WAITING),
            shutdown,
        });
        let writer = tokio::spawn(task.run(stopped));
        Ok(Self { app, stop_waiting, stop_writer, writer, verifiers, _directory: directory })
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

fn root_key(directory: &DataDirectory, file: Option<&Path>, entropy: &dyn Entropy) -> anyhow::Result<RootKey> {
    if let Some(file) = file {
        return Ok(RootKey::read(file)?);
    }
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
    Ok(key)
}
