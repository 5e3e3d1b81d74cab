//! Tests that cannot run on this machine.

use std::fs::File;
use std::io::Write;

/// Says that a test is skipped and why, where the test runner does not swallow it, and adds it to the file that
/// `SIKKERKEY_E2E_SKIPPED` names.
///
/// # Panics
///
/// With `CI=true`, where nothing may be skipped.
pub(crate) fn skipped(test: &str, problem: &str) {
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "with CI=true nothing may be skipped, and {test} cannot run here: {problem}");
    // Not `eprintln!`, which the test runner catches.
    drop(writeln!(std::io::stderr(), "SKIPPED {test}: {problem}"));
    if let Some(list) = std::env::var_os("SIKKERKEY_E2E_SKIPPED") {
        let file = File::options().append(true).create(true).open(list);
        let written = file.and_then(|mut file| writeln!(file, "{test}"));
        assert!(written.is_ok(), "SIKKERKEY_E2E_SKIPPED cannot be written: {written:?}");
    }
}
