//! The official SikkerKey clients, as they are published, against the real server: a process of its own, set up with its
//! command line alone. What is tested is what an application sees: values, lists, events, exceptions.
//!
//! The Python package runs in a virtual environment that is made once (`python`). Each test has a server and clients of its
//! own, and all run at once: most of the time goes by in the clients' own back-off and polling.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod described;
mod driver;
mod hosts;
mod network;
mod python;
mod reading;
mod refused;
mod retried;
mod secured;
mod server;
#[path = "../../../sidecar/files/tests/reference/skipped.rs"]
mod skipped;
mod team;
mod tls;
mod watching;
mod wire;

use std::time::Duration;

/// The bound of one wait. Nothing comes near it on an idle machine; the client's own back-off takes 7 seconds of it.
const BOUND: Duration = Duration::from_secs(90);
