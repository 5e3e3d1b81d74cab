//! SikkerKey installed on a cluster: server and operator as real processes, the sidecar's image on the node.
//!
//! What a chart would do, in the same order: the kinds, the operator's rights and webhooks, the operator (which makes the
//! certificates), the server (which uses one of them), and a person's word to the server which cluster to trust.

mod layout;
mod objects;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use serde_json::Value;

use self::layout::{Layout, OPERATOR};
use crate::cargo;
use crate::cluster::Cluster;
use crate::control_plane::etcd::search_files;
use crate::fault_proxy::FaultProxy;
use crate::image::{self, BUSYBOX_IMAGE, Image};
use crate::pod_runner::{self, PodRunner};
use crate::process::Process;
use crate::report::Report;
use crate::shipped::{self, Part};
use crate::sidecar::Sidecar;
use crate::wait::wait_for;

/// Where the operator lives.
pub const NAMESPACE: &str = "sikkerkey-system";
/// The sidecar's image.
const SIDECAR_IMAGE: &str = "localhost/sikkerkey-sidecar:e2e";
/// The image of the application in the demo's manifests: a shell and its tools.
const APP_IMAGE: &str = "localhost/sikkerkey-app:e2e";
/// Where files are unless a Machine says otherwise.
const MOUNT: &str = "/run/secrets/sikkerkey";
/// The label of namespaces that the installed operator does not manage.
pub const UNMANAGED_LABEL: &str = "e2e.example/unmanaged";
/// A namespace whose sidecars are larger than elsewhere.
pub const SIZED_NAMESPACE: &str = "sized";
/// What the server calls the cluster.
pub const CLUSTER_NAME: &str = "e2e";
const BOUND: Duration = Duration::from_mins(1);

/// The programs, built.
#[derive(Clone, Debug)]
pub struct Programs {
    server: PathBuf,
    operator: PathBuf,
    sidecar: Option<PathBuf>,
}

impl Programs {
    /// Builds them, with cargo's progress on the terminal. The sidecar as it is shipped: static and small. Blocks.
    pub fn build(report: &Report) -> Result<Self> {
        report.line("building server and operator");
        let workspace = cargo::build_workspace()?;
        let (server, operator) = (workspace.program("sikkerkey-server")?, workspace.program("sikkerkey-operator")?);
        report.line("building the sidecar as it is shipped: static, optimised for size");
        let sidecar = shipped::program(Part::Sidecar)?;
        Ok(Self { server, operator, sidecar: Some(sidecar) })
    }

    /// These.
    pub fn with_sidecar(server: PathBuf, operator: PathBuf, sidecar: PathBuf) -> Self {
        Self { server, operator, sidecar: Some(sidecar) }
    }

    /// These, for an installation in which no pod is run.
    pub fn without_pods(server: PathBuf, operator: PathBuf) -> Self {
        Self { server, operator, sidecar: None }
    }
}

/// How much server, operator and sidecars log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What a person wants to see.
    Info,
    /// Everything, libraries too: a test searches it for what must not be logged.
    Trace,
}

impl LogLevel {
    fn filter(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Trace => "trace",
        }
    }
}

/// What the operator reaches everything through.
#[derive(Debug)]
pub struct Proxies {
    /// In front of the API server.
    pub api_server: FaultProxy,
    /// In front of the server.
    pub server: FaultProxy,
}

/// A running installation.
pub struct Installation {
    /// The cluster it is installed on.
    pub cluster: Cluster,
    /// The server.
    pub server: Process,
    /// The operator.
    pub operator: Process,
    /// The vault that holds the cluster's secrets.
    pub vault: String,
    /// What runs pods where no node does, if pods are run.
    runner: Option<PodRunner>,
    programs: Programs,
    layout: Layout,
    directory: PathBuf,
}

impl Installation {
    /// Installs on a cluster, and answers when a pod could be injected. On a cluster without a node the pod runner runs pods: whoever
    /// starts that says [`pod_runner::NOTICE`].
    pub async fn start(cluster: Cluster, programs: Programs, log: LogLevel, report: &Report) -> Result<Self> {
        let layout = Layout::new(&cluster, log.filter())?;
        Box::pin(Self::install(cluster, programs, report, layout, None)).await
    }

    /// The same, with a collector of traces.
    pub async fn start_traced(
        cluster: Cluster,
        programs: Programs,
        log: LogLevel,
        report: &Report,
        collector: &str,
    ) -> Result<Self> {
        let mut layout = Layout::new(&cluster, log.filter())?;
        layout.traced_by(collector);
        Box::pin(Self::install(cluster, programs, report, layout, None)).await
    }

    /// The same, with an operator that reaches the API server and the server through proxies only.
    pub async fn start_behind_proxies(
        cluster: Cluster,
        programs: Programs,
        log: LogLevel,
        report: &Report,
    ) -> Result<(Self, Proxies)> {
        let mut layout = Layout::new(&cluster, log.filter())?;
        let ca = cluster.run().join("sikkerkey/ca.crt");
        let proxies = Proxies {
            api_server: FaultProxy::to_api_server(cluster.admin()?).await?,
            server: FaultProxy::to_server(&layout.server_url(), ca).await?,
        };
        layout.reached_by(proxies.server.url());
        let installation = Box::pin(Self::install(cluster, programs, report, layout, Some(&proxies))).await?;
        Ok((installation, proxies))
    }

    async fn install(
        cluster: Cluster,
        programs: Programs,
        report: &Report,
        layout: Layout,
        detour: Option<&Proxies>,
    ) -> Result<Self> {
        let directory = cluster.run().join("sikkerkey");
        std::fs::create_dir_all(&directory).context("cannot make a directory for the installation")?;
        let api_server = detour.map(|proxies| proxies.api_server.url());
        let runner = bring_images(&cluster, &programs).await?;
        report.line("installing the kinds, the operator's rights and its webhooks");
        objects::install_objects(&cluster, &programs.operator, &layout).await?;
        let kubeconfig =
            objects::operator_kubeconfig(&cluster, &directory, layout.operator_name(), api_server.as_deref())?;
        let pod = objects::operator_pod(&cluster, layout.operator_name()).await?;
        report.line("starting the operator, which makes the certificates");
        let operator = cluster.spawn(layout.operator(&programs.operator, &kubeconfig, &pod)).await?;
        let certificate = tokio::select! {
            it = objects::server_certificate(&cluster, &directory) => it?,
            _ = operator.exited() => bail!("the operator ended: {}", operator.log().tail()),
        };
        report.line("starting the server");
        objects::root_key(&directory.join("root.key"))?;
        let server = cluster.spawn(layout.server(&programs.server, &directory, &certificate)).await?;
        let mut installation =
            Self { cluster, server, operator, vault: String::new(), runner, programs, layout, directory };
        installation.trust_cluster().await?;
        installation.operator_ready().await?;
        Ok(installation)
    }

    /// One more replica of the operator, which reaches the API server through a proxy of its own. Webhooks go to the first one.
    pub async fn second_operator(&self) -> Result<(Process, FaultProxy)> {
        let api_server = FaultProxy::to_api_server(self.cluster.admin()?).await?;
        let layout = self.layout.of_second_operator()?;
        let name = layout.operator_name();
        let kubeconfig = objects::operator_kubeconfig(&self.cluster, &self.directory, name, Some(&api_server.url()))?;
        let pod = objects::operator_pod(&self.cluster, name).await?;
        let operator = self.cluster.spawn(layout.operator(&self.programs.operator, &kubeconfig, &pod)).await?;
        Ok((operator, api_server))
    }

    /// A client that may do everything.
    pub fn admin_client(&self) -> Result<Client> {
        Ok(self.cluster.admin()?)
    }

    /// The server's data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The files of the server's data directory, the database's log among them, that hold these bytes.
    pub fn data_with(&self, needle: &[u8]) -> std::io::Result<Vec<PathBuf>> {
        search_files(&self.data_directory(), needle)
    }

    /// The server's program.
    pub fn server_program(&self) -> &Path {
        &self.programs.server
    }

    /// The sidecar's program, if pods are run.
    pub fn sidecar_program(&self) -> Option<&Path> {
        self.programs.sidecar.as_deref()
    }

    /// Where the server answers.
    pub fn server_url(&self) -> String {
        self.layout.server_url()
    }

    /// Where the operator answers.
    pub fn operator_url(&self) -> String {
        self.layout.operator_url()
    }

    /// Whether pods are run by a kubelet.
    pub fn has_node(&self) -> bool {
        self.cluster.node().is_some()
    }

    /// Where this machine sees a path of a container, if it is below one of its mounts.
    pub fn path(&self, pod: &Pod, container: &str, path: &str) -> Option<PathBuf> {
        match &self.runner {
            Some(runner) => runner.path(pod, container, path),
            None => Some(self.sidecar(pod)?.path(path)),
        }
    }

    /// Where this machine sees the files that a pod's sidecar writes.
    pub fn volume(&self, pod: &Pod, container: &str) -> Option<PathBuf> {
        self.path(pod, container, MOUNT)
    }

    /// The process of a pod's sidecar. Without a node there may be only one such pod.
    pub fn sidecar(&self, pod: &Pod) -> Option<Sidecar> {
        match &self.runner {
            Some(_) => Sidecar::below(self.cluster.host_keeper().pid()),
            None => Sidecar::in_cgroup_of(pod.metadata.uid.as_deref()?),
        }
    }

    /// The operator's program.
    pub fn operator_program(&self) -> &Path {
        &self.programs.operator
    }

    /// The certificate authority's file.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// `sikkerkey-server admin` with these arguments, as a person runs it beside the server; what it wrote.
    pub async fn admin(&self, args: &[&str]) -> Result<String> {
        let data = self.data_directory();
        let mut command = tokio::process::Command::new(&self.programs.server);
        command.arg("admin").arg("--data-dir").arg(&data).args(args).kill_on_drop(true);
        let output = command.output().await.context("cannot run sikkerkey-server admin")?;
        if !output.status.success() {
            bail!("sikkerkey-server admin {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same, as JSON.
    pub async fn admin_json(&self, args: &[&str]) -> Result<Value> {
        let with_output: Vec<&str> = ["--output", "json"].iter().chain(args).copied().collect();
        let text = self.admin(&with_output).await?;
        serde_json::from_str(&text).with_context(|| format!("admin {} did not answer JSON: {text}", args.join(" ")))
    }

    /// The newest rows of the audit, newest first.
    pub async fn audit(&self, limit: usize) -> Result<Vec<Value>> {
        let answer = self.admin_json(&["audit", "--limit", &limit.to_string()]).await?;
        let rows = answer.as_array().or_else(|| answer.get("rows").and_then(Value::as_array)).cloned();
        rows.context("the audit is not a list")
    }

    /// Waits until the operator can serve admission and attestation.
    pub async fn operator_ready(&self) -> Result<()> {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(self.ca_file())?)?;
        let client = reqwest::Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(5)).build()?;
        let url = format!("{}/readyz", self.operator_url());
        wait_for("the operator to be ready", BOUND, async || {
            self.operator.ensure_running().map_err(|error| error.to_string())?;
            self.server.ensure_running().map_err(|error| error.to_string())?;
            let answer = client.get(&url).send().await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            if status.is_success() { Ok(()) } else { Err(answer.text().await.unwrap_or_else(|_| status.to_string())) }
        })
        .await?;
        Ok(())
    }

    /// Gives the server the certificate that the operator has made for it since the root `before`, as the kubelet would.
    pub async fn renew_server_certificate(&self, before: &str) -> Result<()> {
        objects::renewed_server_certificate(&self.cluster, &self.directory, before).await
    }

    async fn trust_cluster(&mut self) -> Result<()> {
        let data = self.data_directory();
        wait_for("the server's administration socket", BOUND, async || {
            self.server.ensure_running().map_err(|error| error.to_string())?;
            if data.join("admin.sock").exists() { Ok(()) } else { Err("there is none".to_owned()) }
        })
        .await?;
        let created = self.admin_json(&["vault", "create", "--name", "e2e", "--owner", "team@example.com"]).await?;
        let vault = created.get("vaultId").and_then(Value::as_str).context("vault create answered no vaultId")?;
        vault.clone_into(&mut self.vault);
        let client = self.cluster.admin()?;
        let text = |path: &str| http::Request::get(path).body(Vec::new());
        let discovery = client.request_text(text("/.well-known/openid-configuration")?).await?;
        let issuer = serde_json::from_str::<Value>(&discovery)?;
        let issuer = issuer.get("issuer").and_then(Value::as_str).context("the cluster names no issuer")?;
        let keys = self.directory.join("jwks.json");
        std::fs::write(&keys, client.request_text(text("/openid/v1/jwks")?).await?)?;
        let subject = format!("system:serviceaccount:{NAMESPACE}:{OPERATOR}");
        let keys = keys.display().to_string();
        let args = [
            "cluster",
            "trust",
            "--vault",
            &self.vault,
            "--name",
            CLUSTER_NAME,
            "--issuer",
            issuer,
            "--jwks-file",
            &keys,
            "--subject",
            &subject,
        ];
        self.admin(&args).await?;
        Ok(())
    }
}

/// Makes the images known to whatever runs pods; where that is no node, its stand-in.
async fn bring_images(cluster: &Cluster, programs: &Programs) -> Result<Option<PodRunner>> {
    let Some(sidecar) = &programs.sidecar else { return Ok(None) };
    if let Some(node) = cluster.node() {
        let sidecar = Image::of_program(SIDECAR_IMAGE, sidecar).context("cannot make the sidecar's image")?;
        node.import(&sidecar).await?;
        node.import(&Image::busybox_as(APP_IMAGE)?).await?;
        return Ok(None);
    }
    let shell = image::static_busybox().context("no static busybox: `apt-get install -y busybox-static`")?;
    let shell = pod_runner::Program::busybox(shell);
    let sidecar = pod_runner::Program::new(sidecar)
        .default_env("SIKKERKEY_MOUNT", MOUNT)
        .default_env("SIKKERKEY_TOKEN", "/var/run/secrets/sikkerkey.com/token");
    let images = [(SIDECAR_IMAGE, sidecar), (APP_IMAGE, shell.clone()), (BUSYBOX_IMAGE, shell)];
    let images: HashMap<String, pod_runner::Program> =
        images.into_iter().map(|(image, program)| (image.to_owned(), program)).collect();
    Ok(Some(PodRunner::start(cluster, images).await?))
}
