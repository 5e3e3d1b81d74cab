//! The command line of the person who runs the server.
//!
//! A command is a [`Request`], which the running server takes over its socket, because it alone may write; when no
//! server runs, the command opens the data itself. Either way the same use cases run through the same writer, and what
//! changes something is audited.

mod account;
mod agent;
mod alert;
mod allowlist;
mod answer;
mod application;
mod audit;
mod backup;
mod bootstrap;
mod canary;
mod co_sign;
mod command;
mod duration;
mod enrolment_token;
pub(crate) mod execute;
mod explain;
mod grant;
mod keys;
mod listing;
mod machine;
mod member;
mod policy;
mod project;
mod request;
mod sealing_key;
mod secret;
pub(crate) mod socket;
mod table;
mod trash;
mod vault;
mod webhook;

use std::path::PathBuf;

use anyhow::Context as _;
use sikkerkey_protocol::management::ExportFormat;

pub use self::answer::Answer;
use self::audit::Audit;
pub use self::command::Command;
pub use self::request::Request;
use crate::cli::RootKeyArguments;
use crate::engine::DataPlace;

/// The name of the socket in the data directory.
pub const SOCKET: &str = "admin.sock";

/// What a script may rely on.
const EXIT_STATUS: &str = "Exit status: 0 done; 1 refused or failed, with the reason on standard error; 2 the command \
line is wrong, and nothing was tried.";

/// Arguments of `sikkerkey-server admin`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_STATUS)]
pub struct Arguments {
    /// The server's data directory.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The server's PostgreSQL database. With a data directory as well, the server that has it is asked.
    #[arg(long, value_name = "URL", env = "SIKKERKEY_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The root key, when it is not in the data directory. Not needed while the server runs.
    #[command(flatten)]
    pub root_key: RootKeyArguments,
    /// How to answer.
    #[arg(long, value_enum, default_value_t = Output::Text, global = true)]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For a person.
    Text,
    /// For a program.
    Json,
    /// For a spreadsheet: `audit query` alone.
    Csv,
    /// One JSON object on each line: `audit query` alone.
    Jsonl,
}

impl Output {
    /// In which form rows are written out.
    fn format(self) -> Option<ExportFormat> {
        match self {
            Self::Text | Self::Json => None,
            Self::Csv => Some(ExportFormat::Csv),
            Self::Jsonl => Some(ExportFormat::Jsonl),
        }
    }
}

/// Runs a command and prints its answer.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { data_dir, database_url, root_key, output, command } = arguments;
    anyhow::ensure!(
        output.format().is_none() || matches!(command, Command::Audit { command: Some(Audit::Query(_)), .. }),
        "--output csv and --output jsonl are for audit query: give json or text"
    );
    if let Command::VerifyAudit(what) = &command
        && let Some(answer) =
            audit::verify::beside(data_dir.as_deref(), database_url.as_deref(), &root_key, what).await?
    {
        return show(output, answer);
    }
    if let Command::Restore(what) = &command {
        return show(output, backup::restore(DataPlace::new(database_url, data_dir)?, root_key, what).await?);
    }
    let mut request = command.into_request()?;
    if let Request::AuditQuery { format, .. } = &mut request {
        *format = output.format();
    }
    let answered = match &data_dir {
        Some(data_dir) => socket::ask(&data_dir.join(SOCKET), &request).await?,
        None => None,
    };
    let answered = match answered {
        Some(answered) => answered,
        None => execute::alone(DataPlace::new(database_url, data_dir)?, root_key, request).await?,
    };
    show(output, answered.map_err(|message| anyhow::anyhow!(message))?)
}

fn show(output: Output, answer: Answer) -> anyhow::Result<()> {
    let is_broken = answer.json.get("holds").is_some_and(|it| it == false);
    let text = match output {
        Output::Text | Output::Csv | Output::Jsonl => answer.text,
        Output::Json => serde_json::to_string_pretty(&answer.json).context("cannot write the answer as JSON")?,
    };
    print(&text).context("cannot write the answer")?;
    if let Some(rest) = answer.json.get("notAll").and_then(|it| it.as_str()) {
        use std::io::Write as _;
        // Not among the rows.
        writeln!(std::io::stderr(), "{rest}").context("cannot write what is left")?;
    }
    // What was found stands above; a script looks at how the command ends.
    anyhow::ensure!(!is_broken, "the audit does not hold");
    Ok(())
}

fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // Somebody who reads only the first lines (`| head`) is not an error.
    match writeln!(out, "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
