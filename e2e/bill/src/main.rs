//! The program `sikkerkey-bill`, which a Dockerfile runs in a checkout.

use std::io::Write;
use std::path::Path;

use clap::{Parser, Subcommand};
use sikkerkey_bill::{Linked, notices};

/// What a program of this workspace is linked of.
#[derive(Debug, Parser)]
#[command(name = "sikkerkey-bill", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the licence texts that go with it
    Notices {
        /// The package whose program it is
        package: String,
    },
}

fn main() -> anyhow::Result<()> {
    let Command::Notices { package } = Cli::parse().command;
    let notices = notices::notices(&Linked::gather(Path::new("."), &package)?)?;
    std::io::stdout().write_all(notices.as_bytes())?;
    Ok(())
}
