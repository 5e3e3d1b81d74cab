//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

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
    /// The most requests that one transaction writes. 1 is what the benchmarks compare with.
    #[arg(long, value_name = "N", hide = true, default_value_t = writer::MAX_GROUP, value_parser = at_least_one)]
    pub max_group: usize,
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

/// A group of nothing would be taken for a queue that has ended.
fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse::<NonZeroUsize>().map(NonZeroUsize::get).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(refused.contains("invalid value '0' for '--max-group <N>': number would be zero"), "{refused}");
    }
}
