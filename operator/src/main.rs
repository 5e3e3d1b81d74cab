//! `sikkerkey-operator`: see the crate's opening page.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use clap::Parser;
use sikkerkey_crds::{admission, crd};
use sikkerkey_operator::cli::{Cli, Command, LogFormat, RunOptions};
use sikkerkey_operator::{manifests, run};
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(options) => {
            log(&options)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start")?;
            runtime.block_on(run::run(*options))
        }
        Command::Crds => {
            let crds = crd::crds().iter().map(crd::to_yaml).collect::<Result<Vec<_>, _>>()?;
            print(&crds.join("---\n"))
        }
        Command::AdmissionPolicies => print(&admission::to_yaml()?),
        Command::Manifests(options) => print(&manifests::yaml(&options)?),
    }
}

fn log(options: &RunOptions) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&options.log_filter).context("--log-filter")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")
}
