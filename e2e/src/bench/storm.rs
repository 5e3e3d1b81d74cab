//! P6: a restart storm. Every machine reads all its secrets at once, each with its row in the audit.

use anyhow::{Context, Result, ensure};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::Bench;
use super::data::VALUE;
use super::row::{Better, Row, Unit, short};
use super::saturation::CONNECTIONS;

/// Machines of the storm that the target means.
const MACHINES: f64 = 10_000.0;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Row> {
    let fleet = bench.scale.storm;
    let data = bench.data("storm", fleet).await?;
    let server = bench.programs.server(&data, None).await?;
    let requests = fleet.exports().await?;
    let before = server.meter.used()?;
    let mut load = server.load(CONNECTIONS);
    load.least_body = fleet.per_machine * VALUE;
    let answered = load.closed(&requests).await?;
    let used = server.meter.used()?.since(&before);
    server.stop().await?;

    let mut database =
        SqliteConnectOptions::new().filename(data.join("sikkerkey.db")).read_only(true).connect().await?;
    let audited: i64 = sqlx::query_scalar("select count(*) from audit where entry ->> '$.action' = 'secret_read'")
        .fetch_one(&mut database)
        .await
        .context("cannot count the rows of the audit")?;
    database.close().await?;
    let reads = fleet.machines * fleet.per_machine;
    ensure!(usize::try_from(audited)? == reads, "{reads} secrets were read and {audited} rows are in the audit");

    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let (machines, reads) = (fleet.machines as f64, reads as f64);
    let scaled = answered.elapsed.as_secs_f64() * MACHINES / machines;
    Ok(Row {
        point: "P6",
        what: format!("restart storm: 10,000 machines read {} secrets each", fleet.per_machine),
        measured: format!(
            "{} s for {} machines, {} rows/s, {} µs CPU each",
            short(answered.elapsed.as_secs_f64()),
            fleet.machines,
            short(reads / answered.elapsed.as_secs_f64()),
            short(used.cpu.as_secs_f64() / reads * 1e6)
        ),
        reference: String::new(),
        figure: scaled,
        unit: Unit::Seconds,
        better: Better::Less,
        floor: 60.0,
        stretch: Some(22.0),
    })
}
