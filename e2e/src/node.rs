//! A real Kubernetes node on this machine: kubelet, containerd and the control plane as plain processes in namespaces of their own.
//!
//! The namespaces keep what happens inside from the machine: fixed ports clash with nothing, and when pid 1 ends, the kernel takes all
//! processes, mounts and interfaces. What a namespace cannot hold (cgroups, one link, one directory) carries the number of the run.

pub(crate) mod cgroup;
pub(crate) mod containerd;
pub(crate) mod init;
pub(crate) mod kubelet;
pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod proxy;
mod requirements;

use std::io;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::{Api, Client};

pub use self::requirements::{Requirement, install_command, requirements, requirements_of_services};
use crate::claim::Kind;
use crate::image::Image;
use crate::keeper::protocol::Spawn;
use crate::keeper::{Keeper, KeeperError};
use crate::leftovers::Leftovers;
use crate::run_directory::RunDirectory;
use crate::wait::{NeverHappened, wait_for};

/// The node of a cluster.
#[derive(Clone)]
pub struct Node {
    number: u8,
    run: RunDirectory,
    init: Keeper,
}

/// An image could not be brought to a node.
#[derive(Debug, thiserror::Error)]
#[error("cannot import the image {reference}")]
pub struct ImportError {
    reference: String,
    #[source]
    source: ImportCause,
}

#[derive(Debug, thiserror::Error)]
enum ImportCause {
    #[error(transparent)]
    Archive(io::Error),
    #[error(transparent)]
    Import(KeeperError),
}

/// The name of a node.
pub(crate) fn name(number: u8) -> String {
    format!("node-{number}")
}

impl Node {
    /// What this machine lacks to run a node; see [`requirements`].
    pub fn requirements() -> Vec<Requirement> {
        requirements()
    }

    /// What carries the number of a node on this machine.
    pub fn leftovers(number: u8) -> Leftovers {
        Leftovers::find(Kind::Node, number)
    }

    /// The number of this node.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Its name in the cluster.
    pub fn name(&self) -> String {
        name(self.number)
    }

    /// Pid 1 of its namespaces, and whoever starts processes in them.
    pub(crate) fn init(&self) -> &Keeper {
        &self.init
    }

    /// Makes the namespaces and connects them to this machine.
    pub(crate) async fn open(
        number: u8,
        run: &RunDirectory,
        visible: Vec<std::path::PathBuf>,
    ) -> Result<Self, OpenError> {
        cgroup::Cgroup::of_node(number).create().map_err(OpenError::Cgroup)?;
        let init = init::start(number, run, visible)?;
        init.ready().await.map_err(|error| OpenError::Init(error, run.log("node-init").tail()))?;
        let network = network::Network::of_node(number);
        network::run_batch(&network.on_machine(init.pid())).map_err(OpenError::Network)?;
        let batch = run.join("network.batch");
        std::fs::write(&batch, network.in_node()).map_err(OpenError::Network)?;
        let node = Self { number, run: run.clone(), init };
        node.run_to_end("ip", &["-batch", &batch.display().to_string()]).await?;
        Ok(node)
    }

    /// Pulls the plug: every process is killed, and what a machine loses with its power is gone. The disk stays.
    pub(crate) async fn crash(&self) -> io::Result<()> {
        let left = self.init.stop().await;
        if !left.is_empty() {
            return Err(io::Error::other(left.join(", ")));
        }
        let (number, run) = (self.number, self.run.clone());
        tokio::task::spawn_blocking(move || {
            cgroup::Cgroup::of_node(number).remove(Duration::from_secs(15));
            network::disconnect(number);
            [init::volatile(run.path()), containerd::volatile(&run)].iter().try_for_each(|directory| {
                match std::fs::remove_dir_all(directory) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                }
            })
        })
        .await?
    }

    /// Brings an image to the node.
    pub async fn import(&self, image: &Image) -> Result<(), ImportError> {
        let failed = |source| ImportError { reference: image.reference().to_owned(), source };
        let file = format!("{}.tar", image.reference().replace(['/', ':'], "_"));
        let archive = self.run.join(file);
        let write = || -> io::Result<()> {
            let mut out = io::BufWriter::new(std::fs::File::create(&archive)?);
            image.write(&mut out)?;
            io::Write::flush(&mut out)
        };
        write().map_err(|error| failed(ImportCause::Archive(error)))?;
        containerd::import(&self.init, &self.run, &archive)
            .await
            .map_err(|error| failed(ImportCause::Import(error)))?;
        // It is in containerd's store now.
        let _ = std::fs::remove_file(&archive);
        Ok(())
    }

    /// Runs one of the machine's tools inside the node, to its end.
    async fn run_to_end(&self, tool: &str, args: &[&str]) -> Result<(), KeeperError> {
        let program = containerd::program(tool).unwrap_or_else(|| tool.into());
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let log = self.run.log(tool).path().to_owned();
        self.init.run(Spawn { program, args, env: Vec::new(), log }, Duration::from_secs(20)).await
    }

    /// Waits until containerd takes requests.
    pub(crate) async fn containerd_answers(run: &RunDirectory, bound: Duration) -> Result<(), NeverHappened> {
        let socket = containerd::socket(run);
        wait_for("containerd to listen", bound, async || connect(&socket).await).await
    }

    /// Whether the API server reaches the kubelet.
    pub(crate) async fn kubelet_listens(&self) -> io::Result<()> {
        let address = (network::Network::of_node(self.number()).node(), kubelet::PORT);
        tokio::net::TcpStream::connect(address).await.map(drop)
    }

    /// Waits until pods can be scheduled to the node.
    pub(crate) async fn is_ready(&self, client: &Client, bound: Duration) -> Result<(), NeverHappened> {
        let nodes: Api<NodeObject> = Api::all(client.clone());
        let name = self.name();
        wait_for(&format!("node {name} to be ready"), bound, async || readiness(nodes.get(&name).await)).await
    }
}

/// Why the namespaces of a node could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("cannot make the node's cgroup")]
    Cgroup(#[source] io::Error),
    #[error("cannot prepare the node's namespaces. {1}")]
    Init(#[source] KeeperError, crate::log_file::LogTail),
    #[error("cannot connect the node's network to this machine")]
    Network(#[source] io::Error),
    #[error(transparent)]
    Keeper(#[from] KeeperError),
}

async fn connect(socket: &Path) -> io::Result<()> {
    tokio::net::UnixStream::connect(socket).await.map(drop)
}

fn readiness(answer: Result<NodeObject, kube::Error>) -> Result<(), String> {
    let node = answer.map_err(|error| error.to_string())?;
    let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready").ok_or("it has no condition yet")?;
    if ready.status != "True" {
        return Err(ready.message.unwrap_or_else(|| "it is not ready".into()));
    }
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    match taints.first() {
        None => Ok(()),
        Some(taint) => Err(format!("it has the taint {}", taint.key)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_ready_when_it_says_so_and_has_no_taint() {
        let node = |status: &str, taints: serde_json::Value| {
            let condition = json!({"type": "Ready", "status": status, "message": "network is missing"});
            Ok(serde_json::from_value(
                json!({"metadata": {}, "spec": {"taints": taints}, "status": {"conditions": [condition]}}),
            )
            .unwrap())
        };
        assert_eq!(readiness(node("True", json!(null))), Ok(()));
        assert_eq!(readiness(node("False", json!(null))), Err("network is missing".into()));
        let taint = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]);
        assert!(readiness(node("True", taint)).unwrap_err().contains("node.kubernetes.io/not-ready"));
        assert!(readiness(Ok(NodeObject::default())).unwrap_err().contains("no condition"));
    }
}
