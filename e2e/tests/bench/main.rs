//! The benchmarks run, from filling a data directory or a cluster to the picture, and leave nothing behind. What they measure is not looked at: a figure is
//! no test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::node::Node;
use sikkerkey_e2e::shipped::{self, Part};
use sikkerkey_e2e::wait::wait_for;
use tempfile::TempDir;

/// The bound of one wait. Nothing comes near it on an idle machine.
const BOUND: Duration = Duration::from_secs(90);

/// Server, operator and sidecar.
static PROGRAMS: LazyLock<[PathBuf; 3]> = LazyLock::new(|| {
    let workspace = cargo::build_workspace().expect("it builds");
    let [server, operator] =
        ["sikkerkey-server", "sikkerkey-operator"].map(|name| workspace.program(name).expect("it is a program"));
    [server, operator, shipped::program(Part::Sidecar).expect("it builds")]
});

fn bench(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-e2e"));
    let [server, operator, sidecar] = &*PROGRAMS;
    command.arg("bench").args(arguments).arg("--dir").arg(place);
    command.arg("--server").arg(server).arg("--operator").arg(operator).arg("--sidecar").arg(sidecar);
    command
}

fn place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[test]
fn every_point_is_measured_and_written_down() {
    let (place, results) = (place(), place());
    let (json, svg) = (results.path().join("bench.json"), results.path().join("bench.svg"));
    let mut command = bench(place.path(), &["all", "--smoke"]);
    let output = command.arg("--json").arg(&json).arg("--svg").arg(&svg).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // Missed floors are no failure unless somebody asks for it.
    assert!(output.status.success(), "{errors}");

    let document: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let rows = document["rows"].as_array().unwrap();
    let points: Vec<_> = rows.iter().map(|row| row["point"].as_str().unwrap()).collect();
    let of_server = ["P1", "P1", "P2", "P2", "P3", "P3", "P3", "P4", "P4", "P4", "P5", "P6"];
    let of_pods = ["P7", "P7", "P7", "P7", "P7", "P8", "P8", "P8", "P8", "P8", "P9", "P9", "P9", "P9"];
    // Where no node can run, the bench says so.
    let on_a_node: &[&str] = if Node::requirements().is_empty() { &["P12"] } else { &[] };
    assert_eq!(
        points,
        [&of_server[..], &of_pods, &["P10"; 10], &["P11"; 2], on_a_node, &["P13"; 3], &["P14"; 5]].concat()
    );
    let (table, picture) = (String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(svg).unwrap());
    for row in rows {
        let what = row["what"].as_str().unwrap();
        // The time of a process comes in hundredths of a second, of which a short run of the empty answer has perhaps none.
        // How much later an application starts is a difference: of two single starts it may be anything.
        assert!(row["figure"].as_f64().unwrap() >= 0.0 || row["point"] == "P12", "{row}");
        assert!(table.contains(what) && picture.contains(what), "{row}");
    }
    assert_eq!(left(place.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn an_interrupted_run_ends_its_server_and_removes_its_data() {
    let place = place();
    let child = bench(place.path(), &["p4", "--quick"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut child = Ended(child);
    let server = wait_for("a server of the run", BOUND, async || {
        let servers = processes_with(place.path(), "serve");
        servers.first().copied().ok_or("there is none")
    });
    let server = server.await.unwrap();
    kill_process(Pid::from_child(&child.0), Signal::INT).unwrap();
    let status = wait_for("its end", BOUND, async || child.0.try_wait().unwrap().ok_or("it runs")).await.unwrap();
    assert_eq!((status.code(), status.signal()), (Some(1), None));
    assert!(!processes_with(place.path(), "serve").contains(&server));
    assert_eq!(left(place.path()), Vec::<PathBuf>::new());
}

/// Ended also when the test fails before.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn left(place: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Processes that have `word` and something below `place` among their arguments.
fn processes_with(place: &Path, word: &str) -> Vec<u32> {
    let place = place.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let arguments = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let has = |wanted: &dyn Fn(&str) -> bool| arguments.split('\0').any(wanted);
        (has(&|it| it == word) && has(&|it| it.starts_with(place))).then_some(pid)
    });
    processes.collect()
}
