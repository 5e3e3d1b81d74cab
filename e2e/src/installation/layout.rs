//! Who is reached where, and how the programs are started for that.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use super::{NAMESPACE, SIDECAR_IMAGE, SIZED_NAMESPACE, UNMANAGED_LABEL};
use crate::cluster::Cluster;
use crate::port;
use crate::process::Program;

/// The operator's service account.
pub(super) const OPERATOR: &str = "sikkerkey-operator";
const SECOND_OPERATOR: &str = "sikkerkey-operator-second";

/// Where server and operator listen, and what they log.
pub(super) struct Layout {
    /// Of the operator's pod.
    operator_name: &'static str,
    server: SocketAddr,
    operator: SocketAddr,
    log: &'static str,
    /// Where the operator and its sidecars reach the server, if not directly.
    /// Where sidecars say how they stand.
    status: Option<&'static str>,
    detour: Option<String>,
    /// The collector of traces, if there is one.
    collector: Option<String>,
}

impl Layout {
    /// The usual ports in a node, which has an address of its own; free ones on this machine.
    pub(super) fn new(cluster: &Cluster, log: &'static str) -> io::Result<Self> {
        let address = cluster.address();
        let [server, operator] = match cluster.node() {
            Some(_) => [8443, 9443].map(|port| SocketAddr::new(address, port)),
            None => [port::free(address)?, port::free(address)?],
        };
        // Where pods share this machine's network there is one port for all of them.
        let status = cluster.node().is_some().then_some("0.0.0.0:9917");
        Ok(Self { operator_name: OPERATOR, server, operator, log, status, detour: None, collector: None })
    }

    /// The same with another replica of the operator, which listens elsewhere.
    pub(super) fn of_second_operator(&self) -> io::Result<Self> {
        let operator = port::free(self.operator.ip())?;
        let (detour, collector) = (self.detour.clone(), self.collector.clone());
        Ok(Self { operator_name: SECOND_OPERATOR, operator, detour, collector, ..*self })
    }

    /// Name of the operator's pod.
    pub(super) fn operator_name(&self) -> &'static str {
        self.operator_name
    }

    pub(super) fn server_url(&self) -> String {
        format!("https://{}", self.server)
    }

    /// The operator reaches the server by this address, by which the server knows itself.
    pub(super) fn reached_by(&mut self, url: String) {
        self.detour = Some(url);
    }

    /// Server, operator and sidecars send their traces there.
    pub(super) fn traced_by(&mut self, collector: &str) {
        self.collector = Some(collector.to_owned());
    }

    fn tracing(&self) -> impl Iterator<Item = &str> {
        self.collector.iter().flat_map(|url| ["--otlp-endpoint", url])
    }

    fn public_url(&self) -> String {
        self.detour.clone().unwrap_or_else(|| self.server_url())
    }

    pub(super) fn operator_url(&self) -> String {
        format!("https://{}", self.operator)
    }

    pub(super) fn operator(&self, program: &Path, kubeconfig: &Path, pod: &Pod) -> Program {
        let server = self.public_url();
        Program::new(self.operator_name.trim_start_matches("sikkerkey-"), program)
            .args(["run", "--server-url", &server, "--attest-url", &self.operator_url()])
            .args(["--listen", &self.operator.to_string(), "--namespace", NAMESPACE])
            .args(["--sidecar-image", SIDECAR_IMAGE, "--serving-san", &self.operator.ip().to_string()])
            .args(["--server-san", &self.server.ip().to_string()])
            .args(["--sidecar-log-level", self.log, "--kubernetes-secret-source"])
            .args(["--namespace-selector", &managed()])
            .args(self.status.iter().flat_map(|address| ["--sidecar-status-address", *address]))
            .args(self.tracing())
            .args(["--sidecar-resources-of", &format!("{SIZED_NAMESPACE}=60m,,24Mi")])
            .env("KUBECONFIG", kubeconfig.display().to_string())
            .env("POD_NAME", pod.metadata.name.clone().unwrap_or_default())
            .env("POD_UID", pod.metadata.uid.clone().unwrap_or_default())
            .env("SIKKERKEY_LOG", self.log)
    }

    pub(super) fn server(&self, program: &Path, directory: &Path, certificate: &(PathBuf, PathBuf)) -> Program {
        let root_key = directory.join("root.key");
        Program::new("server", program)
            .args(["serve", "--data-dir", &directory.join("data").display().to_string()])
            .args(["--listen", &self.server.to_string(), "--public-url", &self.public_url()])
            .args(self.tracing())
            .args(["--root-key-file", &root_key.display().to_string()])
            .args(["--tls-cert", &certificate.0.display().to_string()])
            .args(["--tls-key", &certificate.1.display().to_string()])
            .args(["--tls-ca", &directory.join("ca.crt").display().to_string()])
            .env("SIKKERKEY_LOG", self.log)
    }
}

/// Every namespace that does not say otherwise.
pub(super) fn managed() -> String {
    format!("!{UNMANAGED_LABEL}")
}
