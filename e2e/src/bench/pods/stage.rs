//! The installation, and pods that were admitted and placed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use super::Programs;
use crate::bench::Bench;
use crate::bench::connection::trusting;
use crate::bench::exposition::Expositions;
use crate::bench::meter::Meter;
use crate::bench::notes::Notes;
use crate::cargo;
use crate::cluster::{Cluster, Options};
use crate::installation::{self, Installation, LogLevel};
use crate::wait::wait_for;

/// Whatever takes longer than this has failed.
pub(super) const BOUND: Duration = Duration::from_mins(5);
/// Where the pods are, whom they run as, and which Machine they name.
pub(super) const NAMESPACE: &str = "fleet";
const NAME: &str = "web";
/// The node that nobody runs.
const NODE: &str = "somewhere";
/// Files of each pod, each of a secret of its own.
pub(super) const SECRETS: usize = 10;
/// Characters of each value.
const VALUE: usize = 200;
/// Requests at a time while pods are made.
const TOGETHER: usize = 32;

/// What is measured, and who looks.
pub(super) struct Stage {
    pub(super) installation: Installation,
    pub(super) client: Client,
    pub(super) expositions: Expositions,
    pub(super) notes: Notes,
    /// Trusts the installation's certificate authority, and nobody else.
    pub(super) tls: TlsConnector,
    pub(super) ca: String,
}

/// A pod that was admitted and placed, with its token.
pub(super) struct Placed {
    pub(super) token: String,
}

impl Stage {
    pub(super) async fn set(bench: &Bench<'_>, programs: &Programs) -> Result<Self> {
        let policy = cargo::workspace().join("e2e/manifests/audit-requests.yaml");
        let options = Options::control_plane()
            .api_server_flag(format!("--audit-policy-file={}", policy.display()))
            .api_server_flag("--audit-log-path=-")
            .report(bench.report.clone());
        let cluster = Cluster::start(options).await?;
        let installed =
            installation::Programs::without_pods(bench.programs.server.to_owned(), programs.operator.clone());
        let installation = Installation::start(cluster, installed, LogLevel::Info, bench.report).await?;
        let client = installation.admin_client()?;
        let log = installation.cluster.run().log("kube-apiserver").path().to_owned();
        let notes = Notes::of(log, format!("system:serviceaccount:{}:sikkerkey-operator", installation::NAMESPACE));
        let ca = std::fs::read_to_string(installation.ca_file())?;
        let (tls, expositions) = (trusting(&ca)?, Expositions::of(&installation)?);
        let stage = Self { installation, client, expositions, notes, tls, ca };
        stage.team().await?;
        Ok(stage)
    }

    /// A Machine with its secrets and all it needs, in force.
    async fn team(&self) -> Result<()> {
        let plain = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        self.create(None, plain("Namespace", NAMESPACE)).await?;
        let node: Node = serde_json::from_value(plain("Node", NODE))?;
        Api::<Node>::all(self.client.clone()).create(&PostParams::default(), &node).await?;
        self.create(Some(NAMESPACE), plain("ServiceAccount", NAME)).await?;
        let own = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        let names: Vec<_> = (0..SECRETS).map(|n| format!("secret-{n}")).collect();
        for name in &names {
            let spec = json!({"source": {"generate": {"length": VALUE}}});
            self.create(Some(NAMESPACE), own("Secret", name, spec)).await?;
        }
        let file = |name: &String| json!({"path": format!("files/{name}"), "secretRefs": [{"name": name}]});
        let files: Vec<_> = names.iter().map(file).collect();
        let machine = json!({"workload": {"serviceAccountNames": [NAME]}, "delivery": {"files": files}});
        self.create(Some(NAMESPACE), own("Machine", NAME, machine)).await?;
        let refs: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        let grant = json!({"machineRef": {"name": NAME}, "secretRefs": refs});
        self.create(Some(NAMESPACE), own("Grant", NAME, grant)).await?;
        for kind in ["Machine", "Grant"] {
            let api = self.dynamic(Some(NAMESPACE), "sikkerkey.com/v1alpha1", kind);
            wait_for(&format!("{kind} {NAME} to be Ready"), BOUND, async || {
                let object = api.get(NAME).await.map_err(|error| error.to_string())?;
                let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
                let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
                match ready {
                    Some(condition) if condition["status"] == "True" => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
        }
        Ok(())
    }

    fn dynamic(&self, namespace: Option<&str>, version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn create(&self, namespace: Option<&str>, object: Value) -> Result<()> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let api = self.dynamic(namespace, &text("apiVersion"), &text("kind"));
        let object: DynamicObject = serde_json::from_value(object)?;
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("cannot make {}", object.name_any()))?;
        Ok(())
    }

    /// Pods that are admitted and placed, each with a token of its own.
    pub(super) async fn pods(&self, round: usize, count: usize) -> Result<Vec<Placed>> {
        let one = |n: usize| async move {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
            let mut object = pod(&format!("web-{round}-{n}"));
            if let Some(spec) = object.spec.as_mut() {
                spec.node_name = Some(NODE.to_owned());
            }
            let pod = pods.create(&PostParams::default(), &object).await.context("cannot make a pod")?;
            anyhow::Ok(Placed { token: self.token(&pod).await? })
        };
        stream::iter(0..count).map(one).buffer_unordered(TOGETHER).try_collect().await
    }

    async fn token(&self, pod: &Pod) -> Result<String> {
        let spec = TokenRequestSpec {
            audiences: vec!["sikkerkey".to_owned()],
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            expiration_seconds: Some(3600),
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), NAMESPACE);
        let answer = accounts.create_token_request(NAME, &PostParams::default(), &request).await?;
        answer.status.map(|status| status.token).context("the API server gave no token")
    }

    pub(super) fn server_address(&self) -> Result<SocketAddr> {
        address(&self.installation.server_url())
    }

    pub(super) fn operator_address(&self) -> Result<SocketAddr> {
        address(&self.installation.operator_url())
    }

    pub(super) fn server(&self) -> Result<Meter> {
        Meter::of(&self.installation.server)
    }

    pub(super) fn operator(&self) -> Result<Meter> {
        Meter::of(&self.installation.operator)
    }
}

/// A pod as its author writes it.
pub(super) fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "web", "sikkerkey.com/machine": NAME}},
        "spec": {
            "serviceAccountName": NAME,
            "automountServiceAccountToken": false,
            "containers": [{"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}],
        },
    }))
    .unwrap_or_default()
}

fn address(url: &str) -> Result<SocketAddr> {
    url.trim_start_matches("https://").parse().with_context(|| format!("{url} is no address"))
}
