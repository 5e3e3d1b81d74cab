//! P14: what a page of the dashboard takes the server, and how large it is, with many machines and secrets.
//!
//! The pages are those that links lead to, from the first page on, so a page that is added is measured without another word.
//! Each is asked for again and again by a person who has logged in: at an address of its own each time, so that each look is
//! written down in the audit before it is answered, and at the same address. The time of a page is that of a round trip
//! without that of a picture, which is asked for in turn with it.

mod crawl;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::crawl::{Crawl, links};
use super::Bench;
use super::connection::Connection;
use super::data::{grow, log_in};
use super::latency::Latencies;
use super::row::{Better, Row, Unit, short};
use super::served::Served;

/// What costs nothing: its time is the way to the server and back.
const PICTURE: &str = "/assets/icon.svg";
/// Where a person begins who has one vault.
const FIRST: &str = "/vaults";
/// A page has so many bytes at most.
const LARGEST: f64 = 100e3;
/// And takes the server so long.
const LONGEST: f64 = 0.020;

/// One page, measured.
struct Measured {
    path: String,
    bytes: usize,
    /// When it is asked for again.
    again: Latencies,
    /// When the look is written down.
    first: Latencies,
    /// Processor time of a look that is written down.
    cpu: Duration,
}

/// Whoever looks, over one connection.
struct Person {
    connection: Connection,
    cookie: String,
}

impl Person {
    async fn get(&mut self, path: &str) -> Result<(u16, Vec<u8>)> {
        let cookie = &self.cookie;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: same-origin\r\ncookie: sikkerkey-session={cookie}\r\n\r\n"
        );
        self.connection.page(request.as_bytes()).await.with_context(|| format!("no answer for {path}"))
    }

    /// How long a round trip takes for a page that is there.
    async fn timed(&mut self, path: &str) -> Result<(Duration, usize)> {
        let begun = Instant::now();
        let (status, page) = self.get(path).await?;
        let taken = begun.elapsed();
        ensure!(status == 200, "{path} was answered with {status}: {}", String::from_utf8_lossy(&page));
        Ok((taken, page.len()))
    }
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let fleet = bench.scale.crowd;
    let data = bench.data("pages", fleet).await?;
    let size = grow(&data, bench.scale.history, fleet).await?;
    let cookie = log_in(&data).await?;
    let server = bench.programs.server(&data, None).await?;
    let mut person = Person { connection: Connection::open(server.address, None).await?, cookie };
    let (pages, dead) = crawl(&mut person).await?;
    bench.say(&format!("P14: {} pages, {} times each", pages.len(), bench.scale.looks));
    let mut measured = Vec::with_capacity(pages.len());
    for path in pages {
        let it = one(&server, &mut person, path, bench.scale.looks).await?;
        bench.say(&format!(
            "  {:>6} ms, 99 of 100 {:>6} ms; written down {:>6} ms, {:>5} ms of CPU; {:>5} KB  {}",
            milliseconds(it.again.median()),
            milliseconds(it.again.quantile(990)),
            milliseconds(it.first.median()),
            milliseconds(it.cpu),
            short(kilobytes(it.bytes)),
            it.path,
        ));
        measured.push(it);
    }
    server.stop().await?;
    for path in &dead {
        bench.say(&format!("  a link leads nowhere: {path}"));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let figures = (size as f64 / 1e6, dead.len() as f64);
    Ok(rows(bench, &measured, figures))
}

/// Follows links from the first page on. Answers the pages, and links that lead nowhere.
async fn crawl(person: &mut Person) -> Result<(Vec<String>, Vec<String>)> {
    let (mut crawl, mut dead) = (Crawl::from(FIRST), Vec::new());
    let mut pages = Vec::new();
    while let Some(path) = crawl.next() {
        let (status, page) = person.get(&path).await?;
        match status {
            200 => {
                crawl.found(&path, &links(&String::from_utf8_lossy(&page)));
                pages.push(path);
            }
            // It leads on to a page that has links of its own.
            300..=399 => {}
            400..=499 => dead.push(path),
            _ => bail!("{path} was answered with {status}: {}", String::from_utf8_lossy(&page)),
        }
    }
    ensure!(pages.len() > 1, "no link leads from {FIRST} to another page");
    Ok((pages, dead))
}

async fn one(server: &Served, person: &mut Person, path: String, looks: usize) -> Result<Measured> {
    let mut bytes = 0;
    let (mut way, mut again, mut first) = (Vec::new(), Vec::new(), Vec::new());
    person.timed(&path).await?;
    for _ in 0..looks {
        way.push(person.timed(PICTURE).await?.0);
        let (taken, length) = person.timed(&path).await?;
        again.push(taken);
        bytes = bytes.max(length);
    }
    let before = server.meter.used()?;
    for number in 0..looks {
        // The page does not know it, so it is the same page, looked at for the first time.
        let address = format!("{path}{}look={number}", if path.contains('?') { '&' } else { '?' });
        first.push(person.timed(&address).await?.0);
    }
    let used = server.meter.used()?.since(&before).cpu;
    let way = Latencies::new(way).median();
    let without = |them: Vec<Duration>| Latencies::new(them.into_iter().map(|it| it.saturating_sub(way)).collect());
    let cpu = used / u32::try_from(looks.max(1)).unwrap_or(u32::MAX);
    Ok(Measured { path, bytes, again: without(again), first: without(first), cpu })
}

fn rows(bench: &Bench<'_>, measured: &[Measured], (size, dead): (f64, f64)) -> Vec<Row> {
    let fleet = bench.scale.crowd;
    let there = format!("{} machines, {} secrets, a database of {} MB", fleet.machines, fleet.secrets, short(size));
    let slowest = |what: &str, of: fn(&Measured) -> Duration| {
        let it = measured.iter().max_by_key(|it| of(it));
        Row {
            point: "P14",
            what: format!("the slowest page of the dashboard, {what}"),
            measured: it.map(|it| it.path.clone()).unwrap_or_default(),
            reference: there.clone(),
            figure: it.map(of).unwrap_or_default().as_secs_f64(),
            unit: Unit::Milliseconds,
            better: Better::Less,
            floor: LONGEST,
            stretch: Some(LONGEST / 4.0),
        }
    };
    let largest = measured.iter().max_by_key(|it| it.bytes);
    vec![
        slowest("median", |it| it.again.median()),
        slowest("99 of 100", |it| it.again.quantile(990)),
        slowest("CPU of a look that is audited", |it| it.cpu),
        Row {
            point: "P14",
            what: "the largest page of the dashboard".into(),
            measured: largest.map(|it| it.path.clone()).unwrap_or_default(),
            reference: there.clone(),
            figure: largest.map(|it| kilobytes(it.bytes) * 1e3).unwrap_or_default(),
            unit: Unit::Kilobytes,
            better: Better::Less,
            floor: LARGEST,
            stretch: None,
        },
        Row {
            point: "P14",
            what: "links of the dashboard that lead nowhere".into(),
            measured: format!("{} pages followed", measured.len()),
            reference: String::new(),
            figure: dead,
            unit: Unit::Count,
            better: Better::Less,
            floor: 0.0,
            stretch: None,
        },
    ]
}

fn milliseconds(it: Duration) -> String {
    format!("{:.2}", it.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1e3
}
