//! Processes that never outlive the run that started them.
//!
//! A keeper is this crate's own binary, started again as a child. It spawns what the harness asks for and reaps it. Its stdin is the
//! leash: however the harness ends, the kernel closes the pipe, and the keeper kills its processes. There are two:
//!
//! * the **host keeper** of a run holds the claim to its number and removes whatever carries that number, at its start (left by a
//!   crashed run) and at its end. It survives the harness, so a harness killed with SIGKILL is cleaned up after as well.
//! * a **node's init** is pid 1 of the node's namespaces. When it ends, the kernel takes the namespaces with all processes and mounts.
//!
//! If harness and host keeper are both killed with SIGKILL, no process stays either; directories, links and cgroups go at the next start.

pub(crate) mod host;
pub(crate) mod protocol;
pub(crate) mod supervise;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use self::protocol::Exit;
use self::protocol::{Event, Ready, Request, Spawn};
use crate::log_file::{LogFile, LogTail};

/// How long a keeper may take to end its processes and remove what they left.
const END: Duration = Duration::from_secs(30);

/// Why a keeper could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The harness binary is missing.
    #[error("cannot find the program sikkerkey-e2e near {}: build it with `cargo build -p sikkerkey-e2e`", .0.display())]
    NoBinary(PathBuf),
    /// The keeper could not be started.
    #[error("cannot start {program}")]
    Start {
        /// What was started.
        program: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The keeper gave up before it was ready.
    #[error("a keeper could not make its place ready: {reason}")]
    Failed {
        /// What it said.
        reason: String,
    },
    /// The keeper is gone.
    #[error(
        "the keeper ended and took its processes with it: the run was taken down from elsewhere, or the keeper was killed"
    )]
    Gone,
    /// A process could not be started.
    #[error("cannot start {name}: {reason}")]
    Refused {
        /// The log's name of the process.
        name: String,
        /// What the keeper said.
        reason: String,
    },
    /// A program that should do its work and end well did not.
    #[error("{name} {how}. {log}")]
    Unsuccessful {
        /// The log's name of the process.
        name: String,
        /// What happened instead.
        how: String,
        /// What it wrote last.
        log: LogTail,
    },
}

/// A keeper process, seen from the harness. Dropping the last handle ends it and waits until all is gone.
#[derive(Clone)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
}

struct Shared {
    pid: u32,
    next: AtomicU64,
    stdin: Mutex<Option<ChildStdin>>,
    table: Arc<Mutex<Table>>,
    state: watch::Receiver<State>,
    process: Mutex<Process>,
}

struct Process {
    child: std::process::Child,
    ended: std::sync::mpsc::Receiver<()>,
}

#[derive(Default)]
struct Table {
    spawning: HashMap<u64, oneshot::Sender<Result<i32, String>>>,
    exits: HashMap<u64, watch::Sender<Option<Exit>>>,
    gone: bool,
}

#[derive(Clone)]
enum State {
    Starting,
    Ready(Ready),
    Failed(String),
    Ended { leftovers: Option<Vec<String>> },
}

impl Keeper {
    /// Starts a keeper: `command` runs this crate's binary with one of its hidden subcommands.
    pub(crate) fn start(mut command: Command) -> Result<Self, KeeperError> {
        // A process group of its own: Ctrl-C reaches the harness, which then ends its keepers in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |source| KeeperError::Start { program: program.clone(), source };
        let mut child = command.spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(std::io::Error::other("no pipes")));
        };
        let table = Arc::new(Mutex::new(Table::default()));
        let (state_sender, state) = watch::channel(State::Starting);
        let (ended_sender, ended) = std::sync::mpsc::channel();
        let reader_table = Arc::clone(&table);
        std::thread::spawn(move || {
            read_events(stdout, &reader_table, &state_sender);
            drop(ended_sender);
        });
        Ok(Self {
            shared: Arc::new(Shared {
                pid: child.id(),
                next: AtomicU64::new(1),
                stdin: Mutex::new(Some(stdin)),
                table,
                state,
                process: Mutex::new(Process { child, ended }),
            }),
        })
    }

    /// The pid of the process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Waits until the keeper takes requests.
    pub(crate) async fn ready(&self) -> Result<Ready, KeeperError> {
        let mut state = self.shared.state.clone();
        let state = state.wait_for(|state| !matches!(state, State::Starting)).await.map_err(|_| KeeperError::Gone)?;
        match &*state {
            State::Ready(ready) => Ok(ready.clone()),
            State::Failed(reason) => Err(KeeperError::Failed { reason: reason.clone() }),
            State::Starting | State::Ended { .. } => Err(KeeperError::Gone),
        }
    }

    /// Starts a process.
    pub(crate) async fn spawn(&self, spawn: Spawn) -> Result<Child, KeeperError> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (answer_sender, answer) = oneshot::channel();
        let (exit_sender, exit) = watch::channel(None);
        {
            let mut table = lock(&self.shared.table);
            if table.gone {
                return Err(KeeperError::Gone);
            }
            table.spawning.insert(id, answer_sender);
            table.exits.insert(id, exit_sender);
        }
        let name = spawn.log.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.shared.send(&Request::Spawn { id, spawn })?;
        match answer.await {
            Ok(Ok(pid)) => Ok(Child { id, pid, exit, keeper: self.clone() }),
            Ok(Err(reason)) => Err(KeeperError::Refused { name, reason }),
            Err(_) => Err(KeeperError::Gone),
        }
    }

    /// Runs a program to its end, which must come within the bound and be a success.
    pub(crate) async fn run(&self, spawn: Spawn, bound: Duration) -> Result<(), KeeperError> {
        let log = LogFile::new(&spawn.log);
        let child = self.spawn(spawn).await?;
        let how = match tokio::time::timeout(bound, child.exited()).await {
            Ok(exit) if exit.success() => return Ok(()),
            Ok(exit) => format!("failed with {exit}"),
            Err(_) => {
                child.signal(KILL)?;
                format!("was not done within {} s", bound.as_secs())
            }
        };
        Err(KeeperError::Unsuccessful { name: log.name(), how, log: log.tail() })
    }

    /// Waits until the keeper is gone for whatever reason.
    pub(crate) async fn gone(&self) {
        let mut state = self.shared.state.clone();
        let _ = state.wait_for(|state| matches!(state, State::Ended { .. })).await;
    }

    /// Ends it as a drop of the last handle does, while others hold handles. Blocks.
    pub(crate) fn end(&self) {
        self.shared.end();
    }

    /// Ends all processes of the keeper and waits until it removed what they left. Answers what it could not remove.
    pub(crate) async fn stop(&self) -> Vec<String> {
        // A keeper that is gone already needs no request.
        let _ = self.shared.send(&Request::Stop);
        let mut state = self.shared.state.clone();
        let ended = state.wait_for(|state| matches!(state, State::Ended { .. }));
        match tokio::time::timeout(END, ended).await {
            Ok(Ok(state)) => match &*state {
                State::Ended { leftovers: Some(leftovers) } => leftovers.clone(),
                _ => Vec::new(),
            },
            // It never got ready, and is gone.
            Ok(Err(_)) => Vec::new(),
            Err(_) => vec![format!("process {} did not end within {} s", self.pid(), END.as_secs())],
        }
    }
}

impl Shared {
    fn send(&self, request: &Request) -> Result<(), KeeperError> {
        let mut line = serde_json::to_vec(request).map_err(|_| KeeperError::Gone)?;
        line.push(b'\n');
        let mut stdin = lock(&self.stdin);
        stdin.as_mut().and_then(|stdin| stdin.write_all(&line).ok()).ok_or(KeeperError::Gone)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn end(&self) {
        // The closed pipe is the request to end; a panicking test comes here too.
        lock(&self.stdin).take();
        let mut process = lock(&self.process);
        // The channel never carries a message: it closes when the keeper's stdout does.
        if process.ended.recv_timeout(END) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = process.child.kill();
        }
        let _ = process.child.wait();
    }
}

/// A process that a keeper started.
pub(crate) struct Child {
    id: u64,
    pid: i32,
    exit: watch::Receiver<Option<Exit>>,
    keeper: Keeper,
}

/// The signal that no process survives.
pub(crate) const KILL: i32 = 9;
/// The signal that asks a process to end.
pub(crate) const TERMINATE: i32 = 15;

impl Child {
    /// The pid as the keeper sees it: inside a node, the one of the node's pid namespace.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn signal(&self, signal: i32) -> Result<(), KeeperError> {
        self.keeper.shared.send(&Request::Signal { id: self.id, signal })
    }

    /// How it ended, when it did.
    pub(crate) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Waits for its end.
    pub(crate) async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit::WithKeeper),
            Err(_) => Exit::WithKeeper,
        }
    }
}

/// This crate's binary: the running program itself, or the one that cargo put beside the running test.
pub(crate) fn binary() -> Result<PathBuf, KeeperError> {
    const NAME: &str = "sikkerkey-e2e";
    let current = std::env::current_exe().unwrap_or_default();
    // So the kernel names a program that was built anew while it runs. What a keeper and a harness say to each other rarely changes.
    let current = match current.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
        Some(path) => PathBuf::from(path),
        None => current,
    };
    if current.file_name().is_some_and(|name| name == NAME) {
        return Ok(current);
    }
    current
        .ancestors()
        .skip(1)
        .take(3)
        .map(|directory| directory.join(NAME))
        .find(|candidate| candidate.is_file())
        .ok_or(KeeperError::NoBinary(current))
}

/// A command that starts this crate's binary directly.
pub(crate) fn command(stderr: Option<&Path>) -> Result<Command, KeeperError> {
    let binary = binary()?;
    let mut command = Command::new(&binary);
    if let Some(path) = stderr {
        let failed = |source| KeeperError::Start { program: binary.display().to_string(), source };
        command.stderr(std::fs::File::options().create(true).append(true).open(path).map_err(failed)?);
    }
    Ok(command)
}

fn read_events(stdout: ChildStdout, table: &Mutex<Table>, state: &watch::Sender<State>) {
    let mut leftovers = None;
    for line in BufReader::new(stdout).lines() {
        let Some(event) = line.ok().and_then(|line| serde_json::from_str::<Event>(&line).ok()) else { break };
        match event {
            Event::Ready(ready) => drop(state.send_replace(State::Ready(ready))),
            Event::Failed { reason } => drop(state.send_replace(State::Failed(reason))),
            Event::Spawned { id, pid } => {
                if let Some(answer) = lock(table).spawning.remove(&id) {
                    let _ = answer.send(Ok(pid));
                }
            }
            Event::Refused { id, reason } => {
                let mut table = lock(table);
                table.exits.remove(&id);
                if let Some(answer) = table.spawning.remove(&id) {
                    let _ = answer.send(Err(reason));
                }
            }
            Event::Exited { id, exit } => {
                if let Some(sender) = lock(table).exits.remove(&id) {
                    sender.send_replace(Some(exit));
                }
            }
            Event::Stopped { leftovers: found } => leftovers = Some(found),
        }
    }
    let mut table = lock(table);
    table.gone = true;
    table.spawning.clear();
    for (_, sender) in table.exits.drain() {
        sender.send_replace(Some(Exit::WithKeeper));
    }
    state.send_if_modified(|state| {
        // What made a keeper fail explains more than that it is gone.
        let explained = matches!(state, State::Failed(_));
        if !explained {
            *state = State::Ended { leftovers };
        }
        !explained
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
