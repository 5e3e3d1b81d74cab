//! What was measured, against the targets.

use std::time::Duration;

use super::{AT_ONCE, Again, Away, Cold, Quiet};
use crate::bench::latency::Latencies;
use crate::bench::notes::Asked;
use crate::bench::row::{Better, Row, Unit, short};
use crate::bench::scale::Scale;

/// The objects that the target means.
const OBJECTS: f64 = 10_000.0;

/// All of it.
pub(super) struct Figures {
    pub(super) scale: Scale,
    pub(super) idle: Latencies,
    pub(super) cold: Cold,
    pub(super) quiet: Quiet,
    pub(super) compared: Latencies,
    pub(super) again: Again,
    pub(super) away: Away,
}

impl Figures {
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::from(self.convergence());
        rows.extend(self.memory());
        rows.push(self.newcomer("new Secret Ready during a comparison, 99 %", &self.compared));
        rows.push(self.newcomer("new Secret Ready while the operator starts, 99 %", &self.again.newcomers));
        rows.extend(self.stillness());
        rows
    }

    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    fn objects(&self) -> f64 {
        self.scale.objects.len() as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    fn convergence(&self) -> [Row; 3] {
        let (cold, objects) = (&self.cold, self.objects());
        let scaled = |time: Duration| time.as_secs_f64() * OBJECTS / objects;
        let measured = format!(
            "{} for {objects}; CPU of operator {}, server {}, API server {}",
            seconds(cold.took),
            seconds(cold.cpu.operator),
            seconds(cold.cpu.server),
            seconds(cold.cpu.api_server),
        );
        let in_force = Row {
            reference: format!("{} to apply them", seconds(cold.fill)),
            ..row("10,000 objects in force, from cold", measured, scaled(cold.took), Unit::Seconds, 60.0)
        };
        let (requests, writes) = (short(cold.answers / objects), short(cold.asked.writes as f64 / objects));
        let measured = format!("for each object {requests} to the server, {writes} writes");
        let refused = cold.refusals + cold.asked.too_many as f64;
        let refused = row("meanwhile: requests told to come later", measured, refused, Unit::Count, 0.0);
        let measured = format!("{} for {objects}", seconds(self.again.took));
        let what = "all in force, and the operator starts again";
        [in_force, refused, row(what, measured, scaled(self.again.took), Unit::Seconds, 60.0)]
    }

    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    fn memory(&self) -> [Row; 2] {
        let (cold, again) = (&self.cold, &self.again);
        let megabytes = |bytes: u64| format!("{} MB", short(bytes as f64 / 1e6));
        let (restarted, anonymous) = (megabytes(again.memory.resident), megabytes(cold.memory.anonymous));
        let measured = format!("{restarted} after a restart, {anonymous} anonymous");
        let what = format!("operator's memory with {} objects", self.objects());
        let memory = row(&what, measured, cold.memory.resident as f64, Unit::Megabytes, 64e6);
        let measured = format!("{} after a restart", megabytes(again.peak));
        let peak = row("its peak", measured, cold.peak as f64, Unit::Megabytes, 128e6);
        [Row { stretch: Some(40e6), ..memory }, Row { stretch: Some(64e6), ..peak }]
    }

    fn newcomer(&self, what: &str, latencies: &Latencies) -> Row {
        let (slowest, at_rest) = (latencies.quantile(990), self.idle.quantile(990));
        let times =
            |one: Duration, other: Duration| short(one.as_secs_f64() / other.as_secs_f64().max(f64::MIN_POSITIVE));
        let reference = format!(
            "at rest {}, 99 % {}: {} ×, {} ×",
            milliseconds(self.idle.median()),
            milliseconds(at_rest),
            times(latencies.median(), self.idle.median()),
            times(slowest, at_rest),
        );
        let measured = format!("median {}, {} Secrets", milliseconds(latencies.median()), latencies.count());
        Row { reference, ..row(what, measured, slowest.as_secs_f64(), Unit::Milliseconds, 1.0) }
    }

    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    fn stillness(&self) -> [Row; 3] {
        let Asked { writes, leases, reads, .. } = self.quiet.asked;
        let per_minute = |count: f64| count * 60.0 / self.quiet.time.as_secs_f64();
        let measured = format!(
            "{} requests to the server; to the API server {} and {} of the Lease",
            short(per_minute(self.quiet.answers)),
            short(per_minute(reads as f64)),
            short(per_minute(leases as f64)),
        );
        let what = "writes in a minute in which nothing changes";
        let writes = row(what, measured, per_minute(writes as f64), Unit::Count, 0.0);
        let (what, time) = ("conditions that turn while the server is away", seconds(self.scale.away));
        let flips = row(what, time, self.away.flips as f64, Unit::Count, 0.0);
        let measured = format!("with {AT_ONCE} Secrets applied meanwhile");
        let what = "server's start until all is in force again";
        let recovery = row(what, measured, self.away.recovery.as_secs_f64(), Unit::Seconds, 10.0);
        [writes, flips, recovery]
    }
}

fn row(what: &str, measured: String, figure: f64, unit: Unit, floor: f64) -> Row {
    let (what, reference) = (what.to_owned(), String::new());
    Row { point: "P10", what, measured, reference, figure, unit, better: Better::Less, floor, stretch: None }
}

fn seconds(time: Duration) -> String {
    format!("{} s", short(time.as_secs_f64()))
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", short(time.as_secs_f64() * 1e3))
}
