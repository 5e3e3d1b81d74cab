//! `kubectl sikkerkey`: see [`sikkerkey_operator::plugin`].

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::Parser;
use sikkerkey_operator::plugin::{self, Plugin};

fn main() -> ExitCode {
    run(&Plugin::parse()).unwrap_or_else(|error| {
        // Nobody is left to tell of a failure of this.
        let _ = writeln!(stderr(), "Error: {error:?}");
        // As for arguments that it does not know: 1 is an answer.
        ExitCode::from(2)
    })
}

fn run(plugin: &Plugin) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(plugin::run(plugin))?)
}
