//! The main job, end to end, with real parts: manifests applied to a real API server, the operator, the server, the webhook,
//! the sidecar in a pod of a real node, files, revocation, audit.
//!
//! All tests share one installation and each uses namespaces of its own; those that disturb the installation put it
//! right again. They run one at a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod attestation;
mod delivery;
mod identity;
mod outage;
mod refusal;
mod revocation;
mod secrecy;
mod team;

use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::installation::{Installation, Programs};
use sikkerkey_e2e::node::requirements;
use sikkerkey_e2e::report::Report;
use tokio::runtime::Runtime;

/// The bound of one wait. Nothing comes near it on an idle machine.
const BOUND: Duration = Duration::from_secs(90);

struct Shared {
    runtime: Runtime,
    installation: Installation,
}

/// Never dropped: the harness's keepers take everything down when this process ends, however it ends.
static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let installation = runtime.block_on(async {
        let report = Report::new(|_, text| say(text));
        let programs = Programs::build(&report).expect("the programs build");
        let cluster = Cluster::start(Options::node().report(report.clone())).await.expect("a node");
        Installation::start(cluster, programs, &report).await.expect("an installation")
    });
    Mutex::new(Shared { runtime, installation })
});

/// Runs a test against the installation; on a machine that cannot run a node, says so where the test runner does not
/// swallow it. In continuous integration that is a failure.
fn on_a_node(test: &str, body: impl AsyncFnOnce(&mut Installation)) {
    let missing = requirements();
    if !missing.is_empty() {
        let list: String = missing.iter().map(|item| format!("\n    * {item}")).collect();
        assert!(std::env::var_os("CI").is_none(), "{test} cannot run here. Missing:{list}");
        say(&format!("SKIPPED {test}: this machine cannot run a node. Missing:{list}"));
        return;
    }
    // A failed test must not fail the ones after it.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let Shared { runtime, installation } = &mut *shared;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(body(installation))));
    if let Err(panic) = outcome {
        say(&format!("{test} failed; logs are kept in {}", installation.cluster.keep_logs().display()));
        std::panic::resume_unwind(panic);
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
