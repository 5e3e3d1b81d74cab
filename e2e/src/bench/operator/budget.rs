//! P13: what the operator writes while many Grants are read all the time.
//!
//! The counters of every Grant change with every read. Written as they change they would be hundreds of writes a second, and a refresh
//! of each tool that watches: they have a budget, for the operator as a whole. Whether it holds is counted by the API server; beside it
//! stands whether somebody's new Secret is still seen to at once, and whether anything turns while the server is away.

mod hosts;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::interval;

pub(in crate::bench) use self::hosts::Hosts;
use self::hosts::Readers;
use super::newcomers::Newcomers;
use super::{BOUND, Stage};
use crate::bench::Bench;
use crate::bench::latency::Latencies;
use crate::bench::notes::Notes;
use crate::bench::row::{Better, Row, Unit, short};
use crate::wait::wait_for;

/// Each host reads all that it may read once in this time.
const ROUND: Duration = Duration::from_secs(10);
/// Writes are counted in stretches of it.
const STRETCH: Duration = Duration::from_secs(10);

/// Measures.
pub(in crate::bench) async fn measure(bench: &Bench<'_>, operator: &Path) -> Result<Vec<Row>> {
    let mut stage = Stage::set(bench, operator).await?;
    let rows = stage.spend().await;
    stage.strike(rows).await
}

/// While everybody reads.
struct Spent {
    time: Duration,
    reads: usize,
    statuses: usize,
    /// The most in a second, over a stretch.
    most: f64,
    newcomers: Latencies,
    /// Grants whose status tells of reads.
    told: usize,
}

impl Stage<'_> {
    async fn spend(&mut self) -> Result<Vec<Row>> {
        let (hosts, count) = (self.bench.scale.hosts, self.bench.scale.newcomers);
        Newcomers::namespace(&self.client).await?;
        self.bench.say("P13: new Secrets while nobody reads");
        let idle = self.idle(count).await?;
        self.bench.say(&format!("P13: {} Grants are applied", hosts.grants()));
        self.unasked(hosts.fill(&self.client)).await?;
        self.sight.all_ready(hosts.objects(), BOUND).await?;
        let readers = Readers::of(&self.installation, &self.client, hosts).await?;
        self.bench.say("P13: all of them are read all the time");
        let spent = self.read_all_the_time(&readers, count).await?;
        self.bench.say("P13: the server is away");
        let turned = self.sight.seen().flips();
        self.outage(&readers).await?;
        let flips = self.sight.seen().flips();
        Ok(rows(self.bench, &spent, &idle, flips, flips - turned))
    }

    async fn read_all_the_time(&mut self, readers: &Readers, count: usize) -> Result<Spent> {
        let time = self.bench.scale.reading;
        let round = ROUND.min(time);
        // What was saved up while nobody read is spent when the first counters are written.
        self.notes.since_last()?;
        let begun = Instant::now();
        while self.notes.since_last()?.statuses == 0 && begun.elapsed() < BOUND {
            readers.round(round).await?;
        }
        let mut newcomers = Newcomers::new(&self.client, &self.sight, "busy");
        let come = async {
            let mut next = interval(time / u32::try_from(count + 1)?);
            next.tick().await;
            for _ in 0..count {
                next.tick().await;
                newcomers.come().await?;
            }
            anyhow::Ok(())
        };
        let begun = Instant::now();
        let read = async {
            let mut reads = 0;
            while begun.elapsed() < time {
                reads += readers.round(round).await?;
            }
            anyhow::Ok(reads)
        };
        let (reads, (), (statuses, most)) = tokio::try_join!(read, come, count_statuses(&mut self.notes, time))?;
        let time = begun.elapsed();
        let newcomers = newcomers.latencies(BOUND).await?;
        Ok(Spent { time, reads, statuses, most, newcomers, told: readers.told(&self.client).await? })
    }

    /// The server is away, and comes back: whoever read before reads again.
    async fn outage(&mut self, readers: &Readers) -> Result<()> {
        self.installation.server.kill().await?;
        tokio::time::sleep(self.bench.scale.outage).await;
        self.installation.server.restart().await?;
        let again = async || readers.round(Duration::from_secs(1)).await.map_err(|error| format!("{error:#}"));
        wait_for("the server to answer again", BOUND, again).await?;
        self.sight.all_ready(readers.objects() + self.bench.scale.newcomers, BOUND).await
    }
}

/// Statuses that are written in this time, and the most in a second over a stretch of it.
async fn count_statuses(notes: &mut Notes, time: Duration) -> Result<(usize, f64)> {
    let (begun, mut all, mut most) = (Instant::now(), 0, 0.0_f64);
    notes.since_last()?;
    while begun.elapsed() < time {
        let stretch = Instant::now();
        let left = time.saturating_sub(begun.elapsed());
        tokio::time::sleep(STRETCH.min(left)).await;
        let statuses = notes.since_last()?.statuses;
        all += statuses;
        most = most.max(per_second(statuses, stretch.elapsed()));
    }
    Ok((all, most))
}

#[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
fn rows(bench: &Bench<'_>, spent: &Spent, idle: &Latencies, flips: usize, away: usize) -> Vec<Row> {
    let row = |what: String, measured: String, reference: String, figure: f64, unit: Unit, floor: f64| Row {
        point: "P13",
        what,
        measured,
        reference,
        figure,
        unit,
        better: Better::Less,
        floor,
        stretch: None,
    };
    let grants = bench.scale.hosts.grants();
    let milliseconds = |time: Duration| format!("{} ms", short(time.as_secs_f64() * 1e3));
    let writes = row(
        format!("status writes a second while {grants} Grants are read all the time"),
        format!(
            "in {} s; at most {} in {} s; {} Grants tell of reads",
            short(spent.time.as_secs_f64()),
            short(spent.most),
            STRETCH.as_secs(),
            spent.told
        ),
        format!("{} reads a second", short(per_second(spent.reads, spent.time))),
        per_second(spent.statuses, spent.time),
        Unit::Count,
        10.0,
    );
    let newcomer = row(
        "new Secret Ready meanwhile, 99 %".into(),
        format!("median {}, {} Secrets", milliseconds(spent.newcomers.median()), spent.newcomers.count()),
        format!("while nobody reads {}, 99 % {}", milliseconds(idle.median()), milliseconds(idle.quantile(990))),
        spent.newcomers.quantile(990).as_secs_f64(),
        Unit::Milliseconds,
        1.0,
    );
    let flips = row(
        "conditions that turn meanwhile, and while the server is away after it".into(),
        format!("{away} of them in {} s without the server", short(bench.scale.outage.as_secs_f64())),
        String::new(),
        flips as f64,
        Unit::Count,
        0.0,
    );
    vec![writes, newcomer, flips]
}
