//! The kubelet.

use std::fs;
use std::io;

use serde_json::json;

use super::cgroup::Cgroup;
use super::{containerd, network};
use crate::assets::{Assets, Component};
use crate::certificates::Pki;
use crate::keeper::protocol::Spawn;
use crate::run_directory::RunDirectory;

/// Where it serves.
pub(crate) const PORT: u16 = 10250;

/// Writes the kubelet's configuration.
pub(crate) fn configure(run: &RunDirectory, number: u8) -> io::Result<()> {
    fs::create_dir_all(run.join("log/pods"))?;
    fs::write(run.join("resolv.conf"), "# Pods of this node have no names to resolve.\n")?;
    let pki = Pki::files(run);
    let configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "port": PORT,
        "containerRuntimeEndpoint": format!("unix://{}", containerd::socket(run).display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": Cgroup::of_node(number).path(),
        "failCgroupV1": false,
        "failSwapOn": false,
        "podLogsDir": run.join("log/pods"),
        "volumePluginDir": run.join("volume-plugins"),
        "resolvConf": run.join("resolv.conf"),
        "clusterDNS": [network::DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "tlsCertFile": pki.certificate("kubelet"),
        "tlsPrivateKeyFile": pki.key("kubelet"),
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": pki.certificate("ca")},
        },
        "authorization": {"mode": "Webhook"},
        // A full disk of a developer must not evict the pods of a test.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": false,
    });
    fs::write(run.join("kubelet.yaml"), configuration.to_string())
}

/// How the kubelet is started.
pub(crate) fn spawn(assets: &Assets, run: &RunDirectory, number: u8) -> Spawn {
    let flag = |name: &str, value: std::path::PathBuf| format!("--{name}={}", value.display());
    Spawn {
        program: assets.path(Component::Kubelet),
        args: vec![
            flag("config", run.join("kubelet.yaml")),
            flag("kubeconfig", run.join("kubeconfig/kubelet")),
            flag("root-dir", run.join("kubelet")),
            format!("--hostname-override={}", super::name(number)),
            format!("--node-ip={}", network::Network::of_node(number).node()),
        ],
        env: Vec::new(),
        log: run.log("kubelet").path().to_owned(),
    }
}
