//! `kubectl sikkerkey`: what a person at a terminal asks about the four kinds.
//!
//! A program of its own, which kubectl finds by its name `kubectl-sikkerkey`. It asks the API server as the person it runs
//! for and shows nothing that they could not `get`; no value passes through it but the one that `seal` encrypts. What only the
//! server knows is asked by way of the API server as well ([`question`]).

mod audit;
mod bootstrap;
mod cluster;
mod convert;
mod cosign;
mod doctor;
mod explain;
mod leader_view;
mod question;
mod rotate;
mod status;
mod subject;
mod table;
mod uninstall;

use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;

use self::audit::{AuditError, AuditOptions};
use self::bootstrap::{BootstrapError, BootstrapOptions};
use self::cluster::ClusterError;
use self::convert::{ConvertError, ConvertOptions};
use self::cosign::{CosignError, CosignOptions};
use self::doctor::DoctorOptions;
use self::explain::{ExplainError, ExplainOptions};
use self::rotate::{RotateError, RotateOptions};
use self::status::StatusOptions;
use self::uninstall::{UninstallError, UninstallOptions};
use crate::clock::Clock;
use crate::seal::{self, SealCommandError, SealOptions};

/// Looks after the kinds of sikkerkey.com
#[derive(Debug, Parser)]
#[command(name = "kubectl-sikkerkey", bin_name = "kubectl sikkerkey", version, about)]
pub struct Plugin {
    /// What to do
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Tell on one page what does not work and what to do; exits with 1 if something has to be mended, with 2 if it could not look
    Status(StatusOptions),
    /// Tell whether a pod may read a Secret, what stands against it, and what to do; exits with 1 if it may not, with 2 if it could not look
    Explain(Box<ExplainOptions>),
    /// Tell who last read what an object is about, and who was refused, newest first; exits with 2 if it could not look
    Audit(AuditOptions),
    /// Print the patch that has the server make another value of a Secret, or apply it; exits with 2 if there is none
    Rotate(RotateOptions),
    /// Print the command with which the host of a Machine begins; exits with 2 if there is none
    Bootstrap(BootstrapOptions),
    /// List the reads that wait for the approval of this machine, approve and deny them, where a policy names it
    #[command(disable_help_flag = true)]
    Cosign(CosignOptions),
    /// Try out whether the installation works; stores nothing; exits with 1 if something does not
    Doctor(DoctorOptions),
    /// Take the operator's hold off objects, so that they can be deleted when it is gone for good
    Uninstall(UninstallOptions),
    /// Convert manifests of vault-k8s annotations, External Secrets and Kubernetes Secrets; exits with 1 if some stay as they are, with 2 if it could not read them
    Convert(Box<ConvertOptions>),
    /// Encrypt a value from standard input or a file, so that it may stand in Git; prints the Secret object
    Seal(Box<SealOptions>),
}

const BOLD: &str = "\u{1b}[1m";
const RED: &str = "\u{1b}[31m";
const YELLOW: &str = "\u{1b}[33m";
const PLAIN: &str = "\u{1b}[0m";

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("{code}{text}{PLAIN}") } else { text.to_owned() }
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The cluster does not tell.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Nothing can be explained.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// Nobody tells who read.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No value is made.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// There is no command.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Nobody signs.
    #[error(transparent)]
    Cosign(#[from] CosignError),
    /// Nothing was let go of.
    #[error(transparent)]
    Uninstall(#[from] UninstallError),
    /// Nothing was converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// Nothing was sealed.
    #[error(transparent)]
    Seal(#[from] SealCommandError),
    /// It cannot be written as JSON.
    #[error("could not write JSON")]
    Json(#[from] serde_json::Error),
    /// It cannot be printed.
    #[error("could not print")]
    Print(#[from] std::io::Error),
}

/// Does what the command line says.
pub async fn run(plugin: &Plugin) -> Result<ExitCode, PluginError> {
    // Fails when one is installed already; there is only this one to choose from.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (now, colour) = (Clock::system().now(), stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let code = |is_in_order: bool| if is_in_order { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let (text, code) = match &plugin.command {
        PluginCommand::Status(options) => {
            let report = status::report(options, now).await?;
            let text = match options.output {
                Output::Json => json(&report)?,
                Output::Text => report.text(now, colour),
            };
            (text, code(report.is_in_order()))
        }
        PluginCommand::Explain(options) => {
            let explained = explain::explained(options).await?;
            let text = match options.output {
                Output::Json => json(&explained)?,
                Output::Text => explained.text(colour),
            };
            (text, ExitCode::from(explained.exit_code()))
        }
        PluginCommand::Audit(options) => {
            let told = audit::told(options).await?;
            let text = match options.output {
                Output::Json => json(&told)?,
                Output::Text => told.text(now, colour),
            };
            (text, ExitCode::SUCCESS)
        }
        PluginCommand::Rotate(options) => {
            let rotated = rotate::rotated(options, now).await?;
            let text = match options.output {
                Output::Json => json(&rotated)?,
                Output::Text => rotated.text(colour),
            };
            (text, ExitCode::SUCCESS)
        }
        PluginCommand::Bootstrap(options) => {
            let begun = bootstrap::begun(options).await?;
            let text = match options.output {
                Output::Json => json(&begun)?,
                Output::Text => begun.text(now, colour),
            };
            (text, ExitCode::SUCCESS)
        }
        PluginCommand::Cosign(options) => return Err(cosign::run(options).into()),
        PluginCommand::Doctor(options) => {
            let diagnosis = doctor::diagnosis(options, now).await?;
            let text = match options.output {
                Output::Json => json(&diagnosis)?,
                Output::Text => diagnosis.text(colour),
            };
            (text, code(diagnosis.is_in_order()))
        }
        PluginCommand::Uninstall(options) => (uninstall::run(options, now).await?, ExitCode::SUCCESS),
        PluginCommand::Convert(options) => {
            let (text, is_whole) = convert::run(options, now)?;
            (text, code(is_whole))
        }
        PluginCommand::Seal(options) => (seal::run(options).await?, ExitCode::SUCCESS),
    };
    stdout().write_all(text.as_bytes())?;
    Ok(code)
}

fn json(answer: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(answer)? + "\n")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Plugin::command().debug_assert();
    }
}
