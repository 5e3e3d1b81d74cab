//! A pod: a volume, a token and a sidecar that can be killed and started again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sikkerkey_sidecar::agent::Agent;
use sikkerkey_sidecar::client::{Client, Origin, Trust};
use sikkerkey_sidecar::clock::{Clock, SystemClock, UnixMillis};
use sikkerkey_sidecar::enrol::Doorway;
use sikkerkey_sidecar::manifest::Manifest;
use sikkerkey_sidecar::publish::Volume;
use sikkerkey_sidecar::random::{OsRandom, Random, RandomError};
use sikkerkey_sidecar::state::{self, State, StateFile};
use sikkerkey_sidecar::status::Board;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::peer::{Peer, TOKEN};

/// How long a condition may take to come true: longer than the longest pause between two attempts.
const BOUND: Duration = Duration::from_secs(45);

/// A clock that may be wrong.
#[derive(Default)]
pub(crate) struct SkewedClock(pub(crate) AtomicI64);

impl Clock for SkewedClock {
    fn now(&self) -> UnixMillis {
        SystemClock.now() + self.0.load(Ordering::Relaxed)
    }
}

/// Real random bytes, of which the seeds of keys are remembered.
#[derive(Default)]
pub(crate) struct RememberingRandom(pub(crate) Mutex<Vec<[u8; 32]>>);

impl Random for RememberingRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        OsRandom.fill(bytes)?;
        if let Ok(seed) = <[u8; 32]>::try_from(&*bytes) {
            self.0.lock().unwrap().push(seed);
        }
        Ok(())
    }
}

pub(crate) struct Pod {
    directory: TempDir,
    operator: String,
    ca: String,
    task: Option<JoinHandle<()>>,
    board: Option<Arc<Board>>,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) random: Arc<RememberingRandom>,
}

impl Pod {
    /// A pod whose sidecar has not started.
    pub(crate) fn new(peer: &Peer) -> Self {
        // In memory, as the program insists on.
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::create_dir(directory.path().join("volume")).unwrap();
        let pod = Self {
            directory,
            operator: peer.url.clone(),
            ca: peer.authority.pem.clone(),
            task: None,
            board: None,
            clock: Arc::default(),
            random: Arc::default(),
        };
        pod.set_token(TOKEN);
        pod
    }

    /// Calls another operator.
    pub(crate) fn point_at(&mut self, operator: &str) {
        operator.clone_into(&mut self.operator);
    }

    /// Lets the next sidecar show how it stands.
    pub(crate) fn show_on(&mut self, board: &Arc<Board>) {
        self.board = Some(Arc::clone(board));
    }

    /// A pod whose sidecar runs.
    pub(crate) fn started(peer: &Peer) -> Self {
        let mut pod = Self::new(peer);
        pod.start();
        pod
    }

    pub(crate) fn start(&mut self) {
        let mut agent = self.agent();
        self.task = Some(tokio::spawn(async move { match agent.run().await {} }));
    }

    /// A sidecar that does nothing yet.
    pub(crate) fn agent(&self) -> Agent {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (state, before) = StateFile::open(&self.volume(), clock.clone()).unwrap();
        let volume = Volume::open(&self.volume()).unwrap();
        let client = Client::new(Trust::parse(&self.ca).unwrap(), clock.clone(), self.random.clone());
        let doorway = Doorway { operator: Origin::parse(&self.operator).unwrap(), token: self.token_path() };
        let mut agent = Agent::new(doorway, client, clock, volume, state, before.as_ref());
        if let Some(board) = &self.board {
            agent.show_on(Arc::clone(board));
        }
        agent
    }

    /// Ends the sidecar as a signal that it cannot catch does.
    pub(crate) async fn kill(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled(), "the sidecar had ended by itself");
    }

    pub(crate) fn volume(&self) -> PathBuf {
        self.directory.path().join("volume")
    }

    pub(crate) fn token_path(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    pub(crate) fn set_token(&self, token: &str) {
        std::fs::write(self.token_path(), token).unwrap();
    }

    /// Lets a sidecar of another user have it.
    pub(crate) fn give_to(&self, user: u32) {
        for path in [self.directory.path().to_owned(), self.volume(), self.token_path()] {
            std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        }
    }

    /// What the application reads.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.volume().join(path)).ok()
    }

    /// Which version the manifest says that a file of one secret is of.
    pub(crate) fn version(&self, path: &str) -> Option<u64> {
        let manifest: Manifest = serde_json::from_str(&self.read("..manifest.json")?).ok()?;
        manifest.secrets_of(path).first().map(|secret| secret.version)
    }

    /// Which generation is in place.
    pub(crate) fn generation(&self) -> PathBuf {
        std::fs::read_link(self.volume().join("..data")).unwrap()
    }

    pub(crate) fn state(&self) -> State {
        state::read(&self.volume()).unwrap()
    }

    pub(crate) async fn is_ready(&self) {
        eventually("the pod is ready", || state::read(&self.volume()).is_ok_and(|state| state.ready)).await;
    }

    pub(crate) async fn has(&self, path: &str, content: &str) {
        eventually(&format!("{path} holds {content}"), || self.read(path).as_deref() == Some(content)).await;
    }

    pub(crate) async fn lacks(&self, path: &str) {
        eventually(&format!("{path} is gone"), || !self.volume().join(path).exists()).await;
    }

    pub(crate) async fn says(&self, reason: &str) {
        eventually(&format!("the state says {reason}"), || {
            state::read(&self.volume()).is_ok_and(|state| state.reason == reason)
        })
        .await;
    }
}

/// Waits until `condition` holds, within a bound.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let looked = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(BOUND, looked).await.is_ok(), "not within {BOUND:?}: {what}");
}
