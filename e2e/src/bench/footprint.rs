//! P11: what a server with many machines and secrets has in memory, and how long one with a large database takes to start.

use anyhow::Result;

use super::Bench;
use super::data::grow;
use super::row::{Better, Row, Unit, short};

pub(super) async fn measure(bench: &Bench<'_>) -> Result<[Row; 2]> {
    let fleet = bench.scale.crowd;
    let data = bench.data("crowd", fleet).await?;
    let server = bench.programs.server(&data, None).await?;
    let memory = server.meter.memory()?;
    server.stop().await?;

    let size = grow(&data, bench.scale.database, fleet).await?;
    let server = bench.programs.server(&data, None).await?;
    let start = server.start;
    server.stop().await?;

    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let (resident, anonymous, size) = (memory.resident as f64, memory.anonymous as f64, size as f64);
    Ok([
        Row {
            point: "P11",
            what: format!("memory with {} machines and {} secrets", fleet.machines, fleet.secrets),
            measured: format!("{} MB anonymous", short(anonymous / 1e6)),
            reference: String::new(),
            figure: resident,
            unit: Unit::Megabytes,
            better: Better::Less,
            floor: 128e6,
            stretch: Some(64e6),
        },
        Row {
            point: "P11",
            what: "process start to serving".into(),
            measured: format!("with a database of {} MB", short(size / 1e6)),
            reference: String::new(),
            figure: start.as_secs_f64(),
            unit: Unit::Seconds,
            better: Better::Less,
            floor: 1.0,
            stretch: None,
        },
    ])
}
