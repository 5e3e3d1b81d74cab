//! The main job, end to end, with real parts: manifests applied to a real API server, the operator, the server, the webhook,
//! the sidecar in a pod of a real node, files, revocation, audit.
//!
//! All tests share one installation and run at once, each in a namespace of its own; those that disturb the installation
//! run alone and put it right again. Everything logs at trace level, so that the search for secrets sees all there is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod attestation;
mod converted;
mod delivery;
mod host;
mod identity;
mod injection;
mod looking;
mod noticed;
mod outage;
mod policies;
mod policy_admission;
mod refusal;
mod revocation;
mod roots;
mod scaled;
mod sealed;
mod secrecy;
mod taken;
mod team;
mod token;
mod volume;

use std::io::Write;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use sikkerkey_e2e::RunDirectory;
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::installation::{Installation, LogLevel, Programs};
use sikkerkey_e2e::node_test::node_possible;
use sikkerkey_e2e::report::Report;
use tokio::runtime::Runtime;

/// The bound of one wait. Nothing comes near it on an idle machine.
const BOUND: Duration = Duration::from_secs(90);

struct Shared {
    runtime: Runtime,
    installation: RwLock<Installation>,
}

/// Never dropped: the harness's keepers take everything down when this process ends, however it ends.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let report = Report::new(|_, text| say(text));
    let programs = Programs::build(&report).expect("the programs build");
    let installation = runtime.block_on(async {
        let cluster = Cluster::start(Options::node().report(report.clone())).await.expect("a node");
        Installation::start(cluster, programs, LogLevel::Trace, &report).await.expect("an installation")
    });
    Shared { runtime, installation: RwLock::new(installation) }
});

/// Runs a test in a namespace of the installation, beside others.
fn on_a_node(test: &str, body: impl AsyncFnOnce(&Installation)) {
    if node_possible(test) {
        // A failed test must not fail the ones after it.
        let installation = SHARED.installation.read().unwrap_or_else(PoisonError::into_inner);
        run(test, installation.cluster.run(), body(&installation));
    }
}

/// Runs a test that disturbs the installation, while no other runs.
fn alone_on_a_node(test: &str, body: impl AsyncFnOnce(&mut Installation)) {
    if node_possible(test) {
        let mut installation = SHARED.installation.write().unwrap_or_else(PoisonError::into_inner);
        let run_directory = installation.cluster.run().clone();
        run(test, &run_directory, body(&mut installation));
    }
}

fn run(test: &str, run_directory: &RunDirectory, body: impl Future<Output = ()>) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| SHARED.runtime.block_on(body)));
    if let Err(panic) = outcome {
        say(&format!("{test} failed; logs are kept in {}", run_directory.keep_logs().display()));
        std::panic::resume_unwind(panic);
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
