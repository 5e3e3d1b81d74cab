//! P8: one sidecar, the program itself, against operator and server at rest.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::row;
use super::stage::{BOUND, Placed, SECRETS, Stage};
use crate::bench::Bench;
use crate::bench::latency::{Latencies, median};
use crate::bench::meter::Meter;
use crate::bench::row::{Row, Unit, short};

/// How often it is looked at whether the files are there.
const LOOK: Duration = Duration::from_micros(200);
/// Until the state is written and the next question is held.
const SETTLED: Duration = Duration::from_millis(200);

struct Run {
    files: Duration,
    cpu: f64,
    resident: f64,
    anonymous: f64,
}

pub(super) async fn measure(bench: &Bench<'_>, stage: &Stage, program: &Path) -> Result<Vec<Row>> {
    let runs = bench.scale.sidecars;
    // Numbered apart from the rounds of the storm.
    let mut pods = stage.pods(usize::MAX, runs + 1).await?;
    let last = pods.pop().context("there is no pod")?;
    let mut exec = Vec::new();
    let mut measured = Vec::new();
    for placed in pods {
        exec.push(nothing(program)?);
        let mut sidecar = Running::start(stage, program, &placed)?;
        measured.push(sidecar.run().await?);
        sidecar.end()?;
    }
    let mut sidecar = Running::start(stage, program, &last)?;
    sidecar.run().await?;
    let before = sidecar.wake_ups()?;
    tokio::time::sleep(bench.scale.idle_sidecar).await;
    let woken = sidecar.wake_ups()? - before;
    sidecar.end()?;

    let files = Latencies::new(measured.iter().map(|run| run.files).collect());
    let middle = |figure: fn(&Run) -> f64| median(measured.iter().map(figure).collect());
    let exec = Latencies::new(exec);
    let size = std::fs::metadata(program)?.len();
    let row = |what, measured, reference, figure, unit, floor, stretch| Row {
        reference,
        ..row("P8", what, measured, figure, unit, floor, stretch)
    };
    let ms = |time: Duration| short(time.as_secs_f64() * 1e3);
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let (size, woken) = (size as f64, woken as f64);
    Ok(vec![
        row(
            "a sidecar, from its start to 10 files, 95 %",
            format!("median {} ms", ms(files.median())),
            format!("{} ms to start and end a program", ms(exec.median())),
            files.quantile(950).as_secs_f64(),
            Unit::Milliseconds,
            30e-3,
            Some(15e-3),
        ),
        row(
            "its CPU for that",
            format!("{} runs", measured.len()),
            String::new(),
            middle(|run| run.cpu),
            Unit::Milliseconds,
            10e-3,
            Some(4e-3),
        ),
        row(
            "its memory, resident",
            format!("a program of {} MB", short(size / 1e6)),
            String::new(),
            middle(|run| run.resident),
            Unit::Megabytes,
            8e6,
            Some(5e6),
        ),
        row(
            "its memory, anonymous",
            String::new(),
            String::new(),
            middle(|run| run.anonymous),
            Unit::Megabytes,
            2e6,
            Some(1e6),
        ),
        row(
            "its wake-ups while nothing changes",
            format!("in {} s", bench.scale.idle_sidecar.as_secs()),
            String::new(),
            woken,
            Unit::Count,
            0.0,
            None,
        ),
    ])
}

/// How long it takes to start the program for nothing.
fn nothing(program: &Path) -> Result<Duration> {
    let start = Instant::now();
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{} --version: {status}", program.display());
    Ok(start.elapsed())
}

/// A sidecar that runs, ended with its handle.
struct Running {
    child: Child,
    started: Instant,
    /// Its volume is memory, as a pod's is.
    directory: tempfile::TempDir,
}

impl Running {
    fn start(stage: &Stage, program: &Path, placed: &Placed) -> Result<Self> {
        let directory = tempfile::tempdir_in("/dev/shm").context("files need memory: /dev/shm")?;
        let (volume, token) = (directory.path().join("volume"), directory.path().join("token"));
        std::fs::create_dir(&volume)?;
        std::fs::write(&token, &placed.token)?;
        let mut command = Command::new(program);
        command.arg("run").env_clear().env("SIKKERKEY_ATTEST_URL", stage.installation.operator_url());
        command.env("SIKKERKEY_CA", &stage.ca).env("SIKKERKEY_MOUNT", &volume).env("SIKKERKEY_TOKEN", &token);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        Ok(Self { child: command.spawn().context("cannot start the sidecar")?, started, directory })
    }

    async fn run(&mut self) -> Result<Run> {
        let files = self.directory.path().join("volume/files");
        let there = || std::fs::read_dir(&files).is_ok_and(|files| files.count() == SECRETS);
        while !there() {
            ensure!(self.started.elapsed() < BOUND, "the sidecar writes no files");
            ensure!(self.child.try_wait()?.is_none(), "the sidecar has ended");
            tokio::time::sleep(LOOK).await;
        }
        let files = self.started.elapsed();
        tokio::time::sleep(SETTLED).await;
        let memory = Meter::new(self.child.id()).memory()?;
        #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
        let (resident, anonymous) = (memory.resident as f64, memory.anonymous as f64);
        Ok(Run { files, cpu: self.cpu()?, resident, anonymous })
    }

    /// Processor time so far, in seconds. The kernel counts ticks elsewhere, which are longer than all of it.
    fn cpu(&self) -> Result<f64> {
        let text = self.read("schedstat")?;
        let nanoseconds = text.split(' ').next().and_then(|it| it.parse::<f64>().ok());
        Ok(nanoseconds.context("/proc/PID/schedstat is not what it should be")? / 1e9)
    }

    fn wake_ups(&self) -> Result<u64> {
        let text = self.read("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|it| it.trim().parse().ok()).context("/proc/PID/status names no switches")
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    fn end(&mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the sidecar ended with {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
