//! What a sidecar costs a pod: time from process start to ten files, CPU for that, memory, and wake-ups while it waits.
//!
//! `cargo bench -p sikkerkey-sidecar` measures the program of the bench profile. To measure another one, as the image
//! has it, build that and name it in `SIKKERKEY_SIDECAR`; the bench itself may then be of any profile:
//!
//! ```text
//! RUSTFLAGS='-C target-feature=+crt-static' cargo build --profile sidecar --target x86_64-unknown-linux-gnu -p sikkerkey-sidecar
//! SIKKERKEY_SIDECAR=$PWD/target/x86_64-unknown-linux-gnu/sidecar/sikkerkey-sidecar cargo bench --profile dev -p sikkerkey-sidecar
//! ```
//!
//! The other end is the tests' peer in this process: its share of the time is in the figures. `exec` is the time that
//! starting the same program takes for `--version`, for comparison.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a measurement that fails has none"
)]
#![expect(clippy::print_stdout, reason = "prints its figures")]
#![expect(dead_code, reason = "it needs less of the peer than the tests do")]

#[path = "../tests/sidecar/peer.rs"]
mod peer;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::Timespec;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::nanosleep;

use crate::peer::{Peer, TOKEN, raw};

const RUNS: usize = 30;
const SECRETS: usize = 10;
const IDLE: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Run {
    files_millis: f64,
    cpu_millis: f64,
    rss_kib: u64,
    anonymous_kib: u64,
    threads: u64,
}

fn main() {
    let program = std::env::var_os("SIKKERKEY_SIDECAR")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_sikkerkey-sidecar")), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let peer = Peer::start().await;
        peer.change(|world| {
            for index in 0..SECRETS {
                let name = format!("secret{index}");
                world.set(&name, 1, &"v".repeat(200));
                world.delivery.files.push(raw(&format!("directory/file{index}"), &name));
            }
        });
        let (url, ca) = (peer.url.clone(), peer.authority.pem.clone());
        let measured = tokio::task::spawn_blocking(move || measure(&program, &url, &ca));
        measured.await.unwrap();
    });
}

fn measure(program: &Path, url: &str, ca: &str) {
    println!("program: {} ({} KiB)", program.display(), std::fs::metadata(program).unwrap().len() / 1024);
    let exec = sorted((0..RUNS).map(|_| {
        let start = Instant::now();
        assert!(Command::new(program).arg("--version").stdout(Stdio::null()).status().unwrap().success());
        millis(start.elapsed())
    }));
    let runs: Vec<Run> = (0..RUNS).map(|_| one(program, url, ca, None).0).collect();
    let (_, wakeups) = one(program, url, ca, Some(IDLE));
    print("exec, ms", &exec);
    print("start to 10 files, ms", &sorted(runs.iter().map(|run| run.files_millis)));
    print("CPU for that, ms", &sorted(runs.iter().map(|run| run.cpu_millis)));
    #[expect(clippy::cast_precision_loss, reason = "KiB of one process")]
    {
        print("RSS, KiB", &sorted(runs.iter().map(|run| run.rss_kib as f64)));
        print("RSS anonymous, KiB", &sorted(runs.iter().map(|run| run.anonymous_kib as f64)));
        print("threads", &sorted(runs.iter().map(|run| run.threads as f64)));
    }
    println!("wake-ups in {} s of waiting: {wakeups}", IDLE.as_secs());
}

/// One sidecar, from its start to its files, and how often it wakes while it then waits.
fn one(program: &Path, url: &str, ca: &str, idle: Option<Duration>) -> (Run, u64) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let volume = directory.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(directory.path().join("token"), TOKEN).unwrap();
    let mut command = Command::new(program);
    command.arg("run").env_clear().env("SIKKERKEY_ATTEST_URL", url).env("SIKKERKEY_CA", ca);
    command.env("SIKKERKEY_MOUNT", &volume).env("SIKKERKEY_TOKEN", directory.path().join("token"));
    command.stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let last = volume.join(format!("directory/file{}", SECRETS - 1));
    while !last.exists() {
        rest(Duration::from_micros(100));
    }
    let files_millis = millis(start.elapsed());
    // Until the state is written and the next question is held.
    rest(Duration::from_millis(100));
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let cpu = std::fs::read_to_string(process.join("schedstat")).unwrap();
    let run = Run {
        files_millis,
        cpu_millis: cpu.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6,
        rss_kib: status(&process, "VmRSS:"),
        anonymous_kib: status(&process, "RssAnon:"),
        threads: status(&process, "Threads:"),
    };
    let before = status(&process, "voluntary_ctxt_switches:");
    if let Some(idle) = idle {
        rest(idle);
    }
    let wakeups = status(&process, "voluntary_ctxt_switches:") - before;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    (run, wakeups)
}

fn rest(time: Duration) {
    let request = Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap(), tv_nsec: i64::from(time.subsec_nanos()) };
    let _: rustix::thread::NanosleepRelativeResult = nanosleep(&request);
}

fn status(process: &Path, key: &str) -> u64 {
    let text = std::fs::read_to_string(process.join("status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

fn print(what: &str, figures: &[f64]) {
    let at = |percent: usize| figures[(figures.len() - 1) * percent / 100];
    println!("{what}: least {:.1}, median {:.1}, p95 {:.1}, most {:.1}", at(0), at(50), at(95), at(100));
}
