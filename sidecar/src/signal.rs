//! A signal to the application's process, found by its name in the pod's shared process namespace.
//!
//! Every process of that name whose parent has another name gets it: of a server with workers, the one that leads them.
//! A process that is gone, and a process number that was given to another one, get nothing: the process is held by a
//! descriptor (`pidfd`) before it is looked at.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use crate::cause::in_full;

/// Why no process got the signal.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// A signal that is not sent.
    #[error("{0} is not a signal that an application is told by: use SIGHUP, SIGUSR1, SIGUSR2 or SIGTERM")]
    UnknownSignal(String),
    /// No such process.
    #[error(
        "no process is named {0}: is it running, is shareProcessNamespace set, and is this what /proc/PID/comm says of it?"
    )]
    NotFound(String),
    /// It would end.
    #[error(
        "process {pid} ({process_name}) does not handle {signal} and would end: have it handle the signal, or use SIGTERM \
         to have it restarted"
    )]
    Unhandled {
        /// Which process.
        pid: i32,
        /// Its name.
        process_name: String,
        /// Which signal.
        signal: &'static str,
    },
    /// It would do nothing.
    #[error("process {pid} ({process_name}) ignores {signal}: have it handle the signal, or name another one")]
    Ignored {
        /// Which process.
        pid: i32,
        /// Its name.
        process_name: String,
        /// Which signal.
        signal: &'static str,
    },
    /// It runs as somebody else.
    #[error(
        "process {pid} ({process_name}) runs as another user than the sidecar, which may not signal it: give all containers \
         of the pod one runAsUser"
    )]
    OtherUser {
        /// Which process.
        pid: i32,
        /// Its name.
        process_name: String,
    },
    /// The processes cannot be looked at.
    #[error("cannot look through the processes")]
    List(#[source] io::Error),
    /// The kernel refused.
    #[error("cannot signal process {pid}")]
    Send {
        /// Which process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
}

/// Sends the signal called `name` to the processes called `process_name`. Gives their numbers: at least one.
pub fn send(name: &str, process_name: &str) -> Result<Vec<i32>, SignalError> {
    let (signal, name) = parse(name)?;
    let mut told = vec![];
    let mut failed = None;
    for pid in numbers().map_err(SignalError::List)? {
        let Some(process) = Process::open(pid) else { continue };
        if !process.is_to_be_told(process_name) {
            continue;
        }
        match process.tell(signal, name) {
            Ok(()) => told.push(pid.as_raw_pid()),
            // It has ended meanwhile.
            Err(SignalError::Send { source, .. }) if source.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            Err(error) => failed = Some(error),
        }
    }
    match (failed, &*told) {
        (Some(error), []) => Err(error),
        (None, []) => Err(SignalError::NotFound(process_name.to_owned())),
        (failed, _) => {
            // Those that were told are not told again for the sake of another one, whoever gave it that name.
            if let Some(error) = failed {
                tracing::warn!(error = in_full(&error), "not every process of this name was told");
            }
            Ok(told)
        }
    }
}

/// The signals of the Machine kind.
fn parse(name: &str) -> Result<(Signal, &'static str), SignalError> {
    [(Signal::HUP, "SIGHUP"), (Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2"), (Signal::TERM, "SIGTERM")]
        .into_iter()
        .find(|(_, known)| *known == name)
        .ok_or_else(|| SignalError::UnknownSignal(name.to_owned()))
}

/// Every process that may be the application's: not this one, and not what holds the namespace.
fn numbers() -> io::Result<Vec<Pid>> {
    let mut numbers = vec![];
    for entry in std::fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        numbers.extend(pid.filter(|pid| *pid != Pid::INIT && *pid != getpid()));
    }
    Ok(numbers)
}

/// A process that is held: as long as it is, a signal through `handle` reaches it or nobody.
struct Process {
    pid: Pid,
    handle: OwnedFd,
    stat: Stat,
}

impl Process {
    fn open(pid: Pid) -> Option<Self> {
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Self { pid, handle, stat: stat(pid)? })
    }

    fn is_to_be_told(&self, name: &str) -> bool {
        let leads = self.stat.parent.and_then(stat).is_none_or(|parent| parent.name != name);
        self.stat.name == name && !self.stat.is_zombie && leads
    }

    fn tell(&self, signal: Signal, name: &'static str) -> Result<(), SignalError> {
        let pid = self.pid.as_raw_pid();
        let process_name = || self.stat.name.clone();
        match disposition(self.pid, signal) {
            Disposition::Acts => {}
            // SIGTERM is to end it. Any other signal ends a process that has not said what to do with it; one that is only
            // starting says so in a moment.
            Disposition::Ends if signal == Signal::TERM => {}
            Disposition::Ends => {
                return Err(SignalError::Unhandled { pid, process_name: process_name(), signal: name });
            }
            Disposition::Ignores => {
                return Err(SignalError::Ignored { pid, process_name: process_name(), signal: name });
            }
        }
        pidfd_send_signal(&self.handle, signal).map_err(|error| match error {
            Errno::PERM => SignalError::OtherUser { pid, process_name: process_name() },
            error => SignalError::Send { pid, source: error.into() },
        })
    }
}

fn directory(pid: Pid) -> PathBuf {
    Path::new("/proc").join(pid.as_raw_pid().to_string())
}

/// What is read of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    is_zombie: bool,
    /// None outside of the namespace.
    parent: Option<Pid>,
}

fn stat(pid: Pid) -> Option<Stat> {
    let text = std::fs::read(directory(pid).join("stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&text))
}

/// `PID (NAME) STATE PARENT …`, where the name may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let (start, rest) = text.rsplit_once(')')?;
    let (_, name) = start.split_once('(')?;
    let mut rest = rest.split_whitespace();
    let state = rest.next()?;
    let parent = Pid::from_raw(rest.next()?.parse().ok()?);
    Some(Stat { name: name.to_owned(), is_zombie: matches!(state, "Z" | "X"), parent })
}

/// What a process does on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposition {
    /// It catches it, or blocks it and waits for it.
    Acts,
    /// Nothing.
    Ignores,
    /// What the kernel does where nothing was said: it ends.
    Ends,
}

fn disposition(pid: Pid, signal: Signal) -> Disposition {
    let text = std::fs::read_to_string(directory(pid).join("status")).unwrap_or_default();
    parse_disposition(&text, signal)
}

fn parse_disposition(status: &str, signal: Signal) -> Disposition {
    let bit = u32::try_from(signal.as_raw() - 1).ok().and_then(|bit| 1_u64.checked_shl(bit)).unwrap_or(0);
    let is_in = |wanted: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(':'));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & bit != 0)
    };
    if is_in("SigCgt") {
        Disposition::Acts
    } else if is_in("SigIgn") {
        Disposition::Ignores
    } else if is_in("SigBlk") {
        Disposition::Acts
    } else {
        Disposition::Ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_holds() {
        let read = |text: &str| parse_stat(text).map(|stat| (stat.name, stat.is_zombie, stat.parent));
        let pid = Pid::from_raw;
        assert_eq!(read("7 (nginx) S 3 7 7 0"), Some(("nginx".to_owned(), false, pid(3))));
        assert_eq!(read("7 (a) R 1 (x) Z 0 7"), Some(("a) R 1 (x".to_owned(), true, None)));
        assert_eq!(read("7 nginx S 3"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn what_a_process_does_on_a_signal_is_what_it_has_said() {
        use Disposition::{Acts, Ends, Ignores};
        let status =
            |name: &str, mask: &str| format!("Name:\tx\nSigPnd:\tffffffffffffffff\n{name}:\t{mask}\nCapInh:\t0\n");
        for (name, expected) in [("SigBlk", Acts), ("SigIgn", Ignores), ("SigCgt", Acts), ("ShdPnd", Ends)] {
            assert_eq!(parse_disposition(&status(name, "0000000000000001"), Signal::HUP), expected, "{name}");
            assert_eq!(parse_disposition(&status(name, "0000000000000200"), Signal::USR1), expected, "{name}");
            assert_eq!(parse_disposition(&status(name, "0000000000000200"), Signal::HUP), Ends, "{name}");
        }
        assert_eq!(parse_disposition("", Signal::HUP), Ends);
    }

    #[test]
    fn what_is_not_there_and_what_is_not_sent_is_said() {
        let error = send("SIGKILL", "sh").unwrap_err();
        assert!(matches!(error, SignalError::UnknownSignal(_)), "{error}");
        let error = send("SIGHUP", "no-such-proces").unwrap_err();
        assert!(matches!(error, SignalError::NotFound(_)), "{error}");
    }
}
