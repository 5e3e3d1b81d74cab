//! A supervised program of a cluster, with its log: the server, the operator, and the parts of the cluster itself.

use std::path::PathBuf;
use std::time::Duration;

use crate::keeper::protocol::Spawn;
use crate::keeper::{Child, Exit, KILL, Keeper, KeeperError, TERMINATE};
use crate::log_file::{LogFile, LogTail};

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name of its log.
    pub name: String,
    /// The file to run.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment, but for a fixed `PATH`.
    pub env: Vec<(String, String)>,
}

impl Program {
    /// A program without arguments.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), path: path.into(), args: Vec::new(), env: Vec::new() }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// A process is not there any more.
#[derive(Debug, thiserror::Error)]
#[error("{name} ended with {exit}. {log}")]
pub struct ProcessEnded {
    /// Which one.
    pub name: String,
    /// How.
    pub exit: Exit,
    /// What it wrote last.
    pub log: LogTail,
}

/// A supervised process. It dies with the harness, not with this handle.
pub struct Process {
    spawn: Spawn,
    keeper: Keeper,
    child: Child,
    log: LogFile,
}

impl Process {
    pub(crate) async fn start(keeper: &Keeper, spawn: Spawn) -> Result<Self, KeeperError> {
        let child = keeper.spawn(spawn.clone()).await?;
        let log = LogFile::new(&spawn.log);
        Ok(Self { spawn, keeper: keeper.clone(), child, log })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.log.name()
    }

    /// Its log. It goes on in the same file after a restart.
    pub fn log(&self) -> &LogFile {
        &self.log
    }

    /// Its pid; inside a node, the one of the node's pid namespace.
    pub fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Fails if it is not running.
    pub fn ensure_running(&self) -> Result<(), ProcessEnded> {
        match self.child.exit() {
            None => Ok(()),
            Some(exit) => Err(self.ended(exit)),
        }
    }

    /// Waits until it ends.
    pub async fn exited(&self) -> Exit {
        self.child.exited().await
    }

    /// Kills it without warning.
    pub async fn kill(&self) -> Result<Exit, KeeperError> {
        self.child.signal(KILL)?;
        Ok(self.child.exited().await)
    }

    /// Asks it to end (SIGTERM), and kills it if it has not within the bound.
    pub async fn terminate(&self, bound: Duration) -> Result<Exit, KeeperError> {
        self.child.signal(TERMINATE)?;
        match tokio::time::timeout(bound, self.child.exited()).await {
            Ok(exit) => Ok(exit),
            Err(_) => self.kill().await,
        }
    }

    /// Sends it a signal by number.
    pub fn signal(&self, signal: i32) -> Result<(), KeeperError> {
        self.child.signal(signal)
    }

    /// Starts it again; it is killed first if it still runs.
    pub async fn restart(&mut self) -> Result<(), KeeperError> {
        if self.child.exit().is_none() {
            self.kill().await?;
        }
        self.child = self.keeper.spawn(self.spawn.clone()).await?;
        Ok(())
    }

    /// Starts it again below another keeper, when the one it had is gone with all its processes.
    pub(crate) async fn start_below(&mut self, keeper: &Keeper) -> Result<(), KeeperError> {
        self.child = keeper.spawn(self.spawn.clone()).await?;
        self.keeper = keeper.clone();
        Ok(())
    }

    fn ended(&self, exit: Exit) -> ProcessEnded {
        ProcessEnded { name: self.name(), exit, log: self.log.tail() }
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Process").field("name", &self.name()).field("pid", &self.pid()).finish_non_exhaustive()
    }
}
