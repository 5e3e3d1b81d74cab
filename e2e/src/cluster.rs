//! One cluster for tests and the demo: started, used, and gone without a trace.

mod start;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::PostParams;
use kube::config::AuthInfo;
use kube::{Api, Client, Config};

pub use self::start::StartError;
use crate::assets::{Assets, Component};
use crate::claim::Kind;
use crate::control_plane::etcd::{self, DumpError, EtcdDump};
use crate::keeper::protocol::Spawn;
use crate::keeper::{Keeper, KeeperError};
use crate::kubectl::Kubectl;
use crate::node::Node;
use crate::node::network::{self, Network};
use crate::process::{Process, ProcessEnded, Program};
use crate::report::Report;
use crate::run_directory::RunDirectory;
use crate::wait::{NeverHappened, wait_for};

/// What kind of cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    kind: Kind,
    controllers: bool,
    services: bool,
    api_server_flags: Vec<String>,
    report: Report,
}

impl Options {
    /// etcd and an API server on this machine. No root needed. Nothing schedules or runs pods.
    pub fn control_plane() -> Self {
        Self::of(Kind::ControlPlane, false)
    }

    /// A whole cluster with a real node that runs pods. Needs what [`Node::requirements`] lists.
    pub fn node() -> Self {
        Self::of(Kind::Node, true)
    }

    fn of(kind: Kind, controllers: bool) -> Self {
        Self { kind, controllers, services: false, api_server_flags: Vec::new(), report: Report::silent() }
    }

    /// Pods of the node reach Services, by their addresses and by their names. Needs what [`requirements_of_services`](crate::node::requirements_of_services) lists.
    #[must_use]
    pub fn with_services(mut self) -> Self {
        self.services = true;
        self
    }

    /// Runs Kubernetes' own controllers as well: service accounts, garbage collection, jobs. A node always has them.
    #[must_use]
    pub fn with_controllers(mut self) -> Self {
        self.controllers = true;
        self
    }

    /// Gives the API server a flag beyond ours, like `--v=4`.
    #[must_use]
    pub fn api_server_flag(mut self, flag: impl Into<String>) -> Self {
        self.api_server_flags.push(flag.into());
        self
    }

    /// Says what is going on.
    #[must_use]
    pub fn report(mut self, report: Report) -> Self {
        self.report = report;
        self
    }
}

/// What ended up on the machine after a cluster was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// What could not be removed, one thing a line.
    pub leftovers: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// A running cluster. Dropping it ends it too, but only [`Cluster::stop`] says what was left.
pub struct Cluster {
    number: u8,
    run: RunDirectory,
    assets: Assets,
    config: Config,
    address: IpAddr,
    parts: Vec<Process>,
    controllers: bool,
    node: Option<Node>,
    host: Keeper,
}

/// A token could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The API server refused.
    #[error("cannot get a token for the service account {account}")]
    Refused {
        /// Namespace and name.
        account: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// Its answer holds none.
    #[error("the API server answered without a token")]
    Empty,
}

/// A node did not come back.
#[derive(Debug, thiserror::Error)]
#[error("the node did not start again")]
pub struct RebootError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// What a cluster knew at some time.
#[derive(Debug)]
pub struct Backup(PathBuf);

/// A cluster could not be kept or taken back.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is what its source says")]
pub enum BackupError {
    #[error(transparent)]
    Process(#[from] KeeperError),
    #[error("cannot copy the files of etcd: {0}")]
    Files(#[from] io::Error),
    #[error(transparent)]
    NotBack(#[from] NeverHappened),
    #[error(transparent)]
    Client(#[from] kube::Error),
}

/// A namespace could not be made usable.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The API server refused.
    #[error("cannot create the namespace {name}")]
    Refused {
        /// Which.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The controllers did not fill it.
    #[error(transparent)]
    NotFilled(#[from] NeverHappened),
}

impl Cluster {
    /// Starts a cluster, and answers when it can be used: with a node, when a pod can run.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        start::start(options).await
    }

    /// The number of this run among those of its kind on this machine.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The directory of this run.
    pub fn run(&self) -> &RunDirectory {
        &self.run
    }

    /// The node, if the cluster has one.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// The address that programs started by [`Cluster::spawn`] listen on and are reached at: by the API server, by this machine and,
    /// in a node, by pods.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The address at which the node sees this machine; without a node, loopback.
    pub fn machine_address(&self) -> IpAddr {
        match &self.node {
            Some(node) => Network::of_node(node.number()).host().into(),
            None => self.address,
        }
    }

    /// Leads this machine to the address of a Service, as if it were outside of the cluster. The way goes with the node.
    pub fn reach_service(&self, address: Ipv4Addr) -> io::Result<()> {
        let Some(node) = &self.node else { return Err(io::Error::other("the cluster has no node")) };
        let gateway = Network::of_node(node.number()).node();
        network::run_batch(&format!("route replace {address}/32 via {gateway}\n"))
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.run.join("kubeconfig/admin")
    }

    /// The configuration of a client that may do everything.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A client that may do everything. Each test makes its own: a client belongs to the runtime in which it was made.
    pub fn admin(&self) -> Result<Client, kube::Error> {
        Client::try_from(self.config.clone())
    }

    /// A client that acts as another user.
    pub fn as_user(&self, user: &str, groups: &[&str]) -> Result<Client, kube::Error> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        Client::try_from(config)
    }

    /// A client that shows a bearer token and nothing else.
    pub fn with_token(&self, token: &str) -> Result<Client, kube::Error> {
        let mut config = self.config.clone();
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        Client::try_from(config)
    }

    /// A token of a service account; with a pod, bound to it, as a projected volume gives it to the pod.
    pub async fn token(
        &self,
        namespace: &str,
        service_account: &str,
        pod: Option<&Pod>,
        audiences: &[&str],
    ) -> Result<String, TokenError> {
        let refused = |error: kube::Error| TokenError::Refused {
            account: format!("{namespace}/{service_account}"),
            source: Box::new(error),
        };
        let bound_object_ref = pod.map(|pod| BoundObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        });
        let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        let spec = TokenRequestSpec { audiences, bound_object_ref, expiration_seconds: Some(600) };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().map_err(refused)?, namespace);
        let answer =
            accounts.create_token_request(service_account, &PostParams::default(), &request).await.map_err(refused)?;
        answer.status.map(|status| status.token).filter(|token| !token.is_empty()).ok_or(TokenError::Empty)
    }

    /// Makes a namespace, and waits until pods can be created in it.
    pub async fn namespace(&self, name: &str) -> Result<(), NamespaceError> {
        let refused = |error: kube::Error| NamespaceError::Refused { name: name.to_owned(), source: Box::new(error) };
        let client = self.admin().map_err(refused)?;
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.map_err(refused)?;
        self.filled(&client, name).await?;
        Ok(())
    }

    /// Waits for what the controllers put into each namespace and each pod needs.
    async fn filled(&self, client: &Client, namespace: &str) -> Result<(), NeverHappened> {
        if !self.controllers {
            return Ok(());
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let what = format!("the default service account of namespace {namespace}");
        wait_for(&what, Duration::from_mins(1), async || {
            accounts.get_metadata("default").await?;
            maps.get_metadata("kube-root-ca.crt").await.map(drop)
        })
        .await
    }

    /// `kubectl` for this cluster.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.assets.path(Component::Kubectl), self.kubeconfig())
    }

    /// Starts a program beside the API server: in the node if there is one, else on this machine. It dies with the cluster.
    pub async fn spawn(&self, program: Program) -> Result<Process, KeeperError> {
        let log = self.run.log(&program.name).path().to_owned();
        let spawn = Spawn { program: program.path, args: program.args, env: program.env, log };
        Process::start(self.keeper(), spawn).await
    }

    fn keeper(&self) -> &Keeper {
        self.node.as_ref().map_or(&self.host, Node::init)
    }

    /// What starts processes on this machine.
    pub(crate) fn host_keeper(&self) -> &Keeper {
        &self.host
    }

    /// The cluster's own processes: etcd, the API server, and so on.
    pub fn parts(&self) -> &[Process] {
        &self.parts
    }

    /// Fails if one of the cluster's own processes is not running.
    pub fn ensure_running(&self) -> Result<(), ProcessEnded> {
        self.parts.iter().try_for_each(Process::ensure_running)
    }

    /// Waits until the cluster was taken down from elsewhere.
    pub async fn gone(&self) {
        self.host.gone().await;
    }

    /// All that etcd holds now.
    pub async fn dump_etcd(&self) -> Result<EtcdDump, DumpError> {
        etcd::dump(&self.run).await
    }

    /// Keeps all that the cluster knows now, for [`Cluster::take_back`]. It is away meanwhile. Only where there is no node.
    pub async fn back_up(&mut self) -> Result<Backup, BackupError> {
        let backup = Backup(self.run.join("etcd.backup"));
        let data = etcd::data_directory(&self.run);
        self.without_api_server(|| copy(&data, &backup.0)).await?;
        Ok(backup)
    }

    /// Takes the cluster back to what it knew then.
    pub async fn take_back(&mut self, backup: &Backup) -> Result<(), BackupError> {
        let data = etcd::data_directory(&self.run);
        self.without_api_server(|| {
            std::fs::remove_dir_all(&data)?;
            copy(&backup.0, &data)
        })
        .await
    }

    async fn without_api_server(&mut self, meanwhile: impl FnOnce() -> io::Result<()>) -> Result<(), BackupError> {
        // The last one depends on the ones before it.
        for part in self.parts.iter().rev() {
            part.kill().await?;
        }
        meanwhile()?;
        for part in &mut self.parts {
            part.restart().await?;
        }
        Ok(start::api_server_ready(&self.admin()?).await?)
    }

    /// Pulls the node's plug, and switches it on again: each process is killed, and what a machine loses with its power is gone. What
    /// is on disk stays. Answers when pods can be scheduled again, whatever those do that were there.
    pub async fn reboot(&mut self) -> Result<(), RebootError> {
        start::reboot(self).await.map_err(|cause| RebootError(Box::new(cause)))
    }

    /// The files of etcd that hold these bytes: also what was overwritten or deleted since the start.
    pub fn etcd_files_with(&self, needle: &[u8]) -> std::io::Result<Vec<PathBuf>> {
        etcd::files_with(&self.run, needle)
    }

    /// The log files, of the cluster's own processes, of programs and of pods, that hold these bytes.
    pub fn logs_with(&self, needle: &[u8]) -> std::io::Result<Vec<PathBuf>> {
        etcd::search_files(&self.run.logs(), needle)
    }

    /// Keeps the logs beyond the end of the cluster, and says where they will be.
    pub fn keep_logs(&self) -> PathBuf {
        self.run.keep_logs()
    }

    /// Ends the cluster and removes all of it.
    pub async fn stop(self) -> Stopped {
        let start = Instant::now();
        let mut leftovers = Vec::new();
        if let Some(node) = &self.node {
            leftovers.extend(node.init().stop().await);
        }
        leftovers.extend(self.host.stop().await);
        Stopped { leftovers, took: start.elapsed() }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A failed test wants them.
            self.run.keep_logs();
        }
        // Processes that are still held by someone hold their keepers too, so this is not left to their drops.
        if let Some(node) = &self.node {
            node.init().end();
        }
        self.host.end();
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Cluster").field("number", &self.number).field("run", &self.run).finish_non_exhaustive()
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
