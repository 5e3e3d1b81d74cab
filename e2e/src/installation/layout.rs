//! Who is reached where, and how the programs are started for that.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use super::{NAMESPACE, SIDECAR_IMAGE, UNMANAGED_LABEL};
use crate::cluster::Cluster;
use crate::process::Program;

/// The operator's service account.
pub(super) const OPERATOR: &str = "sikkerkey-operator";

/// Where server and operator listen, and what they log.
pub(super) struct Layout {
    server: SocketAddr,
    operator: SocketAddr,
    log: &'static str,
}

impl Layout {
    /// The usual ports in a node, which has an address of its own; free ones on this machine.
    pub(super) fn new(cluster: &Cluster, log: &'static str) -> io::Result<Self> {
        let address = cluster.address();
        let [server, operator] = match cluster.node() {
            Some(_) => [8443, 9443].map(|port| SocketAddr::new(address, port)),
            None => two_free(address)?,
        };
        Ok(Self { server, operator, log })
    }

    pub(super) fn server_url(&self) -> String {
        format!("https://{}", self.server)
    }

    pub(super) fn operator_url(&self) -> String {
        format!("https://{}", self.operator)
    }

    pub(super) fn operator(&self, program: &Path, kubeconfig: &Path, pod: &Pod) -> Program {
        Program::new("operator", program)
            .args(["run", "--server-url", &self.server_url(), "--attest-url", &self.operator_url()])
            .args(["--listen", &self.operator.to_string(), "--namespace", NAMESPACE])
            .args(["--sidecar-image", SIDECAR_IMAGE, "--serving-san", &self.operator.ip().to_string()])
            .args(["--sidecar-log-level", self.log, "--kubernetes-secret-source"])
            .args(["--namespace-selector", &managed()])
            .env("KUBECONFIG", kubeconfig.display().to_string())
            .env("POD_NAME", pod.metadata.name.clone().unwrap_or_default())
            .env("POD_UID", pod.metadata.uid.clone().unwrap_or_default())
            .env("SIKKERKEY_LOG", self.log)
    }

    pub(super) fn server(&self, program: &Path, directory: &Path, certificate: &(PathBuf, PathBuf)) -> Program {
        let root_key = directory.join("root.key");
        Program::new("server", program)
            .args(["serve", "--data-dir", &directory.join("data").display().to_string()])
            .args(["--listen", &self.server.to_string(), "--public-url", &self.server_url()])
            .args(["--root-key-file", &root_key.display().to_string()])
            .args(["--tls-cert", &certificate.0.display().to_string()])
            .args(["--tls-key", &certificate.1.display().to_string()])
            .env("SIKKERKEY_LOG", self.log)
    }
}

/// Every namespace that does not say otherwise.
pub(super) fn managed() -> String {
    format!("!{UNMANAGED_LABEL}")
}

/// Free now; should another process take one before it is listened on, the start fails and says so.
fn two_free(address: IpAddr) -> io::Result<[SocketAddr; 2]> {
    let (first, second) = (TcpListener::bind((address, 0))?, TcpListener::bind((address, 0))?);
    Ok([first.local_addr()?, second.local_addr()?])
}
