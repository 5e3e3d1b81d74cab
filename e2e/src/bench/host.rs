//! What it was measured on.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// What it was measured on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Host {
    processor: String,
    cores: usize,
    kernel: String,
    file_system: String,
    build: &'static str,
}

impl Host {
    /// This machine, with the data below `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = value_of(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(&read("/proc/self/mountinfo"), directory).unwrap_or_else(|| "unknown".into()),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cores, kernel, file_system, build } = self;
        write!(f, "{processor}, {cores} cores, Linux {kernel}, data on {file_system}, {build} build")
    }
}

fn value_of(cpuinfo: &str, name: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the innermost mount that holds `directory`. A mount point has its blanks escaped, which no path here has.
fn file_system(mountinfo: &str, directory: &Path) -> Option<String> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        Some((before.split(' ').nth(4)?, after.split(' ').next()?))
    });
    // Later mounts hide earlier ones of the same place.
    let innermost = mounts.filter(|(point, _)| directory.starts_with(point)).max_by_key(|(point, _)| point.len());
    innermost.map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_innermost_mount() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / /tmp rw shared:3 - tmpfs tmpfs rw\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")).unwrap(), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/tmpfile")).unwrap(), "ext4");
    }
}
