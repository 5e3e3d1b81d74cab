//! P4: what a read writes to the device, and how far the database's log grows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::AbortHandle;

use super::Bench;
use super::row::{Better, Row, Unit, short};
use super::saturation::{Ask, CONNECTIONS, enough, measured, saturate};

/// The lowest rate for which the target is meant: the fewer reads share a commit, the more each of them writes.
const RATE: f64 = 1000.0;
const SEED: u64 = 2;
/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let fleet = bench.scale.fleet;
    let data = bench.data("disk", fleet).await?;
    let server = bench.programs.server(&data, None).await?;

    let requests = fleet.reads(enough(RATE, bench.scale.loaded)).await?;
    let before = server.meter.used()?;
    let answered = server.load(CONNECTIONS).open(&requests, RATE, SEED).await?;
    let used = server.meter.used()?.since(&before);
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let at_rate = used.device_bytes as f64 / answered.count.max(1) as f64;

    // What comes next is signed while the server answers, so that it is never left in peace.
    let log = Watched::new(&data);
    let (ask, begun) = (Ask::Reads(fleet), Instant::now());
    let first = saturate(&server, ask, bench.scale.round.min(bench.scale.saturation)).await?;
    let count = enough(first.rate, bench.scale.round);
    let (mut requests, mut last) = (ask.requests(count).await?, first);
    while begun.elapsed() < bench.scale.saturation {
        let (answered, next) = tokio::join!(measured(&server, &requests), ask.requests(count));
        (last, requests) = (answered?, next?);
    }
    let largest = log.largest.load(Ordering::Relaxed);
    server.stop().await?;

    let device = |what: &str, measured: f64, rate: f64| Row {
        point: "P4",
        what: format!("device bytes per read, {what}"),
        measured: format!("at {} reads/s", short(rate)),
        reference: String::new(),
        figure: measured,
        unit: Unit::Kilobytes,
        better: Better::Less,
        floor: 4_000.0,
        stretch: Some(2_000.0),
    };
    Ok(vec![
        device("1,000 reads/s", at_rate, answered.rate()),
        device("saturated", last.device_bytes, last.rate),
        Row {
            point: "P4",
            what: "largest log of the database, saturated".into(),
            measured: format!("in {} s", short(bench.scale.saturation.as_secs_f64())),
            reference: String::new(),
            #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
            figure: largest as f64,
            unit: Unit::Megabytes,
            better: Better::Less,
            floor: 64e6,
            stretch: None,
        },
    ])
}

/// The database's log, looked at until this is dropped.
struct Watched {
    largest: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Watched {
    fn new(data: &Path) -> Self {
        let largest = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(watch(data.join("sikkerkey.db-wal"), Arc::clone(&largest))).abort_handle();
        Self { largest, task }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(log: PathBuf, largest: Arc<AtomicU64>) {
    loop {
        // None at the moment is none too large.
        let size = std::fs::metadata(&log).map_or(0, |it| it.len());
        largest.fetch_max(size, Ordering::Relaxed);
        tokio::time::sleep(LOOK).await;
    }
}
