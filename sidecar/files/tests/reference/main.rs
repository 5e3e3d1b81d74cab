//! What is written is read back by the program that each format is for: Python's `json`, `configparser` and `PyYAML`,
//! `java.util.Properties`, Java's key stores and keytool, OpenSSL, and shells. One process of each reads hundreds of
//! files, made of values that nobody chose.
//!
//! A program that is not there skips its test and says so; with `CI=true` nothing may be skipped. `e2e/setup` installs
//! them all.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

#[path = "../formats/bench.rs"]
mod bench;
mod documents;
mod java;
mod outside;
mod python;
#[path = "../formats/readme.rs"]
mod readme;
mod shell;
mod skipped;
mod stores;
