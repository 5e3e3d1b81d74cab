//! Pid 1 of a node: makes the inside of the namespaces ready, then starts and reaps the node's processes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_bind_recursive, mount_change};
use serde::{Deserialize, Serialize};

use super::cgroup::Cgroup;
use crate::claim::Kind;
use crate::keeper::protocol::{Event, Ready};
use crate::keeper::supervise::{Leash, emit, supervise};
use crate::keeper::{self, Keeper, KeeperError};
use crate::run_directory::RunDirectory;

/// Directories of the machine that node components write to whatever their settings say: the device plugin socket and libcni's cache
/// (`/var/lib`), links to container logs (`/var/log`), sockets of the shims (`/run`).
const SHADOWED: [&str; 3] = ["/var/lib", "/var/log", "/run"];

/// Settings of the kernel that no namespace holds and that the kubelet writes: it gets plain files instead.
const SYSCTLS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// What a node's init is told at its start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    number: u8,
    directory: PathBuf,
    /// Directories that must stay visible although they are below a shadowed one.
    visible: Vec<PathBuf>,
}

/// What is in memory on a machine, and lies below the run's directory here.
pub(crate) fn volatile(run: &Path) -> PathBuf {
    run.join("shadow/run")
}

/// Starts a node's init in new namespaces.
pub(crate) fn start(number: u8, run: &RunDirectory, mut visible: Vec<PathBuf>) -> Result<Keeper, KeeperError> {
    visible.push(run.path().to_owned());
    let plan = Plan { number, directory: run.path().to_owned(), visible };
    let plan = serde_json::to_string(&plan).map_err(|error| KeeperError::Failed { reason: error.to_string() })?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child=KILL", "--"]);
    command.arg(keeper::binary()?).args(["node-init", &plan]);
    let log = run.log("node-init");
    let failed = |source| KeeperError::Start { program: "unshare".into(), source };
    command.stderr(File::options().create(true).append(true).open(log.path()).map_err(failed)?);
    Keeper::start(command)
}

/// The life of a node's init.
pub(crate) async fn live(plan: Plan) -> io::Result<()> {
    if let Err(error) = prepare(&plan) {
        emit(&Event::Failed { reason: error.to_string() });
        return Err(error);
    }
    emit(&Event::Ready(Ready { kind: Kind::Node, number: plan.number, directory: plan.directory }));
    supervise(Leash::PidNamespace).await
}

fn prepare(plan: &Plan) -> io::Result<()> {
    Cgroup::of_node(plan.number).enter()?;
    // Mounts of the kubelet must reach containers. This is shared within the namespace only.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .map_err(|error| explain("share the mounts of the namespace", error))?;
    let shadows = plan.directory.join("shadow");
    for directory in SHADOWED {
        shadow(Path::new(directory), &shadows, &plan.visible)?;
    }
    for sysctl in SYSCTLS {
        let file = shadows.join(sysctl.replace('/', "."));
        let kernel = Path::new("/proc/sys").join(sysctl);
        // It starts with what the kernel has, so that the kubelet sees a setting it has to change.
        fs::write(&file, fs::read(&kernel)?)?;
        mount_bind(&file, &kernel).map_err(|error| explain(&format!("shadow {}", kernel.display()), error))?;
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")
}

/// Puts an empty directory over one of the machine's, and what must stay visible back into it.
fn shadow(directory: &Path, shadows: &Path, visible: &[PathBuf]) -> io::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut kept = Vec::new();
    for path in visible.iter().filter(|path| path.starts_with(directory)) {
        kept.push((path, rustix::fs::open(path, flags, Mode::empty())?));
    }
    let source = shadows.join(directory.file_name().unwrap_or(OsStr::new("root")));
    fs::create_dir_all(&source)?;
    mount_bind(&source, directory).map_err(|error| explain(&format!("shadow {}", directory.display()), error))?;
    for (path, descriptor) in kept {
        fs::create_dir_all(path)?;
        mount_bind_recursive(format!("/proc/self/fd/{}", descriptor.as_raw_fd()), path)
            .map_err(|error| explain(&format!("keep {} visible", path.display()), error))?;
    }
    Ok(())
}

fn explain(what: &str, error: rustix::io::Errno) -> io::Error {
    io::Error::other(format!("cannot {what}: {error}"))
}
