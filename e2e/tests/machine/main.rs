//! The harness itself: clusters start, run real pods, and are gone without a trace, however the harness ends.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails in a test's helper fails the test")]

mod abrupt_end;
mod control_plane;
mod node;
mod pod_runner;

use std::time::Duration;

use sikkerkey_e2e::node_test::node_possible;

/// The bound of everything here. Nothing comes near it; a busy machine may come nearer.
const BOUND: Duration = Duration::from_secs(90);
