//! What each format writes, what it refuses, and that the examples of crds/README.md are real.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod bench;
mod golden;
mod read_back;
mod readme;
mod refused;
mod stores;
