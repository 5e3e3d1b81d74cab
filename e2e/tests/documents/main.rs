//! What stands in the documents for people to type: each command is run here, or there is a test that runs it, or a reason why
//! it cannot be run. And what a document links to is there.
//!
//! A block of commands (`sh`, or `console` with a prompt) says in a comment before it how it is run: `<!-- run: server -->`; see
//! [`run`]. Lines of other blocks stand in [`elsewhere::TABLE`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test"
)]

mod elsewhere;
mod inline;
mod links;
mod postgres;
mod run;
