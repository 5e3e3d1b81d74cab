//! P5: what committing together is worth, against a transaction for each request.

use anyhow::Result;

use super::Bench;
use super::row::{Better, Row, Unit, short};
use super::saturation::{Ask, CONNECTIONS, saturate};

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Row> {
    let fleet = bench.scale.fleet;
    let mut rates = Vec::new();
    for (name, max_group) in [("together", None), ("alone", Some(1))] {
        let data = bench.data(name, fleet).await?;
        let server = bench.programs.server(&data, max_group).await?;
        rates.push(saturate(&server, Ask::Reads(fleet), bench.scale.round).await?.rate);
        server.stop().await?;
    }
    let [together, alone] = rates.try_into().unwrap_or_default();
    Ok(Row {
        point: "P5",
        what: format!("group commit, {CONNECTIONS} connections: throughput"),
        measured: format!("{} reads/s", short(together)),
        reference: format!("{} reads/s, a transaction each", short(alone)),
        figure: together / alone,
        unit: Unit::Times,
        better: Better::More,
        floor: 6.0,
        stretch: Some(8.0),
    })
}
