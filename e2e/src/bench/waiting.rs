//! P3: how long a reader waits, on an idle server and under load.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::primitive::fdatasync;
use super::row::{Better, Row, Unit, short};
use super::saturation::{Ask, CONNECTIONS, enough, saturate};

/// The load under which people wait, as a share of what the server can do.
const LOAD: f64 = 0.7;
/// When requests are due is random, and the same in each run.
const SEED: u64 = 1;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let fleet = bench.scale.fleet;
    let server = bench.server("waiting", fleet).await?;
    let before = fdatasync(bench.directory, bench.scale.idle)?;
    let idle = server.load(1).closed(&fleet.reads(bench.scale.idle).await?).await?;
    let after = fdatasync(bench.directory, bench.scale.idle)?;
    let sync = (before + after) / 2;

    let saturated = saturate(&server, Ask::Reads(fleet), bench.scale.round).await?;
    let rate = saturated.rate * LOAD;
    let requests = fleet.reads(enough(rate, bench.scale.loaded)).await?;
    let loaded = server.load(CONNECTIONS).open(&requests, rate, SEED).await?;
    server.stop().await?;
    let quantiles = [100, 500, 900, 990, 999, 1000].map(|it| milliseconds(loaded.latencies.quantile(it)));
    bench.say(&format!("70 % load: 10, 50, 90, 99, 99.9 and 100 % of the reads within {}", quantiles.join(", ")));

    let under_load = |what: &str, per_mille, floor| Row {
        point: "P3",
        what: format!("70 % load: {what} of a read"),
        measured: format!("{} at {} reads/s", milliseconds(loaded.latencies.quantile(per_mille)), short(loaded.rate())),
        reference: String::new(),
        figure: loaded.latencies.quantile(per_mille).as_secs_f64(),
        unit: Unit::Milliseconds,
        better: Better::Less,
        floor,
        stretch: None,
    };
    Ok(vec![
        Row {
            point: "P3",
            what: "idle: median of a read".into(),
            measured: milliseconds(idle.latencies.median()),
            reference: format!("{} an fdatasync", milliseconds(sync)),
            figure: idle.latencies.median().as_secs_f64() / sync.as_secs_f64().max(f64::MIN_POSITIVE),
            unit: Unit::Syncs,
            better: Better::Less,
            floor: 3.0,
            stretch: None,
        },
        under_load("99 %", 990, 0.010),
        under_load("99.9 %", 999, 0.050),
    ])
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", short(time.as_secs_f64() * 1e3))
}
