//! The program `sikkerkey-e2e`.

use std::process::ExitCode;

use clap::Parser;
use sikkerkey_e2e::cli::Cli;

fn main() -> ExitCode {
    sikkerkey_e2e::run::run(Cli::parse())
}
