//! What an installation consists of beside its processes: objects of the cluster and files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use serde_json::{Value, json};

use super::layout::{self, Layout, OPERATOR};
use super::{BOUND, NAMESPACE};
use crate::cargo;
use crate::cluster::Cluster;
use crate::wait::wait_for;

/// The kinds, the operator's rights and webhooks, and the policies that hold without it.
pub(super) async fn install_objects(cluster: &Cluster, operator: &Path, layout: &Layout) -> Result<()> {
    let kubectl = cluster.kubectl();
    cluster.namespace(NAMESPACE).await?;
    let crds = cargo::workspace().join("crds");
    kubectl.run(["apply", "--server-side", "-f", &crds.display().to_string()]).await?;
    let webhook = layout.operator_url();
    let managed = layout::managed();
    let args = ["manifests", "--namespace", NAMESPACE, "--webhook-url", &webhook, "--kubernetes-secret-source"];
    let args = [&args[..], &["--namespace-selector", &managed]].concat();
    let manifests = printed(operator, &args).await?;
    kubectl.apply(&manifests).await?;
    let policies = printed(operator, &["admission-policies"]).await?;
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

/// A kubeconfig that acts as the operator's service account, with its rights and no others; by a detour, if one is given.
pub(super) fn operator_kubeconfig(
    cluster: &Cluster,
    directory: &Path,
    name: &str,
    detour: Option<&str>,
) -> Result<PathBuf> {
    let admin = std::fs::read_to_string(cluster.kubeconfig())?;
    let mut kubeconfig: Value = serde_yaml::from_str(&admin)?;
    if let Some(detour) = detour {
        let cluster = kubeconfig.pointer_mut("/clusters/0/cluster").context("the kubeconfig has no cluster")?;
        *cluster = json!({"server": detour});
    }
    let user =
        kubeconfig.pointer_mut("/users/0/user").and_then(Value::as_object_mut).context("the kubeconfig has no user")?;
    user.insert("as".into(), json!(format!("system:serviceaccount:{NAMESPACE}:{OPERATOR}")));
    let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{NAMESPACE}"), "system:authenticated"];
    user.insert("as-groups".into(), json!(groups));
    let path = directory.join(format!("{name}.kubeconfig"));
    std::fs::write(&path, serde_json::to_vec(&kubeconfig)?)?;
    Ok(path)
}

/// The pod whose identity the operator's process has: its tokens are bound to it.
pub(super) async fn operator_pod(cluster: &Cluster, name: &str) -> Result<Pod> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": NAMESPACE},
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

/// The core Secret with the server's certificate.
const SERVER_CERTIFICATE: &str = "sikkerkey-server-tls";

/// Waits for the certificate that the operator made for the server, and writes it to files, as the kubelet would.
pub(super) async fn server_certificate(cluster: &Cluster, directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let secrets: Api<Secret> = Api::namespaced(cluster.admin()?, NAMESPACE);
    let secret = wait_for("the operator to make the server's certificate", BOUND, async || {
        secrets.get(SERVER_CERTIFICATE).await
    })
    .await?;
    write_certificate(secret, directory)
}

/// The same for a certificate of another root than `before`, beside which it is trusted.
pub(super) async fn renewed_server_certificate(cluster: &Cluster, directory: &Path, before: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(cluster.admin()?, NAMESPACE);
    let secret = wait_for("the operator to renew the server's certificate", BOUND, async || {
        let secret = secrets.get(SERVER_CERTIFICATE).await.map_err(|error| error.to_string())?;
        let roots = secret.data.as_ref().and_then(|data| data.get("ca.crt"));
        let roots = roots.map(|roots| String::from_utf8_lossy(&roots.0).into_owned()).unwrap_or_default();
        if roots.len() > before.len() && !roots.starts_with(before) { Ok(secret) } else { Err(roots) }
    })
    .await?;
    write_certificate(secret, directory).map(drop)
}

fn write_certificate(secret: Secret, directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let data = secret.data.context("the server's certificate is empty")?;
    let write = |key: &str, name: &str| -> Result<PathBuf> {
        let path = directory.join(name);
        let bytes = data.get(key).with_context(|| format!("the server's certificate has no {key}"))?;
        // Whole or not at all: who waits for it may read it at any time.
        let new = directory.join(format!("{name}.new"));
        std::fs::write(&new, &bytes.0)?;
        std::fs::rename(&new, &path)?;
        Ok(path)
    };
    write("ca.crt", "ca.crt")?;
    Ok((write("tls.crt", "server.crt")?, write("tls.key", "server.key")?))
}

/// The key above all keys, kept away from the data.
pub(super) fn root_key(path: &Path) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key).context("cannot write the root key")
}
