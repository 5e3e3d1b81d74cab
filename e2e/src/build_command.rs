//! A compiler at work: a child of this process that must not go on when nobody waits for its work any more.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// The process groups of all that build now; `None` after [`end_all`].
static BUILDING: Mutex<Option<BTreeSet<i32>>> = Mutex::new(Some(BTreeSet::new()));

/// A running build.
pub(crate) struct Build {
    pub(crate) child: Child,
    group: i32,
}

impl Build {
    /// Starts a build in a process group of its own: cargo and go start compilers, and a signal to the group reaches those too.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut building = lock();
        let Some(groups) = building.as_mut() else { return Err(io::ErrorKind::Interrupted.into()) };
        let child = command.process_group(0).spawn()?;
        let group = i32::try_from(child.id()).map_err(io::Error::other)?;
        groups.insert(group);
        Ok(Self { child, group })
    }

    /// Waits for its end, and answers what it wrote to pipes that were not taken.
    pub(crate) fn output(mut self) -> io::Result<Output> {
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            io::Read::read_to_end(&mut pipe, &mut stdout)?;
        }
        Ok(Output { status: self.child.wait()?, stdout, stderr: Vec::new() })
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        // Before its end nobody else can have its pid.
        if matches!(self.child.try_wait(), Ok(None)) {
            end(self.group);
            let _ = self.child.wait();
        }
        if let Some(groups) = lock().as_mut() {
            groups.remove(&self.group);
        }
    }
}

/// Ends all builds, and lets none begin any more: this process is about to end.
pub(crate) fn end_all() {
    for group in lock().take().unwrap_or_default() {
        end(group);
    }
}

fn end(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::TERM);
    }
}

fn lock() -> MutexGuard<'static, Option<BTreeSet<i32>>> {
    BUILDING.lock().unwrap_or_else(PoisonError::into_inner)
}
