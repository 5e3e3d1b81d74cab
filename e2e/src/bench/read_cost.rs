//! P1 and P2: what a durable signed read costs the server, against an empty answer and against what its parts cost at best.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::latency::median;
use super::primitive::{GROUP, Parts};
use super::row::{Better, Row, Unit, short};
use super::saturation::{Ask, paced, saturate};

/// What a read and an empty answer cost, in seconds of processor time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    read: f64,
    /// Of a saturated server, which finds many requests waiting each time it wakes.
    hello: f64,
    /// At the rate of the reads, so that it wakes as often as for those.
    hello_at_rate: f64,
    rate: f64,
}

/// Measures both in turn, so that what disturbs one disturbs the other.
pub(super) async fn measure(bench: &Bench<'_>) -> Result<Cost> {
    let fleet = bench.scale.fleet;
    let server = bench.server("reads", fleet).await?;
    let hello = bench.programs.hello(bench.directory).await?;
    let (mut reads, mut hellos, mut at_rate, mut rates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.scale.rounds {
        hellos.push(saturate(&hello, Ask::Nothing, bench.scale.round).await?.cpu.as_secs_f64());
        let read = saturate(&server, Ask::Reads(fleet), bench.scale.round).await?;
        reads.push(read.cpu.as_secs_f64());
        rates.push(read.rate);
        at_rate.push(paced(&hello, Ask::Nothing, read.rate, bench.scale.round).await?.cpu.as_secs_f64());
    }
    hello.stop().await?;
    server.stop().await?;
    Ok(Cost { read: median(reads), hello: median(hellos), hello_at_rate: median(at_rate), rate: median(rates) })
}

/// P1, against an empty answer of a server that is asked for all it can, and of one that is asked as often as reads are.
pub(super) fn against_hello(cost: Cost) -> [Row; 2] {
    let row = |when: &str, hello: f64| Row {
        point: "P1",
        what: format!("CPU of a signed read of 1 KB; empty answer {when}"),
        measured: format!("{} ({} reads/s)", microseconds(cost.read), short(cost.rate)),
        reference: format!("{} an empty answer", microseconds(hello)),
        figure: cost.read / hello.max(f64::MIN_POSITIVE),
        unit: Unit::Times,
        better: Better::Less,
        floor: 8.0,
        stretch: Some(5.0),
    };
    [row("saturated", cost.hello), row("at the same rate", cost.hello_at_rate)]
}

/// P2, with signatures verified one by one and together.
pub(super) async fn against_ceiling(bench: &Bench<'_>, cost: Cost) -> Result<[Row; 2]> {
    let parts = Parts::measure(bench.directory, bench.scale.primitive).await?;
    let rest = cost.hello + parts.hash_and_open.as_secs_f64() + parts.write.as_secs_f64();
    bench.say(&format!(
        "parts of a read: signature {} alone, {} of {GROUP} together; hash and decryption {}; nonce and audit row {} of {GROUP} \
         together; HTTP {}",
        microseconds(parts.verify.as_secs_f64()),
        microseconds(parts.verify_together.as_secs_f64()),
        microseconds(parts.hash_and_open.as_secs_f64()),
        microseconds(parts.write.as_secs_f64()),
        microseconds(cost.hello),
    ));
    let row = |how: &str, verify: Duration| {
        let ceiling = 1.0 / (rest + verify.as_secs_f64());
        Row {
            point: "P2",
            what: format!("share of the ceiling, signatures verified {how}"),
            measured: format!("{} reads/s of CPU", short(1.0 / cost.read)),
            reference: format!("{} reads/s of CPU", short(ceiling)),
            figure: 1.0 / cost.read / ceiling,
            unit: Unit::Percent,
            better: Better::More,
            floor: 0.6,
            stretch: Some(0.75),
        }
    };
    Ok([row("one by one", parts.verify), row("together", parts.verify_together)])
}

fn microseconds(seconds: f64) -> String {
    format!("{} µs", short(seconds * 1e6))
}
