//! The harness ends in every way a process can end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sikkerkey_e2e::leftovers::Leftovers;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_e2e::{Claim, Kind};

use super::{BOUND, node_possible};

/// A harness of its own, with a cluster that is up.
struct Harness {
    child: Child,
    kind: Kind,
    number: u8,
}

impl Harness {
    /// Starts one; answers when its cluster is up.
    fn up(kind: Kind) -> Self {
        let mut child = up(kind).spawn().unwrap();
        let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.contains("Ctrl-C"))
            .collect();
        let directory = lines.iter().find_map(|line| line.trim().strip_prefix("logs: ")).expect("it came up");
        Self { child, kind, number: number_of(directory.trim_end_matches("/log")) }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    fn leftovers(&self) -> Leftovers {
        Leftovers::find(self.kind, self.number)
    }

    async fn nothing_is_left(mut self, bound: Duration) {
        self.child.wait().unwrap();
        let what = format!("everything of {} {} to be gone", self.kind, self.number);
        wait_for(&what, bound, async || {
            let leftovers = self.leftovers();
            if leftovers.is_empty() { Ok(()) } else { Err(leftovers) }
        })
        .await
        .unwrap();
    }
}

fn up(kind: Kind) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-e2e"));
    command.args(["node", "up"]).stdout(Stdio::piped());
    if kind == Kind::ControlPlane {
        command.arg("--control-plane-only");
    }
    command
}

/// The number at the end of a run's directory.
fn number_of(directory: &str) -> u8 {
    directory.rsplit(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// The process that holds the claim: the host keeper.
fn keeper_of(harness: &Harness) -> Pid {
    let parent = harness.child.id().to_string();
    let child = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let is_child = stat.rsplit_once(')')?.1.split_whitespace().nth(1)? == parent;
        let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        (is_child && command.contains("\0keep\0")).then_some(pid)
    });
    Pid::from_raw(child.unwrap()).unwrap()
}

#[tokio::test]
async fn a_control_plane_is_gone_after_each_kind_of_end() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let harness = Harness::up(Kind::ControlPlane);
        assert!(!harness.leftovers().is_empty());
        kill_process(harness.pid(), signal).unwrap();
        harness.nothing_is_left(BOUND).await;
    }
}

#[tokio::test]
async fn a_node_is_gone_after_its_harness_was_killed() {
    if !node_possible("a_node_is_gone_after_its_harness_was_killed") {
        return;
    }
    let harness = Harness::up(Kind::Node);
    assert!(harness.leftovers().processes.len() >= 7, "{}", harness.leftovers());
    kill_process(harness.pid(), Signal::KILL).unwrap();
    harness.nothing_is_left(BOUND).await;
}

#[tokio::test]
async fn no_process_survives_even_when_the_keeper_is_killed_too_and_the_rest_is_swept_later() {
    if !node_possible("no_process_survives_even_when_the_keeper_is_killed_too_and_the_rest_is_swept_later") {
        return;
    }
    let mut harness = Harness::up(Kind::Node);
    let keeper = keeper_of(&harness);
    kill_process(keeper, Signal::KILL).unwrap();
    // It may notice the end of its keeper before this reaches it.
    let _ = kill_process(harness.pid(), Signal::KILL);
    harness.child.wait().unwrap();
    wait_for("all processes to be gone", BOUND, async || {
        let processes = harness.leftovers().processes;
        if processes.is_empty() { Ok(()) } else { Err(processes.join(", ")) }
    })
    .await
    .unwrap();
    // Directories, cgroups and the link may still be there. Another run takes them away, whether it needs the number or not.
    if Claim::take(Kind::Node, harness.number).unwrap().is_some() {
        let output = Command::new(env!("CARGO_BIN_EXE_sikkerkey-e2e"))
            .args(["node", "down", &format!("node{}", harness.number)])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        harness.nothing_is_left(BOUND).await;
    }
}

#[tokio::test]
async fn a_start_that_is_interrupted_leaves_nothing() {
    let (kind, points) = if node_possible("a_start_that_is_interrupted_leaves_nothing (with a node)") {
        (Kind::Node, ["run directory", "namespaces and network", "containerd answers"].as_slice())
    } else {
        (Kind::ControlPlane, ["run directory", "certificates"].as_slice())
    };
    for (point, signal) in points.iter().zip([Signal::KILL, Signal::TERM, Signal::KILL]) {
        let mut child = up(kind).arg("--verbose").stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let directory =
            lines.find_map(|line| line.split_once("run directory ").map(|(_, path)| path.to_owned())).unwrap();
        assert!(*point == "run directory" || lines.any(|line| line.contains(point)), "{point}");
        let harness = Harness { child, kind, number: number_of(&directory) };
        assert!(!harness.leftovers().is_empty());
        kill_process(harness.pid(), signal).unwrap();
        harness.nothing_is_left(BOUND).await;
    }
}

#[tokio::test]
async fn a_demo_that_is_interrupted_while_it_builds_ends_the_compilers_too() {
    let directory = tempfile::tempdir().unwrap();
    // Stands for a cargo that has started a compiler.
    let (cargo, pids) = (directory.path().join("cargo"), directory.path().join("pids"));
    let script = format!("#!/bin/sh\nsleep 1000 &\necho $$ $! > {0}.part && mv {0}.part {0}\nwait\n", pids.display());
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sikkerkey-e2e"))
            .arg("demo")
            .env("CARGO", &cargo)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let found = wait_for("the build to begin", BOUND, async || std::fs::read_to_string(&pids)).await.unwrap();
        kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "it was not finished");
        for pid in found.split_whitespace() {
            wait_for(&format!("process {pid} to be gone"), BOUND, async || {
                let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                // Whoever adopted it may not have reaped it yet.
                if state.is_empty() || state.contains(") Z ") { Ok(()) } else { Err(state) }
            })
            .await
            .unwrap();
        }
        std::fs::remove_file(&pids).unwrap();
    }
}
