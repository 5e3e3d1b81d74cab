//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::bench;
use crate::claim::RunName;
use crate::shipped::Part;

/// Real Kubernetes clusters on this machine, for tests and for looking around.
#[derive(Debug, Parser)]
#[command(name = "sikkerkey-e2e", version)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the main job on a real node: manifests, pod, file, audit, revoke
    Demo {
        /// Leave everything running until Ctrl-C, and say how to look around
        #[arg(long)]
        keep: bool,
    },
    /// Measure the server against its targets, beside what is timed in the same run
    Bench(bench::Arguments),
    /// A cluster with a real node, for work by hand
    #[command(subcommand)]
    Node(NodeCommand),
    /// Build the binaries of the control plane, the kubelet and Helm, unless they are there
    Assets,
    /// Build the images as they are shipped, as OCI archives, and say their digests
    Images {
        /// Only these
        #[arg(value_enum)]
        parts: Vec<Part>,
        /// Where the archives go
        #[arg(long, value_name = "DIRECTORY", default_value = "target/images")]
        out: PathBuf,
        /// What stands before the names of the images; with `localhost`, load them into each node
        #[arg(long, value_name = "REGISTRY", default_value = "localhost")]
        registry: String,
    },
    /// Build all that is published of a commit into one folder: images, chart, kinds, plugin, bills of materials, licences, checksums
    Release {
        /// Only these images
        #[arg(value_enum)]
        parts: Vec<Part>,
        /// The folder, of its own
        #[arg(long, value_name = "DIRECTORY")]
        out: PathBuf,
        /// What stands before the names of the images
        #[arg(long, value_name = "REGISTRY", default_value = "localhost")]
        registry: String,
        /// Check a folder that is there: its checksums, and that a clone of the commit gives the same once more
        #[arg(long)]
        verify: bool,
    },
    /// Check what the workspace is built of: licences, sources, duplicates, known vulnerabilities
    Dependencies,
    /// Answers nothing, which the benchmarks compare with (internal)
    #[command(hide = true)]
    BenchHello {
        /// Where to listen
        address: SocketAddr,
    },
    /// Keeps processes for a harness (internal)
    #[command(hide = true)]
    Keep {
        /// What the claimed number is for
        kind: String,
    },
    /// Answers for the names of Services (internal)
    #[command(hide = true)]
    Names {
        /// Of whoever may get Services
        kubeconfig: PathBuf,
        /// Where to listen
        address: SocketAddr,
    },
    /// Is pid 1 of a node (internal)
    #[command(hide = true)]
    NodeInit {
        /// What to make ready, as JSON
        plan: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Start one, say how to use it, and keep it until Ctrl-C
    Up {
        /// Only etcd and the API server, with the controllers, on this machine: needs no root, runs no pods
        #[arg(long)]
        control_plane_only: bool,
        /// A flag for the API server, like --v=4; may be repeated
        #[arg(long = "api-server-flag", value_name = "FLAG", allow_hyphen_values = true)]
        api_server_flags: Vec<String>,
        /// Let pods reach Services by their names and addresses
        #[arg(long, conflicts_with = "control_plane_only")]
        services: bool,
        /// Say what takes how long
        #[arg(long, short)]
        verbose: bool,
        /// Stop at once when it is ready, which shows whether it works here
        #[arg(long)]
        check: bool,
    },
    /// End running ones, and remove what crashed ones left
    Down {
        /// Only this one: node1, plane1
        run: Option<RunName>,
    },
    /// Say what this machine lacks, and what crashed runs left
    Doctor,
}
