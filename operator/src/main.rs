//! `sikkerkey-operator`: see the crate's opening page.

use std::io::{Write, stdout};

use clap::Parser;
use sikkerkey_crds::{admission, crd, question};
use sikkerkey_operator::cli::{Cli, Command};
use sikkerkey_operator::{manifests, run, seal};

/// Ten thousand objects are some hundred thousand small strings, and each comparison makes as many that go again. With the C
/// library's allocator that took half as much memory again and twice the processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    // One thread does all of it with time to spare, on a node of any size: each more would keep free memory of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = match Cli::parse().command {
        Command::Run(options) => return runtime.block_on(run::run(*options)),
        Command::Crds => {
            let all = crd::crds().into_iter().chain([question::definition()]);
            let crds: Vec<String> = all.map(|it| crd::to_yaml(&it)).collect::<Result<_, _>>()?;
            crds.join("---\n")
        }
        Command::AdmissionPolicies => admission::to_yaml()?,
        Command::Manifests(options) => manifests::yaml(&options)?,
        Command::Seal(options) => runtime.block_on(seal::run(&options))?,
    };
    Ok(stdout().write_all(text.as_bytes())?)
}
