//! Tests that need a real node, on machines that cannot run one.

use std::io::Write;

use crate::node::{Requirement, requirements, requirements_of_services};

/// Whether this machine can run a node. If not, a test is skipped, which is said where the test runner does not swallow it; with
/// `CI=true` nothing may be skipped.
///
/// # Panics
///
/// In continuous integration, if the machine cannot.
pub fn node_possible(test: &str) -> bool {
    nothing_missing(test, &requirements())
}

/// The same for a node whose pods reach Services.
///
/// # Panics
///
/// In continuous integration, if the machine cannot.
pub fn node_with_services_possible(test: &str) -> bool {
    nothing_missing(test, &[requirements(), requirements_of_services()].concat())
}

fn nothing_missing(test: &str, missing: &[Requirement]) -> bool {
    if missing.is_empty() {
        return true;
    }
    let list: Vec<String> = missing.iter().map(|item| format!("    * {item}")).collect();
    let list = list.join("\n");
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "with CI=true nothing may be skipped, and {test} cannot run here. Missing:\n{list}");
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: this machine cannot run a node. Missing:\n{list}");
    false
}
