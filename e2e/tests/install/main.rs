//! The chart: what it renders, what it refuses, and what a real API server says to it. These tests need no root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test"
)]

mod accepted;
mod documented;
mod expression;
mod logged;
mod monitored;
mod refused;
mod rendered;
mod rights;
mod variant;
