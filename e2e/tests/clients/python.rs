//! Pythons with what these tests need.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sikkerkey_e2e::python::with;

use crate::skipped::skipped;

static CLIENT: LazyLock<Result<PathBuf, String>> =
    LazyLock::new(|| with(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/requirements.txt")));

static WALKER: LazyLock<Result<PathBuf, String>> =
    LazyLock::new(|| with(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/schemathesis.txt")));

/// An interpreter with the official client; none where it cannot be had, and then the test is [`skipped`].
pub(crate) fn python(test: &str) -> Option<&'static Path> {
    or_skipped(test, &CLIENT)
}

/// An interpreter with schemathesis; none where it cannot be had, and then the test is [`skipped`].
pub(crate) fn walker(test: &str) -> Option<&'static Path> {
    or_skipped(test, &WALKER)
}

fn or_skipped(test: &str, python: &'static Result<PathBuf, String>) -> Option<&'static Path> {
    match python {
        Ok(python) => Some(python),
        Err(problem) => {
            skipped(test, problem);
            None
        }
    }
}
