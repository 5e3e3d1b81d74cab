//! Benchmarks of the server: what a read costs, how long one waits for it, what it writes, and what many of them at once do. Of the
//! [`operator`], with many objects on a real control plane. And of what [`pods`] cost, and how much later they [`start`].
//!
//! Absolute figures depend on the machine, so each is held against something that is timed in the same run (an empty answer, an `fdatasync`,
//! the parts that a read is made of), or it is a resource that does not depend on speed. The server is a process of its own, as it is shipped,
//! and its processor time is read from the kernel: the load generator on the same cores does not blur it. Requests are signed before the clock
//! runs. Every request has to be answered with 200, and whatever is refused ends the run.
//!
//! The way of a measurement: [`data`] fills a directory through the server's own writer → [`served`] runs the server on it → [`clients`] sign
//! → [`load`] sends → [`meter`] reads what it cost → [`row`] says how that stands to floor and stretch. Everything is written below one
//! temporary directory, which goes with the run, as do the processes.

mod clients;
mod connection;
mod data;
mod disk;
mod exposition;
mod footprint;
mod group_commit;
pub(crate) mod hello;
mod host;
mod latency;
mod load;
mod meter;
mod notes;
mod operator;
mod pages;
mod plot;
mod pods;
mod primitive;
mod read_cost;
mod row;
mod saturation;
mod scale;
mod served;
mod start;
mod storm;
mod waiting;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use self::clients::Fleet;
use self::host::Host;
use self::row::{Row, Verdict};
use self::scale::Scale;
use self::served::{Programs, Served};
use crate::cargo;
use crate::node::Node;
use crate::report::Report;
use crate::shipped::{self, Part};

/// What to measure, and where to say it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    points: Vec<Point>,
    /// Measure briefly: good for ratios, not for the last percent
    #[arg(long)]
    quick: bool,
    /// Measure next to nothing, only to see that it works (internal)
    #[arg(long, hide = true, conflicts_with = "quick")]
    smoke: bool,
    /// Draw the result as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail when a floor is missed
    #[arg(long)]
    check: bool,
    /// A server that is built already; else the release is built
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// An operator that is built already; else the release is built
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
    /// A sidecar that is built already; else it is built as in its image
    #[arg(long, value_name = "FILE")]
    sidecar: Option<PathBuf>,
    /// Where the data is written meanwhile; else beside this program. Not in memory: the device is part of what is measured
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A line of the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Point {
    /// A read's processor time, against an empty answer
    P1,
    /// A read's processor time, against the sum of its parts
    P2,
    /// How long one waits
    P3,
    /// What is written to the device
    P4,
    /// Committing together, against one by one
    P5,
    /// A restart storm
    P6,
    /// Many pods enrol and read at once
    P7,
    /// One sidecar: time, memory, wake-ups
    P8,
    /// Admission of pods
    P9,
    /// The operator with many objects
    #[value(alias = "operator")]
    P10,
    /// Memory, and start with a large database
    P11,
    /// How much later an application starts, on a real node
    P12,
    /// What the operator writes while many Grants are read all the time
    P13,
    /// Pages of the dashboard, with many machines and secrets
    #[value(alias = "pages")]
    P14,
    /// All of them
    All,
}

/// A run.
struct Bench<'b> {
    scale: Scale,
    programs: Programs<'b>,
    /// Everything is written below it.
    directory: &'b Path,
    report: &'b Report,
}

#[derive(Serialize)]
struct Document<'d> {
    scale: &'static str,
    host: &'d Host,
    rows: &'d [Row],
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// For a person.
    pub text: String,
    /// Whether a floor was missed that was to be checked.
    pub failed: bool,
}

/// Measures.
pub async fn run(arguments: Arguments, report: &Report) -> Result<Outcome> {
    let scale = match (arguments.smoke, arguments.quick) {
        (true, _) => Scale::SMOKE,
        (_, true) => Scale::QUICK,
        _ => Scale::FULL,
    };
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let server = released("sikkerkey-server", arguments.server, report).await?;
    let wants = |points: &[Point]| points.iter().any(|point| arguments.points.contains(point));
    let operator = match arguments.operator {
        None if wants(&[Point::P7, Point::P8, Point::P9, Point::P10, Point::P12, Point::P13, Point::All]) => {
            Some(released("sikkerkey-operator", None, report).await?)
        }
        given => given,
    };
    let sidecar = match arguments.sidecar {
        None if wants(&[Point::P7, Point::P8, Point::P9, Point::P12, Point::All]) => {
            report.line("building the sidecar as it is shipped: static, optimised for size");
            let build = tokio::task::spawn_blocking(|| shipped::program(Part::Sidecar));
            Some(build.await.context("the build panicked")??)
        }
        given => given,
    };
    let place = arguments.dir.as_deref().or(own.parent()).unwrap_or(Path::new("."));
    let directory = tempfile::Builder::new().prefix("sikkerkey-bench-").tempdir_in(place);
    let directory =
        directory.with_context(|| format!("cannot write below {}: name a place by --dir", place.display()))?;
    let host = Host::new(directory.path());
    report.line(&format!("{} run on {host}", scale.name));
    let programs = Programs { server: &server, own: &own };
    let bench = Bench { scale, programs, directory: directory.path(), report };
    let rows = bench.measure(&arguments.points, operator.as_deref(), sidecar.as_deref()).await?;
    directory.close().context("cannot remove what was written meanwhile")?;

    let document = Document { scale: scale.name, host: &host, rows: &rows };
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(path) = &arguments.json {
        write(path, serde_json::to_string_pretty(&document)? + "\n")?;
    }
    if let Some(path) = &arguments.svg {
        write(path, plot::svg(&rows, &host))?;
    }
    let missed = rows.iter().any(|row| row.verdict() == Verdict::Missed);
    let text = format!("{}\n{} run on {host}", row::table(&rows), scale.name);
    Ok(Outcome { text, failed: arguments.check && missed })
}

/// A program as it is released: the one that is given, or else built now.
async fn released(package: &'static str, given: Option<PathBuf>, report: &Report) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given);
    }
    report.line(&format!("building {package} as it is released"));
    let build = tokio::task::spawn_blocking(move || cargo::build_release(package));
    Ok(build.await.context("the build panicked")??)
}

impl Bench<'_> {
    async fn measure(&self, points: &[Point], operator: Option<&Path>, sidecar: Option<&Path>) -> Result<Vec<Row>> {
        let wanted = |point| points.contains(&point) || points.contains(&Point::All);
        let mut rows = Vec::new();
        if wanted(Point::P1) || wanted(Point::P2) {
            self.say("P1, P2: reads and empty answers in turn");
            let cost = read_cost::measure(self).await?;
            if wanted(Point::P1) {
                rows.extend(read_cost::against_hello(cost));
            }
            if wanted(Point::P2) {
                rows.extend(read_cost::against_ceiling(self, cost).await?);
            }
        }
        if wanted(Point::P3) {
            self.say("P3: how long a reader waits, idle and under load");
            rows.extend(waiting::measure(self).await?);
        }
        if wanted(Point::P4) {
            self.say("P4: what a read writes to the device");
            rows.extend(disk::measure(self).await?);
        }
        if wanted(Point::P5) {
            self.say("P5: committing together and one by one");
            rows.push(group_commit::measure(self).await?);
        }
        if wanted(Point::P6) {
            self.say("P6: a restart storm");
            rows.push(storm::measure(self).await?);
        }
        if let Some((operator, sidecar)) = operator.zip(sidecar)
            && [Point::P7, Point::P8, Point::P9].into_iter().any(wanted)
        {
            let programs = pods::Programs { operator: operator.to_owned(), sidecar: sidecar.to_owned() };
            rows.extend(pods::measure(self, &programs, wanted).await?);
        }
        if let Some(operator) = operator
            && wanted(Point::P10)
        {
            rows.extend(operator::measure(self, operator).await?);
        }
        if wanted(Point::P11) {
            self.say("P11: memory, and start with a large database");
            rows.extend(footprint::measure(self).await?);
        }
        if let Some((operator, sidecar)) = operator.zip(sidecar)
            && wanted(Point::P12)
        {
            let missing: Vec<_> = Node::requirements().into_iter().map(|requirement| requirement.missing).collect();
            if missing.is_empty() {
                self.say("P12: pods on a real node, with and without us in turn");
                rows.extend(start::measure(self, operator.to_owned(), sidecar.to_owned()).await?);
            } else {
                self.say(&format!("P12 is left out, no node can run here: {}", missing.join("; ")));
            }
        }
        if let Some(operator) = operator
            && wanted(Point::P13)
        {
            rows.extend(operator::budget(self, operator).await?);
        }
        if wanted(Point::P14) {
            self.say("P14: pages of the dashboard");
            rows.extend(pages::measure(self).await?);
        }
        Ok(rows)
    }

    fn say(&self, text: &str) {
        self.report.line(text);
    }

    /// A data directory with these machines, secrets and grants.
    async fn data(&self, name: &str, fleet: Fleet) -> Result<PathBuf> {
        let data = self.directory.join(name);
        data::fill(&data, fleet).await?;
        Ok(data)
    }

    /// A server with these machines, secrets and grants.
    async fn server(&self, name: &str, fleet: Fleet) -> Result<Served> {
        let data = self.data(name, fleet).await?;
        self.programs.server(&data, None).await
    }
}
