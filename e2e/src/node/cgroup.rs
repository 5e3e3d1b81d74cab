//! The cgroup of a node: the kubelet's pods live below it, and the node's own processes in `system` beside them.
//!
//! Where the machine has cgroup v1 hierarchies there is one directory in each; the runtime adds one in the unified hierarchy by itself.
//! A machine with cgroup v2 alone gets one directory, with the controllers handed down to it. Only v1 has been tried.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// The cgroup of one node in all hierarchies.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    name: String,
    hierarchies: Hierarchies,
}

/// The mounted cgroup hierarchies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    /// Version 1, each with its controllers.
    v1: Vec<(PathBuf, Vec<String>)>,
    /// Version 2.
    unified: Option<PathBuf>,
}

impl Hierarchies {
    pub(crate) fn detect() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    /// Reads lines like `35 25 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory`.
    fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((mount, file_system)) = line.split_once(" - ") else { continue };
            let Some(path) = mount.split(' ').nth(4).filter(|path| path.starts_with("/sys/fs/cgroup")) else {
                continue;
            };
            let mut fields = file_system.split(' ');
            match (fields.next(), fields.nth(1)) {
                (Some("cgroup"), Some(options)) => {
                    let controllers = options.split(',').filter(|option| !matches!(*option, "rw" | "ro" | "xattr"));
                    found.v1.push((PathBuf::from(path), controllers.map(str::to_owned).collect()));
                }
                (Some("cgroup2"), _) => found.unified = Some(PathBuf::from(path)),
                _ => {}
            }
        }
        found
    }

    /// What keeps pods from being limited and counted on this machine.
    pub(crate) fn problem(&self) -> Option<String> {
        const NEEDED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
        let available: Vec<String> = match (&self.unified, self.v1.is_empty()) {
            (None, true) => return Some("no cgroup hierarchy is mounted below /sys/fs/cgroup".into()),
            (Some(root), true) => {
                let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
                controllers.split_whitespace().map(str::to_owned).collect()
            }
            _ => self.v1.iter().flat_map(|(_, controllers)| controllers.clone()).collect(),
        };
        let missing: Vec<&str> =
            NEEDED.into_iter().filter(|name| !available.iter().any(|controller| controller == name)).collect();
        (!missing.is_empty()).then(|| format!("the cgroup controllers {} are not available", missing.join(", ")))
    }

    fn roots(&self) -> impl Iterator<Item = &Path> {
        self.v1.iter().map(|(path, _)| path.as_path()).chain(self.unified.as_deref())
    }

    /// The one hierarchy by which the node's own processes are found again. Which one does not matter, but not cpu or memory: the
    /// kubelet compares those two of its own process.
    fn of_processes(&self) -> Option<&Path> {
        let has = |name: &str| {
            self.v1.iter().find(|(_, controllers)| controllers.iter().any(|controller| controller == name))
        };
        has("freezer")
            .or_else(|| has("pids"))
            .or_else(|| has("devices"))
            .map(|(path, _)| path.as_path())
            .or(self.unified.as_deref())
    }
}

impl Cgroup {
    /// The cgroup of the node with this number.
    pub(crate) fn of_node(number: u8) -> Self {
        Self { name: format!("sikkerkey-e2e-{number}"), hierarchies: Hierarchies::detect() }
    }

    /// Its path inside a hierarchy, as the kubelet wants it.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// Makes it in each hierarchy that the kubelet looks at.
    pub(crate) fn create(&self) -> io::Result<()> {
        for (root, controllers) in &self.hierarchies.v1 {
            let directory = root.join(&self.name);
            create_directory(&directory)?;
            if controllers.iter().any(|controller| controller == "cpuset") {
                // They start empty, and nothing can be attached to a cpuset without processors and memory.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    fs::write(directory.join(file), fs::read(root.join(file))?)?;
                }
            }
        }
        match &self.hierarchies.unified {
            Some(root) if self.hierarchies.v1.is_empty() => {
                create_directory(&root.join(&self.name))?;
                for directory in [root.clone(), root.join(&self.name)] {
                    for controller in ["cpu", "cpuset", "memory", "pids", "io"] {
                        // The kubelet says what is missing if one of them was really needed.
                        let _ = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Moves the calling process into it; what it starts from now on is in it too.
    pub(crate) fn enter(&self) -> io::Result<()> {
        let Some(root) = self.hierarchies.of_processes() else { return Ok(()) };
        // Version 2 allows no processes beside child cgroups, so they get a cgroup of their own.
        let directory = root.join(&self.name).join("system");
        create_directory(&directory)?;
        fs::write(directory.join("cgroup.procs"), "0")
    }

    /// All processes in it and below it.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let mut found: Vec<Pid> = Vec::new();
        for directory in self.directories() {
            let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)));
        }
        found.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
        found.dedup();
        found
    }

    /// Its directories in all hierarchies, each before what is below it.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let mut found = self.tops();
        let mut next = 0;
        while let Some(directory) = found.get(next).cloned() {
            let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
            found.extend(
                entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
            );
            next += 1;
        }
        found
    }

    /// Its topmost directory in each hierarchy.
    pub(crate) fn tops(&self) -> Vec<PathBuf> {
        self.hierarchies.roots().map(|root| root.join(&self.name)).filter(|path| path.is_dir()).collect()
    }

    /// Removes it. The last processes may still be on their way out, so it is tried for a while.
    pub(crate) fn remove(&self, bound: Duration) {
        let start = Instant::now();
        loop {
            let directories = self.directories();
            for directory in directories.iter().rev() {
                let _ = fs::remove_dir(directory);
            }
            if directories.is_empty() || start.elapsed() > bound {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

fn create_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io::Error::new(error.kind(), format!("cannot create the cgroup {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_hierarchies_are_found_with_their_controllers() {
        let found = Hierarchies::parse(
            "24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             35 24 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             36 24 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             37 24 0:32 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
             38 24 0:33 / /mnt/elsewhere rw - cgroup cgroup rw,pids\n\
             39 24 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        assert_eq!(found.roots().count(), 4);
        assert_eq!(found.of_processes(), Some(Path::new("/sys/fs/cgroup/freezer")));
        assert_eq!(found.problem().unwrap(), "the cgroup controllers cpuset, pids are not available");
    }

    #[test]
    fn a_machine_with_version_2_alone_has_one_root() {
        let found =
            Hierarchies::parse("30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
        assert_eq!(found, Hierarchies { v1: Vec::new(), unified: Some("/sys/fs/cgroup".into()) });
        assert_eq!(found.of_processes(), Some(Path::new("/sys/fs/cgroup")));
    }

    #[test]
    fn no_hierarchy_is_a_problem() {
        assert!(
            Hierarchies::parse("24 1 0:22 / / rw - ext4 /dev/vda rw\n")
                .problem()
                .unwrap()
                .contains("no cgroup hierarchy")
        );
    }
}
