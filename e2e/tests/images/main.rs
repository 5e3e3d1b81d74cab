//! The images: the same bytes wherever they are built, and the same whoever builds them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test"
)]

mod dockerfiles;
mod reproducible;
