//! The binary: parses arguments and runs.

use clap::Parser;
use sikkerkey_server::cli::Cli;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    sikkerkey_server::run::run(Cli::parse()).await
}
