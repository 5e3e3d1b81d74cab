//! A pod's sidecar, seen from the machine it runs on: its process, what that costs, and its files.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process_table;

/// The name of its program.
const PROGRAM: &str = "sikkerkey-sidecar";

/// A running sidecar.
#[derive(Clone, Debug)]
pub struct Sidecar {
    pid: i32,
}

/// What a process keeps in memory, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it that is resident, with the pages of the program itself.
    pub resident: u64,
    /// The part that is its own: heap and stacks.
    pub anonymous: u64,
}

impl Sidecar {
    /// The sidecar of a pod on a node: the kubelet names cgroups by the uids of pods.
    pub(crate) fn in_cgroup_of(pod_uid: &str) -> Option<Self> {
        Self::find(|pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|cgroup| cgroup.contains(pod_uid)))
    }

    /// The only sidecar that runs as a plain process below a keeper.
    pub(crate) fn below(keeper: u32) -> Option<Self> {
        let keeper = i32::try_from(keeper).ok().and_then(rustix::process::Pid::from_raw)?;
        let pids: Vec<i32> = process_table::descendants(keeper).iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        Self::find(|pid| pids.contains(&pid))
    }

    fn find(is_it: impl Fn(i32) -> bool) -> Option<Self> {
        process_table::processes()
            .iter()
            .map(|process| (process.pid.as_raw_nonzero().get(), process.command_line()))
            // Not the short-lived `wait` of the hook.
            .filter(|(_, command)| command.strip_suffix(" run").is_some_and(|program| program.ends_with(PROGRAM)))
            .find_map(|(pid, _)| is_it(pid).then_some(Self { pid }))
    }

    /// Its process, as this machine counts them.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What it keeps in memory now.
    pub fn memory(&self) -> io::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        memory(&status).ok_or_else(|| io::Error::other("/proc/PID/status names no resident memory"))
    }

    /// Where this machine sees a path of the sidecar's container. For root on a node.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }
}

/// How long after its first act a sidecar had written all files of its volume: the first thing it does is to make its lock there,
/// the last is a link in the volume. The kernel's clock for files goes in steps of some milliseconds.
pub fn files_after(volume: &Path) -> io::Result<Duration> {
    let lock = fs::symlink_metadata(volume.join("..lock"))?;
    let begin = instant(lock.mtime(), lock.mtime_nsec());
    let mut end = begin;
    for entry in fs::read_dir(volume)? {
        let metadata = entry?.metadata()?;
        if metadata.is_symlink() {
            end = end.max(instant(metadata.ctime(), metadata.ctime_nsec()));
        }
    }
    Ok(end.saturating_sub(begin))
}

fn instant(seconds: i64, nanoseconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs()) + Duration::from_nanos(nanoseconds.unsigned_abs())
}

/// Reads `/proc/PID/status`.
fn memory(status: &str) -> Option<Memory> {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(Memory { resident: kib("VmRSS")?, anonymous: kib("RssAnon")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_what_the_kernel_calls_resident() {
        let status =
            "Name:\tx\nVmPeak:\t  9000 kB\nVmRSS:\t    5120 kB\nRssAnon:\t     912 kB\nRssFile:\t    4208 kB\n";
        assert_eq!(memory(status), Some(Memory { resident: 5120, anonymous: 912 }));
        assert_eq!(memory("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn the_files_are_there_when_the_last_link_is() {
        let volume = tempfile::tempdir().unwrap();
        assert_eq!(files_after(volume.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        let lock = fs::File::create(volume.path().join("..lock")).unwrap();
        assert_eq!(files_after(volume.path()).unwrap(), Duration::ZERO);
        std::os::unix::fs::symlink("..data/db", volume.path().join("db")).unwrap();
        let link = fs::symlink_metadata(volume.path().join("db")).unwrap().modified().unwrap();
        lock.set_modified(link - Duration::from_millis(30)).unwrap();
        let took = files_after(volume.path()).unwrap();
        assert!((Duration::from_millis(29)..Duration::from_millis(40)).contains(&took), "{took:?}");
    }
}
