//! The harness itself: clusters start, run real pods, and are gone without a trace, however the harness ends.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails in a test's helper fails the test")]

mod abrupt_end;
mod control_plane;
mod node;
mod pod_runner;

use std::io::Write;
use std::time::Duration;

use sikkerkey_e2e::node::requirements;

/// The bound of everything here. Nothing comes near it; a busy machine may come nearer.
const BOUND: Duration = Duration::from_secs(90);

/// Whether this machine can run a node. If not, it says so where the test runner does not swallow it, and fails in CI.
fn node_possible(test: &str) -> bool {
    let missing = requirements();
    if !missing.is_empty() {
        assert!(
            std::env::var_os("CI").is_none_or(|value| value != "true"),
            "with CI=true nothing may be skipped: {missing:?}"
        );
        let list: Vec<String> = missing.iter().map(|item| format!("    * {item}")).collect();
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED {test}: this machine cannot run a node. Missing:\n{}",
            list.join("\n")
        );
    }
    missing.is_empty()
}
