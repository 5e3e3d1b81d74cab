//! Edits while things are broken: whatever the API server, the network, the server or the operator's own process does, the end
//! is that of a run without faults.
//!
//! The operator reaches both through proxies that misbehave. Webhooks are called by the API server, which reaches them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod crash;
mod leaders;
mod restored;
mod scenario;
mod stale;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::fault_proxy::{Asked, Fault};
use sikkerkey_e2e::installation::{Installation, LogLevel, Programs, Proxies};
use sikkerkey_e2e::report::Report;
use tokio::time::Instant;

use crate::scenario::{ends_well, play};

/// The bound of one wait. Nothing comes near it on an idle machine.
const BOUND: Duration = Duration::from_secs(90);

static PROGRAMS: LazyLock<Programs> = LazyLock::new(|| Programs::build(&Report::silent()).expect("the programs build"));

async fn programs() -> Programs {
    tokio::task::spawn_blocking(|| PROGRAMS.clone()).await.unwrap()
}

async fn installed() -> (Installation, Proxies) {
    let programs = programs().await;
    let report = Report::silent();
    let cluster = Cluster::start(Options::control_plane().with_controllers().report(report.clone())).await.unwrap();
    Installation::start_behind_proxies(cluster, programs, LogLevel::Info, &report).await.unwrap()
}

/// Whether it is the operator's work, and not the proof that it leads.
fn is_work(asked: &Asked) -> bool {
    !asked.path.contains("/leases")
}

/// The most requests for one thing in a row to which something is done, of which not all are to be hit.
const IN_A_ROW: usize = 3;

/// Does `fault` to one in `nth` of the requests that `affected` picks, without a period that what is asked regularly could fall in
/// step with.
fn one_in(
    nth: usize,
    affected: impl Fn(&Asked) -> bool + Send + Sync + 'static,
    fault: Fault,
) -> impl Fn(&Asked) -> Fault + Send + Sync + 'static {
    let state = Mutex::new((0, HashMap::<String, usize>::new()));
    move |asked| {
        if !affected(asked) {
            return Fault::None;
        }
        let mut state = state.lock().unwrap();
        let (count, in_a_row) = &mut *state;
        let is_hit = scattered(*count).is_multiple_of(nth);
        *count += 1;
        // An object that is hit again and again waits longer each time, past any bound.
        let path = asked.path.split('?').next().unwrap_or_default();
        let of_this = in_a_row.entry(path.to_owned()).or_default();
        if is_hit && (nth == 1 || *of_this < IN_A_ROW) {
            *of_this += 1;
            return fault;
        }
        *of_this = 0;
        Fault::None
    }
}

/// A number that looks random, the same in each run.
fn scattered(number: usize) -> usize {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33
}

/// Does `fault` to everything for this long.
fn lasting(length: Duration, fault: Fault) -> impl Fn(&Asked) -> Fault + Send + Sync + 'static {
    let end = Instant::now() + length;
    move |_| if Instant::now() < end { fault } else { Fault::None }
}

/// Plays the scenario in a namespace of this name.
async fn survives(installation: &Installation, namespace: &str) {
    play(&installation.cluster.kubectl(), namespace).await;
    ends_well(installation, namespace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_api_server_answers() {
    let (installation, Proxies { api_server: proxy, server: _server }) = installed().await;
    survives(&installation, "no-fault").await;
    let writes = |asked: &Asked| is_work(asked) && asked.is_write();
    for (name, status) in [("conflict", 409), ("too-many", 429), ("internal", 500), ("away", 503), ("timeout", 504)] {
        proxy.does(one_in(2, writes, Fault::Refuse(status)));
        survives(&installation, &format!("write-{name}")).await;
    }
    proxy.does(one_in(3, is_work, Fault::Refuse(500)));
    survives(&installation, "anything-internal").await;
    proxy.does(one_in(2, writes, Fault::Lose));
    survives(&installation, "write-lost").await;
    proxy.does(one_in(3, is_work, Fault::Drop));
    survives(&installation, "anything-dropped").await;
    proxy.does(one_in(1, is_work, Fault::Delay(Duration::from_millis(300))));
    survives(&installation, "slow").await;
    proxy.does(lasting(Duration::from_secs(20), Fault::Drop));
    survives(&installation, "gone-for-a-while").await;
    installation.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_watch_does() {
    let (installation, Proxies { api_server: proxy, server: _server }) = installed().await;
    proxy.does(one_in(1, Asked::is_watch, Fault::Cut(Duration::from_millis(300))));
    survives(&installation, "watch-cut").await;
    proxy.does(one_in(2, Asked::is_watch, Fault::Refuse(410)));
    survives(&installation, "watch-expired").await;
    proxy.does(one_in(1, Asked::is_watch, Fault::Lag(Duration::from_secs(2))));
    survives(&installation, "watch-stale").await;
    stale::what_was_given_and_taken_back(&installation, &proxy, "stale", Fault::None).await;
    stale::what_was_given_and_taken_back(&installation, &proxy, "lost", Fault::Lose).await;
    let lists = |asked: &Asked| !asked.is_write() && !asked.is_watch() && asked.path.contains("limit=");
    proxy.does(move |asked| {
        if lists(asked) {
            Fault::Cut(Duration::ZERO)
        } else if asked.is_watch() {
            Fault::Cut(Duration::from_secs(1))
        } else {
            Fault::None
        }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    proxy.behaves();
    survives(&installation, "lists-that-broke").await;
    installation.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_server_does() {
    let (installation, Proxies { server: proxy, api_server: _api_server }) = installed().await;
    for (name, status) in [("too-many", 429), ("internal", 500), ("away", 503)] {
        proxy.does(one_in(2, |_| true, Fault::Refuse(status)));
        survives(&installation, &format!("server-{name}")).await;
    }
    proxy.does(one_in(2, |_| true, Fault::Lose));
    survives(&installation, "server-lost").await;
    proxy.does(one_in(2, |_| true, Fault::Drop));
    survives(&installation, "server-dropped").await;
    proxy.does(one_in(1, |_| true, Fault::Delay(Duration::from_millis(400))));
    survives(&installation, "server-slow").await;
    proxy.does(lasting(Duration::from_secs(15), Fault::Drop));
    survives(&installation, "server-gone-for-a-while").await;
    installation.cluster.stop().await;
}
