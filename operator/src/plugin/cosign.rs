//! `kubectl sikkerkey cosign`: a person approves reads as the machine at which they sit, where a policy names that machine.
//!
//! An approval is signed with the key of a host that the policy's author chose; no right in the cluster stands in for it, and
//! neither this program nor the operator has such a key. `sikkerkey-sidecar cosign` has all of it, so that program is run in
//! place of this one.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

/// The program that signs.
const PROGRAM: &str = "sikkerkey-sidecar";

/// What is handed over as it stands.
#[derive(Args, Debug)]
pub(crate) struct CosignOptions {
    /// list, approve ID or deny ID, and their options: --help shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    arguments: Vec<OsString>,
}

/// Nobody signs.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot run {PROGRAM}, which approves as this machine: put it beside kubectl-sikkerkey or into the PATH; this machine needs \
     an identity, see Hosts in server/README.md"
)]
pub struct CosignError(#[source] std::io::Error);

/// Runs the program that signs in place of this one. Comes back only where that cannot be done.
pub(crate) fn run(options: &CosignOptions) -> CosignError {
    // The one beside this program is of the same release.
    let beside = std::env::current_exe().ok().map(|it| it.with_file_name(PROGRAM)).filter(|it| it.is_file());
    let program = beside.unwrap_or_else(|| PathBuf::from(PROGRAM));
    CosignError(Command::new(program).arg("cosign").args(&options.arguments).exec())
}
