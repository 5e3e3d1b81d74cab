//! What the kernel knows about a process: processor time, bytes to the device, memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Process;

/// A process that is looked at from outside, so that whoever else runs on the same cores does not count.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    directory: PathBuf,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Processor time of all its threads, in user mode and in the kernel.
    pub(super) cpu: Duration,
    /// Bytes it made the kernel write to a device.
    pub(super) device_bytes: u64,
}

/// What a process has in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Resident, in bytes.
    pub(super) resident: u64,
    /// Of that, what belongs to no file.
    pub(super) anonymous: u64,
}

impl Meter {
    /// Of the process with this number.
    pub(super) fn new(pid: u32) -> Self {
        Self { directory: Path::new("/proc").join(pid.to_string()) }
    }

    /// Of a process of the harness.
    pub(super) fn of(process: &Process) -> Result<Self> {
        Ok(Self::new(u32::try_from(process.pid()).context("a process without a number")?))
    }

    /// What it has used so far.
    pub(super) fn used(&self) -> Result<Used> {
        let cpu = cpu(&self.read("stat")?).context("/proc/PID/stat is not what it should be")?;
        let device_bytes = field(&self.read("io")?, "write_bytes:").context("/proc/PID/io names no write_bytes")?;
        Ok(Used { cpu, device_bytes })
    }

    /// What it has in memory.
    pub(super) fn memory(&self) -> Result<Memory> {
        let text = self.read("smaps_rollup")?;
        let kilobytes = |name| field(&text, name).with_context(|| format!("smaps_rollup names no {name}"));
        Ok(Memory { resident: kilobytes("Rss:")? * 1024, anonymous: kilobytes("Anonymous:")? * 1024 })
    }

    /// The most it had resident at any time, in bytes.
    pub(super) fn peak(&self) -> Result<u64> {
        let text = self.read("status")?;
        Ok(field(&text, "VmHWM:").context("/proc/PID/status names no VmHWM")? * 1024)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.directory.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

impl Used {
    /// What was used since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            device_bytes: self.device_bytes.saturating_sub(before.device_bytes),
        }
    }
}

/// utime and stime are fields 14 and 15; the second one is a name in brackets that may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_nanos(ticks * (1_000_000_000 / per_second.max(1))))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_past_any_name() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 9 9 20 0 4 0 1 1 1";
        assert_eq!(
            cpu(stat),
            Some(Duration::from_nanos(200 * (1_000_000_000 / rustix::param::clock_ticks_per_second())))
        );
    }

    #[test]
    fn a_process_can_be_looked_at_from_outside() {
        let meter = Meter::new(std::process::id());
        let memory = meter.memory().unwrap();
        assert!(memory.resident >= memory.anonymous && meter.peak().unwrap() >= memory.anonymous);
        let before = meter.used().unwrap();
        assert!(meter.used().unwrap().since(&before).cpu < Duration::from_mins(1));
    }
}
