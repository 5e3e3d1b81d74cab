//! SikkerKey installed on a cluster: server and operator as real processes, the sidecar's image on the node.
//!
//! What a chart would do, in the same order: the kinds, the operator's rights and webhooks, the operator (which makes the
//! certificates), the server (which uses one of them), and a person's word to the server which cluster to trust.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cargo;
use crate::cluster::Cluster;
use crate::image::Image;
use crate::process::{Process, Program};
use crate::report::Report;
use crate::wait::wait_for;

/// Where the operator lives.
pub const NAMESPACE: &str = "sikkerkey-system";
/// The operator's service account.
const OPERATOR: &str = "sikkerkey-operator";
/// The sidecar's image.
const SIDECAR_IMAGE: &str = "localhost/sikkerkey-sidecar:e2e";
/// What the server calls the cluster.
pub const CLUSTER_NAME: &str = "e2e";
const SERVER_PORT: u16 = 8443;
const OPERATOR_PORT: u16 = 9443;
const BOUND: Duration = Duration::from_mins(1);

/// The three programs, built.
#[derive(Clone, Debug)]
pub struct Programs {
    server: PathBuf,
    operator: PathBuf,
    sidecar: PathBuf,
}

impl Programs {
    /// Builds them, with cargo's progress on the terminal. The sidecar as it is shipped: static and small. Blocks.
    pub fn build(report: &Report) -> Result<Self> {
        report.line("building server and operator");
        let server = cargo::build("sikkerkey-server", "dev")?;
        let operator = cargo::build("sikkerkey-operator", "dev")?;
        report.line("building the sidecar: static, optimised for size");
        let sidecar = cargo::build_static("sikkerkey-sidecar", "sidecar")?;
        Ok(Self { server, operator, sidecar })
    }
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
    programs: Programs,
    directory: PathBuf,
}

impl Installation {
    /// Installs on a cluster, and answers when a pod could be injected.
    pub async fn start(cluster: Cluster, programs: Programs, report: &Report) -> Result<Self> {
        let directory = cluster.run().join("sikkerkey");
        std::fs::create_dir_all(&directory).context("cannot make a directory for the installation")?;
        if let Some(node) = cluster.node() {
            let image =
                Image::of_program(SIDECAR_IMAGE, &programs.sidecar).context("cannot make the sidecar's image")?;
            node.import(&image).await?;
        }
        let layout = Layout::new(&cluster);
        report.line("installing the kinds, the operator's rights and its webhooks");
        install_objects(&cluster, &programs, &layout).await?;
        let kubeconfig = operator_kubeconfig(&cluster, &directory)?;
        let pod = operator_pod(&cluster).await?;
        report.line("starting the operator, which makes the certificates");
        let operator = cluster.spawn(operator_program(&programs, &layout, &kubeconfig, &pod)).await?;
        let certificate = tokio::select! {
            it = server_certificate(&cluster, &directory) => it?,
            _ = operator.exited() => bail!("the operator ended: {}", operator.log().tail()),
        };
        report.line("starting the server");
        root_key(&directory.join("root.key"))?;
        let server = cluster.spawn(server_program(&programs, &layout, &directory, &certificate)).await?;
        let mut installation = Self { cluster, server, operator, vault: String::new(), programs, directory };
        installation.trust_cluster().await?;
        installation.wait_until_ready(&layout).await?;
        Ok(installation)
    }

    /// A client that may do everything.
    pub fn admin_client(&self) -> Result<Client> {
        Ok(self.cluster.admin()?)
    }

    /// The server's data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The server's program.
    pub fn server_program(&self) -> &Path {
        &self.programs.server
    }

    /// Where the server answers.
    pub fn server_url(&self) -> String {
        Layout::new(&self.cluster).server_url()
    }

    /// Where the operator answers.
    pub fn operator_url(&self) -> String {
        Layout::new(&self.cluster).operator_url()
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
        self.wait_until_ready(&Layout::new(&self.cluster)).await
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

    async fn wait_until_ready(&self, layout: &Layout) -> Result<()> {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(self.ca_file())?)?;
        let client = reqwest::Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(5)).build()?;
        let url = format!("{}/readyz", layout.operator_url());
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
}

/// Who is reached where.
struct Layout {
    address: String,
}

impl Layout {
    fn new(cluster: &Cluster) -> Self {
        Self { address: cluster.address().to_string() }
    }

    fn server_url(&self) -> String {
        format!("https://{}:{SERVER_PORT}", self.address)
    }

    fn operator_url(&self) -> String {
        format!("https://{}:{OPERATOR_PORT}", self.address)
    }
}

async fn install_objects(cluster: &Cluster, programs: &Programs, layout: &Layout) -> Result<()> {
    let kubectl = cluster.kubectl();
    cluster.namespace(NAMESPACE).await?;
    let crds = cargo::workspace().join("crds");
    kubectl.run(["apply", "--server-side", "-f", &crds.display().to_string()]).await?;
    let webhook = layout.operator_url();
    let manifests =
        printed(&programs.operator, &["manifests", "--namespace", NAMESPACE, "--webhook-url", &webhook]).await?;
    kubectl.apply(&manifests).await?;
    let policies = printed(&programs.operator, &["admission-policies"]).await?;
    kubectl.apply(&policies).await?;
    kubectl.run(["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]).await?;
    Ok(())
}

async fn printed(program: &Path, args: &[&str]) -> Result<String> {
    let output = tokio::process::Command::new(program).args(args).output().await?;
    if !output.status.success() {
        bail!("{} {}: {}", program.display(), args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A kubeconfig that acts as the operator's service account, with its rights and no others.
fn operator_kubeconfig(cluster: &Cluster, directory: &Path) -> Result<PathBuf> {
    let admin = std::fs::read_to_string(cluster.kubeconfig())?;
    let mut kubeconfig: Value = serde_yaml::from_str(&admin)?;
    let user =
        kubeconfig.pointer_mut("/users/0/user").and_then(Value::as_object_mut).context("the kubeconfig has no user")?;
    user.insert("as".into(), json!(format!("system:serviceaccount:{NAMESPACE}:{OPERATOR}")));
    let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{NAMESPACE}"), "system:authenticated"];
    user.insert("as-groups".into(), json!(groups));
    let path = directory.join("operator.kubeconfig");
    std::fs::write(&path, serde_json::to_vec(&kubeconfig)?)?;
    Ok(path)
}

/// The pod whose identity the operator's process has: its tokens are bound to it.
async fn operator_pod(cluster: &Cluster) -> Result<Pod> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
        "spec": {
            "serviceAccountName": OPERATOR,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "operator", "image": crate::image::BUSYBOX_IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "2147483647"]}],
        },
    }))?;
    let pods: Api<Pod> = Api::namespaced(cluster.admin()?, NAMESPACE);
    Ok(pods.create(&kube::api::PostParams::default(), &pod).await?)
}

fn operator_program(programs: &Programs, layout: &Layout, kubeconfig: &Path, pod: &Pod) -> Program {
    Program::new("operator", &programs.operator)
        .args(["run", "--server-url", &layout.server_url(), "--attest-url", &layout.operator_url()])
        .args(["--listen", &format!("{}:{OPERATOR_PORT}", layout.address), "--namespace", NAMESPACE])
        .args(["--sidecar-image", SIDECAR_IMAGE, "--serving-san", &layout.address])
        .env("KUBECONFIG", kubeconfig.display().to_string())
        .env("POD_NAME", pod.metadata.name.clone().unwrap_or_default())
        .env("POD_UID", pod.metadata.uid.clone().unwrap_or_default())
        .env("SIKKERKEY_LOG", "info,sikkerkey_operator=trace")
}

/// Waits for the certificate that the operator made for the server, and writes it to files, as the kubelet would.
async fn server_certificate(cluster: &Cluster, directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let secrets: Api<Secret> = Api::namespaced(cluster.admin()?, NAMESPACE);
    let secret = wait_for("the operator to make the server's certificate", BOUND, async || {
        secrets.get("sikkerkey-server-tls").await
    })
    .await?;
    let data = secret.data.context("the server's certificate is empty")?;
    let write = |key: &str, name: &str| -> Result<PathBuf> {
        let path = directory.join(name);
        let bytes = data.get(key).with_context(|| format!("the server's certificate has no {key}"))?;
        std::fs::write(&path, &bytes.0)?;
        Ok(path)
    };
    write("ca.crt", "ca.crt")?;
    Ok((write("tls.crt", "server.crt")?, write("tls.key", "server.key")?))
}

/// The key above all keys, kept away from the data.
fn root_key(path: &Path) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key).context("cannot write the root key")
}

fn server_program(programs: &Programs, layout: &Layout, directory: &Path, certificate: &(PathBuf, PathBuf)) -> Program {
    let root_key = directory.join("root.key");
    Program::new("server", &programs.server)
        .args(["serve", "--data-dir", &directory.join("data").display().to_string()])
        .args(["--listen", &format!("{}:{SERVER_PORT}", layout.address), "--public-url", &layout.server_url()])
        .args(["--root-key-file", &root_key.display().to_string()])
        .args(["--tls-cert", &certificate.0.display().to_string(), "--tls-key", &certificate.1.display().to_string()])
        .env("SIKKERKEY_LOG", "info,sikkerkey_server=trace")
}
