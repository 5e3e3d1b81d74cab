//! The command line.

mod root_key;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use sikkerkey_traces::endpoint::Endpoint;
use sikkerkey_traces::sampler::Ratio;

pub use self::root_key::RootKeyArguments;
use crate::anchor::Target;
use crate::{admin, writer};

/// The SikkerKey server: machines, secrets, grants, access policies, audit.
#[derive(Debug, Parser)]
#[command(name = "sikkerkey-server", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the server.
    Serve(Serve),
    /// Manages a server from its own machine.
    Admin(admin::Arguments),
}

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where the data is; made when there is none. With --database-url it holds the administration socket alone.
    #[arg(long, value_name = "DIR", required_unless_present = "database_url")]
    pub data_dir: Option<PathBuf>,
    /// A PostgreSQL database instead, which several servers may share: `postgres://user:password@host/name`. Better given
    /// by the environment, where other users do not see the password.
    #[arg(long, value_name = "URL", env = "SIKKERKEY_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Where to listen. Anything but a loopback address needs a certificate and a root key from elsewhere.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// The origin by which clients reach the server, such as `https://sikkerkey.example.com`.
    #[arg(long, value_name = "URL")]
    pub public_url: String,
    /// Where the root key comes from.
    #[command(flatten)]
    pub root_key: RootKeyArguments,
    /// The certificate chain in PEM. Read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM. Read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The authority of the certificate that clients see, in PEM, where their systems do not know it. The commands with
    /// which hosts begin carry it, and the scripts leave it beside the identity. Read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// A proxy whose X-Forwarded-For is believed. May be given several times.
    #[arg(long = "trusted-proxy", value_name = "CIDR")]
    pub trusted_proxies: Vec<IpNet>,
    /// Addresses that stand for many clients (a NAT, an ingress) and are never locked out as such. May be given several
    /// times.
    #[arg(long = "shared-address", value_name = "CIDR")]
    pub shared_addresses: Vec<IpNet>,
    /// Where a signed checkpoint of the audit goes once a minute when rows were added: `file:/path`, to which lines are
    /// appended, or `https://…`, to which they are posted. Best on another host. May be given several times. A server
    /// whose database knows less than its file anchor does not start.
    #[arg(long = "audit-anchor", value_name = "ANCHOR")]
    pub audit_anchors: Vec<Target>,
    /// Accepts, once, that the database was restored from a backup that knows less than its anchor.
    #[arg(long, requires = "audit_anchors")]
    pub accept_restored: bool,
    /// Keeps rows of the audit in the database for this many days after the day they are of. Then they are exported, a
    /// file for each day, and dropped. Left out: for ever.
    #[arg(long, value_name = "DAYS")]
    pub audit_retention_days: Option<u64>,
    /// Where those files go; left out: `audit` in the data directory.
    #[arg(long, value_name = "DIR", requires = "audit_retention_days")]
    pub audit_archive: Option<PathBuf>,
    /// A range of addresses to which deliveries to webhooks may go although they are not public ones: of a receiver in the
    /// same network. May be given several times.
    #[arg(long, value_name = "CIDR")]
    pub webhook_allow: Vec<IpNet>,
    /// The certificate authorities that vouch for the receivers of webhooks, in PEM, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub webhook_ca: Option<PathBuf>,
    /// The most requests that one transaction writes. 1 is what the benchmarks compare with.
    #[arg(long, value_name = "N", hide = true, default_value_t = writer::MAX_GROUP, value_parser = at_least_one)]
    pub max_group: usize,
    /// Requests a second that one machine may send, twice as many at once; an agent may ten times that. Beyond it the
    /// answer is 429. 0: no limit.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub machine_rate: u32,
    /// Connections at the same time. Beyond it, new ones wait.
    #[arg(long, value_name = "N", default_value_t = 30_000, value_parser = at_least_one)]
    pub max_connections: usize,
    /// Connections of one address at the same time; loopback, trusted proxies and shared addresses may have more. Beyond
    /// it, new ones are closed.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = at_least_one)]
    pub max_connections_per_address: usize,
    /// An OpenTelemetry collector for traces: `http(s)://HOST[:PORT]`, OTLP over HTTP. Left out: no traces.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<Endpoint>,
    /// The certificate authorities that vouch for the collector, in PEM, instead of the system's.
    #[arg(long, value_name = "FILE", env = "OTEL_EXPORTER_OTLP_CERTIFICATE", requires = "otlp_endpoint")]
    pub otlp_ca: Option<PathBuf>,
    /// How many of the traces that begin here are kept, from 0 to 1. A caller that keeps its own has its requests kept.
    #[arg(long, value_name = "RATIO", env = "OTEL_TRACES_SAMPLER_ARG", default_value = "1")]
    pub trace_ratio: Ratio,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// With none, nobody could ever connect; and more than the runtime can count is a slip of the pen.
fn at_least_one(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (1..=1_000_000).contains(&number) { Ok(number) } else { Err("must be between 1 and 1000000".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Arguments that sound like a secret and take an id: what they name is no secret.
    const IDS: [&str; 4] = [
        "admin enrolment-token create --secrets",
        "admin explain --secret",
        "admin grant create --secrets",
        "admin grant set --secrets",
    ];

    /// Every argument of a command and of those below it that takes a value, with what stands for the value.
    fn arguments(path: &str, command: &clap::Command, all: &mut Vec<(String, String)>) {
        for argument in command.get_arguments().filter(|it| it.get_action().takes_values()) {
            let value = argument.get_value_names().unwrap_or_default().first().map(ToString::to_string);
            all.push((format!("{path} --{}", argument.get_id()).replace('_', "-"), value.unwrap_or_default()));
        }
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name());
            arguments(path.trim_start(), below, all);
        }
    }

    /// Other users of the host see the command line of every process.
    #[test]
    fn no_secret_is_typed_into_the_command_line() {
        let mut all = Vec::new();
        arguments("", &Cli::command(), &mut all);
        assert!(all.len() > 50, "the walk finds the commands");
        let sounds_secret = |it: &str| {
            let name = it.rsplit(" --").next().unwrap();
            ["password", "token", "secret", "value", "code", "passphrase", "private"]
                .iter()
                .any(|word| name.contains(word))
        };
        let found: Vec<_> = all.iter().filter(|(path, value)| sounds_secret(path) && value != "FILE").collect();
        let named: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        let unexpected: Vec<_> = named.iter().filter(|it| !IDS.contains(it)).collect();
        assert!(unexpected.is_empty(), "these take a secret from the command line: {unexpected:?}");
        assert!(all.iter().any(|(path, value)| path == "admin account create --password-file" && value == "FILE"));
    }

    #[test]
    fn what_a_script_may_rely_on_stands_in_the_help() {
        let help = Cli::command().find_subcommand_mut("admin").unwrap().render_long_help().to_string();
        assert!(help.contains("Exit status: 0 done; 1 refused or failed"), "{help}");
    }

    #[test]
    fn a_group_has_at_least_one_request() {
        let parsed = |size: &str| {
            let line =
                "sikkerkey-server serve --data-dir d --listen 127.0.0.1:1 --public-url http://localhost --max-group";
            match Cli::try_parse_from(line.split(' ').chain([size])).map(|it| it.command) {
                Ok(Command::Serve(serve)) => Ok(serve.max_group),
                Ok(Command::Admin(_)) => Err("admin".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        };
        assert_eq!(parsed("1"), Ok(1));
        let refused = parsed("0").unwrap_err();
        assert!(
            refused.contains("invalid value '0' for '--max-group <N>': must be between 1 and 1000000"),
            "{refused}"
        );
    }
}
