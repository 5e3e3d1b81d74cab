//! The loop of a keeper process: start what the harness asks for, reap everything, end everything when the harness is gone.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::protocol::{Event, Exit, Request, Spawn};
use crate::process_table;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a keeper makes sure that its children do not outlive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leash {
    /// The kernel kills each child when the keeper dies. It watches the thread that spawned, so a keeper spawns from its main thread only.
    DeathSignal,
    /// The keeper is pid 1 of a pid namespace: the kernel ends the namespace with it.
    PidNamespace,
}

/// Writes one event. The harness may be gone: then nobody wants to know.
pub(crate) fn emit(event: &Event) {
    let mut out = io::stdout().lock();
    if serde_json::to_writer(&mut out, event).is_ok() {
        let _ = out.write_all(b"\n").and_then(|()| out.flush());
    }
}

/// Serves requests until the harness says stop, closes the pipe (it is gone), or a signal asks for the end.
/// Must run on the main thread, see [`Leash::DeathSignal`].
pub(crate) async fn supervise(leash: Leash) -> io::Result<()> {
    let mut children = Children { leash, ids: HashMap::new() };
    let mut requests = requests();
    let mut reaped = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = reaped.recv() => children.reap(),
            request = requests.recv() => match request {
                Some(Request::Spawn { id, spawn }) => children.spawn(id, &spawn),
                Some(Request::Signal { id, signal }) => children.signal(id, signal),
                Some(Request::Stop) | None => break,
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => break,
        }
    }
    if leash == Leash::DeathSignal {
        children.end(Duration::from_secs(10)).await;
    }
    Ok(())
}

/// Reads requests on a thread of its own: a read of stdin cannot be cancelled, and must not keep the keeper from ending.
fn requests() -> mpsc::UnboundedReceiver<Request> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Some(request) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
            if sender.send(request).is_err() {
                break;
            }
        }
    });
    receiver
}

struct Children {
    leash: Leash,
    ids: HashMap<Pid, u64>,
}

impl Children {
    fn spawn(&mut self, id: u64, spawn: &Spawn) {
        match start(self.leash, spawn) {
            Ok(pid) => {
                self.ids.insert(pid, id);
                emit(&Event::Spawned { id, pid: pid.as_raw_nonzero().get() });
            }
            Err(error) => emit(&Event::Refused { id, reason: error.to_string() }),
        }
    }

    fn signal(&self, id: u64, signal: i32) {
        let pid = self.ids.iter().find(|(_, known)| **known == id).map(|(pid, _)| *pid);
        if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let exit = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => continue,
            };
            if let Some(id) = self.ids.remove(&pid) {
                emit(&Event::Exited { id, exit });
            }
        }
    }

    /// Kills all descendants. The keeper is their subreaper, so that a process whose parent died is still found below it.
    async fn end(&mut self, bound: Duration) {
        let start = Instant::now();
        loop {
            let descendants = process_table::descendants(rustix::process::getpid());
            if descendants.is_empty() || start.elapsed() > bound {
                break;
            }
            for pid in descendants {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.reap();
        }
    }
}

fn start(leash: Leash, spawn: &Spawn) -> io::Result<Pid> {
    if !spawn.program.is_file() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is not a file", spawn.program.display())));
    }
    let log = OpenOptions::new().create(true).append(true).open(&spawn.log)?;
    let mut command = match leash {
        Leash::PidNamespace => Command::new(&spawn.program),
        Leash::DeathSignal => {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(&spawn.program);
            command
        }
    };
    // A process group of its own keeps the terminal's Ctrl-C away: the harness decides about the end.
    command.args(&spawn.args).env_clear().env("PATH", PATH).process_group(0);
    command.envs(spawn.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn()?;
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("the process has no pid"))
}
