//! Another process of the sidecar's own user cannot look into it: in a pod with a shared process namespace that is the
//! application.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{Gid, Pid, PidfdFlags, PidfdGetfdFlags, Uid, geteuid, pidfd_getfd, pidfd_open};
use rustix::thread::{set_thread_gid, set_thread_res_uid};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::peer::{Peer, raw};
use crate::pod::{Pod, eventually};
use crate::process::sidecar;

/// The user that both run as; who runs the tests, unless that is root, whom the kernel refuses nothing.
fn user() -> u32 {
    if geteuid().is_root() { 65_534 } else { geteuid().as_raw() }
}

/// A copy of a program that may be run and, by this `mode`, perhaps not read.
fn installed(program: &str, mode: u32) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("program");
    // Not by this process: what another test forks meanwhile would hold the file open, and it could not be run.
    assert!(std::process::Command::new("cp").arg(program).arg(&path).status().unwrap().success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

/// What the application reaches of a process, by the names of what it tried.
async fn reached(process: &Child) -> Vec<String> {
    let pid = process.id().unwrap();
    let script = format!(
        "for name in environ maps auxv; do cat /proc/{pid}/$name >/dev/null 2>&1 && echo $name; done
         head -c 0 /proc/{pid}/mem 2>/dev/null && echo mem
         ls /proc/{pid}/root/ >/dev/null 2>&1 && echo root
         ls /proc/{pid}/fd/ >/dev/null 2>&1 && echo fd
         ls /proc/{pid}/map_files/ >/dev/null 2>&1 && echo map_files
         readlink /proc/{pid}/exe >/dev/null 2>&1 && echo exe
         cat /proc/{pid}/comm >/dev/null 2>&1 && echo comm"
    );
    let mut shell = std::process::Command::new("/bin/sh");
    shell.arg("-c").arg(script).uid(user()).gid(user());
    let output = Command::from(shell).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

async fn pod_of_user() -> (Peer, Pod) {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.set("a", 1, "one");
    });
    let pod = Pod::new(&peer);
    pod.give_to(user());
    (peer, pod)
}

#[tokio::test]
async fn the_same_user_reads_nothing_of_a_running_sidecar() {
    let (peer, pod) = pod_of_user().await;
    let running = sidecar(&peer, &pod, "run").uid(user()).gid(user()).spawn().unwrap();
    pod.is_ready().await;
    assert_eq!(reached(&running).await, ["comm"], "its name is all there is to know");
}

/// Takes a descriptor of another process, as the application's user. The kernel asks the same for it as for `ptrace`.
fn trace(process: &Child) -> rustix::io::Result<()> {
    let pid = Pid::from_raw(i32::try_from(process.id().unwrap()).unwrap()).unwrap();
    let thread = std::thread::spawn(move || {
        if geteuid().is_root() {
            set_thread_gid(Gid::from_raw(user())).unwrap();
            set_thread_res_uid(Uid::from_raw(user()), Uid::from_raw(user()), Uid::from_raw(user())).unwrap();
        }
        let handle = pidfd_open(pid, PidfdFlags::empty())?;
        pidfd_getfd(handle, 2, PidfdGetfdFlags::empty()).map(drop)
    });
    thread.join().unwrap()
}

#[tokio::test]
async fn the_same_user_cannot_trace_a_running_sidecar() {
    let (peer, pod) = pod_of_user().await;
    let running = sidecar(&peer, &pod, "run").uid(user()).gid(user()).spawn().unwrap();
    pod.is_ready().await;
    assert_eq!(trace(&running), Err(Errno::PERM));
    // Another program is traced, unless the system restricts that as a whole.
    let other = Command::new("sleep").arg("60").uid(user()).gid(user()).kill_on_drop(true).spawn().unwrap();
    let restricted =
        std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").is_ok_and(|scope| scope.trim() != "0");
    assert_eq!(trace(&other), if restricted { Err(Errno::PERM) } else { Ok(()) });
}

#[tokio::test]
async fn a_program_that_cannot_be_read_is_closed_before_its_first_instruction() {
    let (peer, pod) = pod_of_user().await;
    // `wait` holds no key and leaves its memory as it is: what closes it is the mode of the program.
    for (mode, expected) in [(0o555, true), (0o111, false)] {
        let (_directory, program) = installed(env!("CARGO_BIN_EXE_sikkerkey-sidecar"), mode);
        let mut waiting = Command::new(program);
        waiting.arg("wait").env_clear().env("SIKKERKEY_MOUNT", pod.volume()).uid(user()).gid(user()).kill_on_drop(true);
        let waiting = waiting.spawn().unwrap();
        let pid = waiting.id().unwrap();
        let command = || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        eventually("it runs", || command().contains("wait")).await;
        assert_eq!(reached(&waiting).await.contains(&"environ".to_owned()), expected, "{mode:o}");
    }
    drop(peer);
}
