//! kube-proxy, which leads the addresses of Services to pods.

use std::fs;
use std::io;

use serde_json::json;

use super::network::Network;
use crate::assets::{Assets, Component};
use crate::keeper::protocol::Spawn;
use crate::run_directory::RunDirectory;

/// Writes its configuration.
pub(crate) fn configure(run: &RunDirectory, number: u8) -> io::Result<()> {
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": run.join("kubeconfig/proxy")},
        "hostnameOverride": super::name(number),
        "clusterCIDR": Network::of_node(number).pods(),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // Settings of the machine that a network namespace may not change.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    fs::write(run.join("proxy.yaml"), configuration.to_string())
}

/// How it is started.
pub(crate) fn spawn(assets: &Assets, run: &RunDirectory) -> Spawn {
    Spawn {
        program: assets.path(Component::KubeProxy),
        args: vec![format!("--config={}", run.join("proxy.yaml").display())],
        env: Vec::new(),
        log: run.log("kube-proxy").path().to_owned(),
    }
}
