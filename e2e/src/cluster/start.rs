//! The start of a cluster, as parallel as its parts allow.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

use super::{Cluster, Options};
use crate::assets::{AssetError, Assets, Component};
use crate::certificates::{self, CertificateError, Names};
use crate::claim::Kind;
use crate::control_plane::{ControlPlane, Place};
use crate::image::Image;
use crate::keeper::{self, Keeper, KeeperError};
use crate::node::{
    ImportError, Node, OpenError, Requirement, containerd, kubelet, names, proxy, requirements,
    requirements_of_services,
};
use crate::process::{Process, ProcessEnded};
use crate::report::Report;
use crate::run_directory::RunDirectory;
use crate::wait::{NeverHappened, wait_for};

/// How long each part may take. A machine that is slower than this is not of use.
const BOUND: Duration = Duration::from_secs(90);

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine lacks something.
    #[error("this machine cannot run a node. Missing:\n{}", list(.0))]
    Requirements(Vec<Requirement>),
    /// The binaries are not there.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// The keeper could not be started.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// It started, but did not get ready.
    #[error("the cluster did not start; its logs are in {}", logs.display())]
    Failed {
        /// Where the logs are.
        logs: PathBuf,
        /// Why.
        source: Box<Cause>,
    },
}

fn list(missing: &[Requirement]) -> String {
    missing.iter().map(|item| format!("  * {item}")).collect::<Vec<_>>().join("\n")
}

/// What kept a cluster from getting ready.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("cannot write the configuration")]
    Files(#[source] io::Error),
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    #[error("{0}")]
    Node(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Ended(#[from] ProcessEnded),
    #[error(transparent)]
    NotReady(#[from] NeverHappened),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("cannot make a client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<OpenError> for Cause {
    fn from(error: OpenError) -> Self {
        Self::Node("cannot open the node".into(), Box::new(error))
    }
}

impl From<kube::Error> for Cause {
    fn from(error: kube::Error) -> Self {
        Self::Client(Box::new(error))
    }
}

pub(super) async fn start(options: Options) -> Result<Cluster, StartError> {
    if options.kind == Kind::Node {
        let mut missing = requirements();
        if options.services {
            missing.extend(requirements_of_services());
        }
        if !missing.is_empty() {
            return Err(StartError::Requirements(missing));
        }
    }
    let assets = assets(&options).await?;
    let mut command = keeper::command(None)?;
    command.args(["keep", &options.kind.to_string()]);
    let host = Keeper::start(command)?;
    let ready = host.ready().await?;
    let run = RunDirectory::new(ready.directory);
    let start = Start {
        begin: Instant::now(),
        report: options.report.clone(),
        number: ready.number,
        assets,
        run: run.clone(),
        options,
    };
    start.done(&format!("run directory {}", run.path().display()));
    // The keeper cleans up when its last handle goes, and that must come after it was told to keep the logs.
    start
        .bring_up(host.clone())
        .await
        .map_err(|source| StartError::Failed { logs: run.keep_logs(), source: Box::new(source) })
}

async fn assets(options: &Options) -> Result<Assets, StartError> {
    let mut components = vec![Component::Etcd, Component::ApiServer, Component::Kubectl];
    if options.controllers {
        components.push(Component::ControllerManager);
    }
    if options.kind == Kind::Node {
        components.extend([Component::Scheduler, Component::Kubelet]);
    }
    if options.services {
        components.push(Component::KubeProxy);
    }
    let report = options.report.clone();
    let built = tokio::task::spawn_blocking(move || Assets::ensure(&components, &report)).await;
    Ok(built.map_err(|error| KeeperError::Failed { reason: error.to_string() })??)
}

struct Start {
    begin: Instant,
    report: Report,
    number: u8,
    assets: Assets,
    run: RunDirectory,
    options: Options,
}

impl Start {
    fn done(&self, step: &str) {
        self.report.detail(&format!("{:>6} ms  {step}", self.begin.elapsed().as_millis()));
    }

    async fn bring_up(self, host: Keeper) -> Result<Cluster, Cause> {
        let place = match self.options.kind {
            Kind::ControlPlane => Place::on_machine().map_err(Cause::Files)?,
            Kind::Node => Place::in_node(self.number),
        };
        let (kubeconfig, node) = tokio::try_join!(self.files(place), self.open_node())?;
        let keeper = node.as_ref().map_or(&host, Node::init);
        let control = ControlPlane {
            assets: &self.assets,
            run: &self.run,
            place,
            controllers: self.options.controllers,
            services: self.options.services,
            api_server_flags: &self.options.api_server_flags,
        };
        let mut parts =
            vec![Process::start(keeper, control.etcd()).await?, Process::start(keeper, control.api_server()).await?];
        let config = client_config(kubeconfig).await?;
        let client = Client::try_from(config.clone())?;
        match &node {
            None => self.api_server_answers(&client, &parts).await?,
            Some(node) => {
                let containerd = containerd::spawn(&self.run).ok_or_else(|| KeeperError::Refused {
                    name: "containerd".into(),
                    reason: "it is not installed".into(),
                })?;
                parts.push(Process::start(keeper, containerd).await?);
                tokio::try_join!(self.api_server_answers(&client, &parts), self.images(node))?;
                parts.push(Process::start(keeper, kubelet::spawn(&self.assets, &self.run, self.number)).await?);
                parts.push(Process::start(keeper, control.scheduler()).await?);
                if self.options.services {
                    parts.push(Process::start(keeper, proxy::spawn(&self.assets, &self.run)).await?);
                    parts.push(Process::start(keeper, names::spawn(&self.run)?).await?);
                }
            }
        }
        if self.options.controllers {
            parts.push(Process::start(keeper, control.controller_manager()).await?);
        }
        let cluster = Cluster {
            number: self.number,
            address: place.address,
            controllers: self.options.controllers,
            run: self.run.clone(),
            assets: self.assets.clone(),
            config,
            parts,
            node,
            host,
        };
        tokio::select! {
            ended = first_end(&cluster.parts) => return Err(ended.into()),
            ready = self.usable(&cluster, &client) => ready?,
        }
        self.done("ready");
        Ok(cluster)
    }

    async fn files(&self, place: Place) -> Result<Value, Cause> {
        let (run, number, kind) = (self.run.clone(), self.number, self.options.kind);
        let work = move || -> Result<Value, Cause> {
            let node = (kind == Kind::Node).then(|| (crate::node::name(number), place.address));
            let kubeconfig = certificates::make(&run, &Names { api_server: place.address, port: place.port, node })?;
            if kind == Kind::Node {
                containerd::configure(&run, number).map_err(Cause::Files)?;
                kubelet::configure(&run, number).map_err(Cause::Files)?;
                proxy::configure(&run, number).map_err(Cause::Files)?;
            }
            Ok(kubeconfig)
        };
        let kubeconfig = tokio::task::spawn_blocking(work).await.map_err(|error| Cause::Files(error.into()))??;
        self.done("certificates and configuration");
        Ok(kubeconfig)
    }

    async fn open_node(&self) -> Result<Option<Node>, Cause> {
        if self.options.kind != Kind::Node {
            return Ok(None);
        }
        let node = open_node(self.number, &self.run, &self.assets).await?;
        self.done("namespaces and network");
        Ok(Some(node))
    }

    async fn api_server_answers(&self, client: &Client, parts: &[Process]) -> Result<(), Cause> {
        tokio::select! {
            ended = first_end(parts) => return Err(ended.into()),
            ready = api_server_ready(client) => ready?,
        }
        self.done("API server ready");
        Ok(())
    }

    async fn images(&self, node: &Node) -> Result<(), Cause> {
        Node::containerd_answers(&self.run, BOUND).await?;
        self.done("containerd answers");
        let pause = Image::pause(containerd::PAUSE_IMAGE).map_err(Cause::Files)?;
        let busybox = Image::busybox().map_err(Cause::Files)?;
        tokio::try_join!(node.import(&pause), node.import(&busybox))?;
        self.done("images imported");
        Ok(())
    }

    async fn usable(&self, cluster: &Cluster, client: &Client) -> Result<(), Cause> {
        let node = async {
            if let Some(node) = &cluster.node {
                node.is_ready(client, BOUND).await?;
                self.done("node ready");
            }
            Ok::<_, NeverHappened>(())
        };
        let accounts = async {
            cluster.filled(client, "default").await?;
            if cluster.controllers {
                self.done("service accounts there");
            }
            Ok::<_, NeverHappened>(())
        };
        tokio::try_join!(node, accounts)?;
        Ok(())
    }
}

async fn open_node(number: u8, run: &RunDirectory, assets: &Assets) -> Result<Node, Cause> {
    let mut visible = assets.directories();
    visible.push(crate::cargo::workspace().to_owned());
    visible.extend(keeper::binary()?.parent().map(PathBuf::from));
    Ok(Node::open(number, run, visible).await?)
}

/// Kills a node with all that runs on it, and starts the same parts on the same disk.
pub(super) async fn reboot(cluster: &mut Cluster) -> Result<(), Cause> {
    let Some(before) = cluster.node.take() else { return Ok(()) };
    before.crash().await.map_err(Cause::Files)?;
    let node = open_node(cluster.number, &cluster.run, &cluster.assets).await?;
    let client = cluster.admin()?;
    // In the order in which they were started: each when what it depends on is there.
    for part in &mut cluster.parts {
        part.start_below(node.init()).await?;
        match part.name().as_str() {
            "kube-apiserver" => api_server_ready(&client).await?,
            "containerd" => Node::containerd_answers(&cluster.run, BOUND).await?,
            "kubelet" => kubelet_serves(part, &node).await?,
            _ => {}
        }
    }
    let ready = node.is_ready(&client, BOUND);
    tokio::select! {
        ended = first_end(&cluster.parts) => return Err(ended.into()),
        ready = ready => ready?,
    }
    cluster.node = Some(node);
    Ok(())
}

/// A kubelet ends when it finds containerd listening and still taking up the pods from before. Whatever manages the services of a node
/// starts it again.
async fn kubelet_serves(kubelet: &mut Process, node: &Node) -> Result<(), NeverHappened> {
    wait_for("the kubelet to serve", BOUND, async || {
        if let Err(ended) = kubelet.ensure_running() {
            kubelet.start_below(node.init()).await.map_err(|error| error.to_string())?;
            return Err(ended.to_string());
        }
        node.kubelet_listens().await.map_err(|error| error.to_string())
    })
    .await
}

/// The first of these processes to end, which none should.
async fn first_end(parts: &[Process]) -> ProcessEnded {
    let ends = parts.iter().map(|part| {
        Box::pin(async move {
            part.exited().await;
            part.ensure_running()
        })
    });
    match futures::future::select_all(ends).await.0 {
        Err(ended) => ended,
        Ok(()) => std::future::pending().await,
    }
}

async fn client_config(kubeconfig: Value) -> Result<Config, Cause> {
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig).map_err(|error| Cause::Client(Box::new(error)))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| Cause::Client(Box::new(error)))?;
    // The address is on this machine: whoever does not connect soon, however busy it is, will not.
    config.connect_timeout = Some(Duration::from_secs(10));
    // The caller's proxy does not know the addresses of a node.
    config.proxy_url = None;
    Ok(config)
}

/// Waits until the API server has all it needs to answer.
pub(super) async fn api_server_ready(client: &Client) -> Result<(), NeverHappened> {
    wait_for("the API server to be ready", BOUND, async || {
        let request = http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
        client.request_text(request).await.map(drop).map_err(|error| brief(&error.to_string()))
    })
    .await
}

/// What is not ready yet, from the many lines of `/readyz`.
fn brief(text: &str) -> String {
    let missing: Vec<&str> = text.lines().filter(|line| line.starts_with("[-]")).collect();
    if missing.is_empty() { text.chars().take(200).collect() } else { missing.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_ready_is_shown() {
        assert_eq!(
            brief("[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed"),
            "[-]etcd failed: reason withheld"
        );
        assert_eq!(brief("connection refused"), "connection refused");
    }

    #[test]
    fn a_machine_that_lacks_something_is_told_what_to_do() {
        let missing = Requirement {
            missing: "the program runc".into(),
            fix: "`apt-get install -y runc`".into(),
            package: Some("runc"),
        };
        let text = StartError::Requirements(vec![missing]).to_string();
        assert_eq!(text, "this machine cannot run a node. Missing:\n  * the program runc: `apt-get install -y runc`");
    }
}
