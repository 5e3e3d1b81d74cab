//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::admin;

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
    /// Where the data is; made when there is none.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where to listen. Anything but a loopback address needs a certificate and a root key file.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// The origin by which clients reach the server, such as `https://sikkerkey.example.com`.
    #[arg(long, value_name = "URL")]
    pub public_url: String,
    /// The root key: a file that holds 32 bytes, raw, in hex or in base64. Absent: made in the data directory, for a
    /// loopback listener only.
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Option<PathBuf>,
    /// The certificate chain in PEM. Read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM. Read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A proxy whose X-Forwarded-For is believed. May be given several times.
    #[arg(long = "trusted-proxy", value_name = "CIDR")]
    pub trusted_proxies: Vec<IpNet>,
    /// Addresses that stand for many clients (a NAT, an ingress) and are never locked out as such. May be given several
    /// times.
    #[arg(long = "shared-address", value_name = "CIDR")]
    pub shared_addresses: Vec<IpNet>,
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
