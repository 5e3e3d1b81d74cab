//! What the workspace may be built of, as `.deny.toml` says: licences, sources, duplicates, and nothing that is known to be vulnerable.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::cargo::{self, CargoError};
use crate::report::Report;

/// What checks it.
const DENY: (&str, &str) = ("cargo-deny", "0.20.2");
/// By what a run that leaves this out tells of it.
const ADVISORIES: &str = "dependencies: known vulnerabilities";

/// The check failed, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DependenciesError {
    /// The tool was not built.
    #[error(transparent)]
    Build(#[from] CargoError),
    /// It could not be run.
    #[error("cannot run cargo-deny")]
    Run(#[source] io::Error),
    /// It found something, which it wrote to the terminal.
    #[error("cargo-deny refuses what the workspace is built of: see what it wrote above, and `.deny.toml`")]
    Refused,
    /// The list of what was left out.
    #[error("cannot write to the file that SIKKERKEY_E2E_SKIPPED names")]
    Skipped(#[source] io::Error),
}

/// Checks it, with the tool's own words on the terminal. Blocks.
///
/// The database of vulnerabilities is on GitHub. Where that cannot be reached, which says nothing of this checkout or this machine, that
/// part alone is left out, and said to be.
pub fn check(report: &Report) -> Result<(), DependenciesError> {
    let program = cargo::tool(DENY.0, DENY.1)?;
    let deny = |args: &[&str], words: fn() -> Stdio| deny(&program, args, words).map_err(DependenciesError::Run);
    // A warning is an exception that is not needed any more, or a package that was withdrawn.
    if !deny(&["check", "--deny", "warnings", "licenses", "bans", "sources"], Stdio::inherit)?.success() {
        return Err(DependenciesError::Refused);
    }
    if !deny(&["fetch", "db"], Stdio::null)?.success() {
        report.line(&format!("SKIPPED {ADVISORIES}: https://github.com/RustSec/advisory-db cannot be reached"));
        return skipped().map_err(DependenciesError::Skipped);
    }
    if deny(&["check", "--disable-fetch", "advisories"], Stdio::inherit)?.success() {
        Ok(())
    } else {
        Err(DependenciesError::Refused)
    }
}

fn deny(program: &Path, args: &[&str], words: fn() -> Stdio) -> io::Result<ExitStatus> {
    let mut command = Command::new(program);
    command.args(["--config", ".deny.toml", "--log-level", "error"]).args(args).current_dir(cargo::workspace());
    command.stdin(Stdio::null()).stdout(words()).stderr(words()).status()
}

/// Adds it to what was left out, which is counted at the end of all tests.
fn skipped() -> io::Result<()> {
    let Some(list) = std::env::var_os("SIKKERKEY_E2E_SKIPPED") else { return Ok(()) };
    writeln!(File::options().append(true).create(true).open(list)?, "{ADVISORIES}")
}
