//! The main job where no real node can run: the same parts, but for the kubelet. Pods are run as processes by the pod runner.
//! These tests need no root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod begun;
mod consent;
mod delivery;
mod explain;
mod gitops_example;
#[path = "../main_job/host.rs"]
mod host;
mod injection;
mod lost;
mod mesh;
mod outdated;
mod plugin;
mod plugin_program;
mod quiet;
#[path = "../api_server/refused_objects.rs"]
mod refused_objects;
mod running;
#[path = "../main_job/team.rs"]
#[expect(dead_code, reason = "what runs a command in a container needs a kubelet")]
mod team;
mod traced;
mod unbound;
mod unmanaged;
mod webhook;

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::installation::{Installation, LogLevel, Programs};
use sikkerkey_e2e::report::Report;
use tokio::runtime::Runtime;

/// The bound of one wait. Nothing comes near it on an idle machine.
const BOUND: Duration = Duration::from_secs(90);

/// Never dropped: the harness's keepers take everything down when this process ends, however it ends.
static SHARED: LazyLock<(Runtime, Installation)> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let installation = install(&runtime);
    (runtime, installation)
});

static PROGRAMS: LazyLock<Programs> =
    LazyLock::new(|| Programs::build(&Report::new(|_, text| say(text))).expect("the programs build"));

/// A control plane with everything installed.
fn install(runtime: &Runtime) -> Installation {
    install_traced(runtime, None)
}

/// The same, with a collector of traces.
fn install_traced(runtime: &Runtime, collector: Option<&str>) -> Installation {
    let (programs, report) = (PROGRAMS.clone(), Report::new(|_, text| say(text)));
    // The API server writes into its log who writes.
    let policy = cargo::workspace().join("e2e/manifests/audit-writes.yaml");
    let options = Options::control_plane()
        .with_controllers()
        .api_server_flag(format!("--audit-policy-file={}", policy.display()))
        .api_server_flag("--audit-log-path=-")
        .report(report.clone());
    runtime.block_on(async {
        let cluster = Cluster::start(options).await.expect("a control plane");
        let installed = match collector {
            None => Installation::start(cluster, programs, LogLevel::Trace, &report).await,
            Some(url) => Installation::start_traced(cluster, programs, LogLevel::Trace, &report, url).await,
        };
        installed.expect("an installation")
    })
}

/// What people ask for are instants of the real world: the processes under test share its clock.
#[expect(clippy::disallowed_methods, reason = "the processes under test have no other clock")]
fn present_time() -> Timestamp {
    Timestamp::now()
}

/// Runs a test in a namespace of the installation, beside others.
fn without_a_node(test: &str, body: impl AsyncFnOnce(&Installation)) {
    let (runtime, installation) = &*SHARED;
    let body = std::panic::AssertUnwindSafe(|| runtime.block_on(body(installation)));
    if let Err(panic) = std::panic::catch_unwind(body) {
        say(&format!("{test} failed; logs are kept in {}", installation.cluster.keep_logs().display()));
        std::panic::resume_unwind(panic);
    }
}

/// Runs a test that disturbs the installation, on one of its own.
fn alone(test: &str, body: impl AsyncFnOnce(&mut Installation)) {
    alone_traced(test, None, body);
}

/// The same, with a collector of traces.
fn alone_traced(test: &str, collector: Option<&str>, body: impl AsyncFnOnce(&mut Installation)) {
    let runtime = Runtime::new().expect("a runtime");
    let mut installation = install_traced(&runtime, collector);
    let run_directory = installation.cluster.run().clone();
    let body = std::panic::AssertUnwindSafe(|| runtime.block_on(body(&mut installation)));
    if let Err(panic) = std::panic::catch_unwind(body) {
        say(&format!("{test} failed; logs are kept in {}", run_directory.keep_logs().display()));
        std::panic::resume_unwind(panic);
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
