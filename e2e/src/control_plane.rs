//! How the processes of the control plane are started.
//!
//! On the machine itself they listen on loopback and a free port, and need no root. In a node they listen on the node's address. etcd
//! listens on a socket in the run's directory either way: no port to clash, and nobody but the run's user reaches it.

pub(crate) mod etcd;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::assets::{Assets, Component};
use crate::certificates::Pki;
use crate::claim::Kind;
use crate::keeper::protocol::Spawn;
use crate::node::network::{Network, SERVICES};
use crate::port;
use crate::run_directory::RunDirectory;

/// Where the API server of a cluster is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl Place {
    /// On the machine itself.
    pub(crate) fn on_machine() -> std::io::Result<Self> {
        let address = Ipv4Addr::LOCALHOST.into();
        Ok(Self { kind: Kind::ControlPlane, address, port: port::free(address)?.port() })
    }

    /// In a node. Port 443, so that the service address 10.96.0.1:443, which is local to the node, needs no translation.
    pub(crate) fn in_node(number: u8) -> Self {
        Self { kind: Kind::Node, address: Network::of_node(number).node().into(), port: 443 }
    }
}

/// How the control plane of a cluster is started.
pub(crate) struct ControlPlane<'a> {
    pub(crate) assets: &'a Assets,
    pub(crate) run: &'a RunDirectory,
    pub(crate) place: Place,
    /// Whether Kubernetes' own controllers run.
    pub(crate) controllers: bool,
    /// Whether kube-proxy runs.
    pub(crate) services: bool,
    /// Flags for the API server beyond ours.
    pub(crate) api_server_flags: &'a [String],
}

impl ControlPlane<'_> {
    pub(crate) fn etcd(&self) -> Spawn {
        let socket = format!("unix://{}", etcd::socket(self.run).display());
        self.spawn(
            Component::Etcd,
            "etcd",
            vec![
                flag("data-dir", &etcd::data_directory(self.run)),
                // The data is thrown away with the run.
                "--unsafe-no-fsync".into(),
                "--log-level=warn".into(),
                "--name=e2e".into(),
                format!("--listen-client-urls={socket}"),
                // Nobody is told of it: only members of a larger etcd would be.
                "--advertise-client-urls=http://localhost:2379".into(),
                "--listen-peer-urls=http://127.0.0.1:0".into(),
                "--initial-cluster=e2e=http://localhost:2380".into(),
                "--initial-advertise-peer-urls=http://localhost:2380".into(),
            ],
        )
    }

    pub(crate) fn api_server(&self) -> Spawn {
        let pki = Pki::files(self.run);
        let mut args = vec![
            format!("--etcd-servers=unix://{}", etcd::socket(self.run).display()),
            format!("--secure-port={}", self.place.port),
            flag("tls-cert-file", &pki.certificate("apiserver")),
            flag("tls-private-key-file", &pki.key("apiserver")),
            flag("client-ca-file", &pki.certificate("ca")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            flag("service-account-key-file", &pki.service_account_public_key()),
            flag("service-account-signing-key-file", &pki.service_account_key()),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction".into(),
            format!("--service-cluster-ip-range={SERVICES}"),
            "--allow-privileged=true".into(),
            flag("kubelet-client-certificate", &pki.certificate("apiserver-kubelet-client")),
            flag("kubelet-client-key", &pki.key("apiserver-kubelet-client")),
            flag("kubelet-certificate-authority", &pki.certificate("ca")),
            "--kubelet-preferred-address-types=InternalIP".into(),
        ];
        if !self.services {
            // Without kube-proxy it has to find the endpoints of a webhook's service by itself.
            args.push("--enable-aggregator-routing=true".into());
        }
        match self.place.kind {
            // The address of the service `kubernetes` may not be a loopback address, and nobody asks for that service there.
            Kind::ControlPlane => {
                args.extend(["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"].map(str::to_owned));
            }
            Kind::Node => {
                args.extend([
                    "--bind-address=0.0.0.0".to_owned(),
                    format!("--advertise-address={}", self.place.address),
                ]);
            }
        }
        if !self.controllers {
            // Nobody makes the service accounts and root certificates that it demands.
            args.push("--disable-admission-plugins=ServiceAccount".into());
        }
        args.extend_from_slice(self.api_server_flags);
        self.spawn(Component::ApiServer, "kube-apiserver", args)
    }

    pub(crate) fn controller_manager(&self) -> Spawn {
        let pki = Pki::files(self.run);
        let mut args = vec![
            flag("kubeconfig", &self.run.join("kubeconfig/controller-manager")),
            flag("service-account-private-key-file", &pki.service_account_key()),
            flag("root-ca-file", &pki.certificate("ca")),
            "--use-service-account-credentials".into(),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            // With the default rate the first service account comes seconds later than the node.
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
        ];
        if self.place.kind == Kind::ControlPlane {
            // The only node there can be is a made-up one that sends no heartbeats.
            args.push("--controllers=*,-node-lifecycle-controller,-taint-eviction-controller".into());
        }
        self.spawn(Component::ControllerManager, "kube-controller-manager", args)
    }

    pub(crate) fn scheduler(&self) -> Spawn {
        let args = vec![
            flag("kubeconfig", &self.run.join("kubeconfig/scheduler")),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
        ];
        self.spawn(Component::Scheduler, "kube-scheduler", args)
    }

    fn spawn(&self, component: Component, name: &str, args: Vec<String>) -> Spawn {
        let log = self.run.log(name).path().to_owned();
        Spawn { program: self.assets.path(component), args, env: Vec::new(), log }
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}
