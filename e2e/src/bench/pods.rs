//! P7 to P9: what pods cost that get their secrets: the storm of many that start at once, one sidecar by itself, and admission.
//!
//! A real control plane, and server, operator and sidecar as they are released, on one machine. Pods are objects that were admitted and
//! placed on a node that nobody runs: their tokens are real ones of the API server, and what the operator asks it is asked. In the storm
//! each pod comes from an address of its own, as on a pod network, and does what its sidecar does with the sidecar's own code for files;
//! the one sidecar is the program itself.

mod enrolment;
mod reviews;
mod sidecar;
mod stage;

use std::path::PathBuf;

use anyhow::{Result, ensure};

use self::stage::Stage;
use super::row::{Better, Row, Unit};
use super::{Bench, Point};

/// What is run beside the server.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// `sikkerkey-operator`.
    pub(super) operator: PathBuf,
    /// `sikkerkey-sidecar`, static and small as in its image.
    pub(super) sidecar: PathBuf,
}

pub(super) async fn measure(
    bench: &Bench<'_>,
    programs: &Programs,
    wanted: impl Fn(Point) -> bool,
) -> Result<Vec<Row>> {
    let mut stage = Stage::set(bench, programs).await?;
    let rows = play(bench, programs, &mut stage, wanted).await;
    if rows.is_err() {
        bench.say(&format!("logs are kept in {}", stage.installation.cluster.keep_logs().display()));
    }
    let stopped = stage.installation.cluster.stop().await;
    ensure!(stopped.leftovers.is_empty(), "left behind: {}", stopped.leftovers.join("\n"));
    rows
}

async fn play(
    bench: &Bench<'_>,
    programs: &Programs,
    stage: &mut Stage,
    wanted: impl Fn(Point) -> bool,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    if wanted(Point::P8) {
        bench.say("P8: one sidecar, from its start to its files, and while it waits");
        rows.extend(sidecar::measure(bench, stage, &programs.sidecar).await?);
    }
    if wanted(Point::P7) {
        bench.say("P7: many pods enrol and read at once");
        let storm = enrolment::measure(bench, stage).await?;
        rows.splice(0..0, storm);
    }
    if wanted(Point::P9) {
        bench.say("P9: admission of pods");
        rows.extend(reviews::measure(bench, stage).await?);
    }
    Ok(rows)
}

/// A figure of which less is better, compared with nothing.
fn row(
    point: &'static str,
    what: &str,
    measured: String,
    figure: f64,
    unit: Unit,
    floor: f64,
    stretch: Option<f64>,
) -> Row {
    let (what, reference) = (what.to_owned(), String::new());
    Row { point, what, measured, reference, figure, unit, better: Better::Less, floor, stretch }
}
