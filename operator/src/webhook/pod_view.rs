//! The parts of a pod that injection looks at. The rest of a review, managed fields above all, is skipped, not stored.

#![expect(missing_docs, reason = "the fields of the Kubernetes API")]

use std::collections::BTreeMap;

use serde::Deserialize;

/// A pod as it stands in an admission review.
#[derive(Debug, Deserialize)]
pub struct PodView {
    /// Labels and annotations.
    #[serde(default)]
    pub metadata: Metadata,
    /// The spec.
    pub spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
pub struct Metadata {
    pub labels: Option<BTreeMap<String, String>>,
    pub annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    pub init_containers: Option<Vec<Container>>,
    pub containers: Option<Vec<Container>>,
    pub volumes: Option<Vec<Volume>>,
    pub service_account_name: Option<String>,
    pub security_context: Option<PodSecurityContext>,
    pub share_process_namespace: Option<bool>,
    pub host_network: Option<bool>,
    pub os: Option<Os>,
    pub node_selector: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub struct Os {
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub struct Volume {
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurityContext {
    pub run_as_user: Option<i64>,
    pub fs_group: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub name: String,
    pub restart_policy: Option<String>,
    pub volume_mounts: Option<Vec<VolumeMount>>,
    pub security_context: Option<SecurityContext>,
    pub resources: Option<Resources>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    pub run_as_user: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Resources {
    pub requests: Option<Amounts>,
    pub limits: Option<Amounts>,
}

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    pub name: String,
    pub mount_path: String,
    pub read_only: Option<bool>,
    pub sub_path: Option<String>,
    pub sub_path_expr: Option<String>,
    pub mount_propagation: Option<String>,
}

impl PodView {
    /// The service account the pod runs as.
    pub fn service_account(&self) -> &str {
        self.spec.service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Its init containers.
    pub fn init_containers(&self) -> &[Container] {
        self.spec.init_containers.as_deref().unwrap_or_default()
    }

    /// Its containers.
    pub fn containers(&self) -> &[Container] {
        self.spec.containers.as_deref().unwrap_or_default()
    }

    /// Its volumes.
    pub fn volumes(&self) -> &[Volume] {
        self.spec.volumes.as_deref().unwrap_or_default()
    }

    /// The operating system it asks for, when that is not Linux.
    pub fn foreign_os(&self) -> Option<&str> {
        let field = self.spec.os.as_ref().map(|os| os.name.as_str());
        let selector = self.spec.node_selector.as_ref().and_then(|wanted| wanted.get("kubernetes.io/os"));
        field.or(selector.map(String::as_str)).filter(|os| !os.is_empty() && *os != "linux")
    }
}

impl Container {
    /// Its mounts.
    pub fn mounts(&self) -> &[VolumeMount] {
        self.volume_mounts.as_deref().unwrap_or_default()
    }

    /// Whether it is a native sidecar, for one among the init containers.
    pub fn restarts_always(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

impl VolumeMount {
    /// Whether only a part of the volume is mounted: such a mount never shows a later version of a file.
    pub fn is_part(&self) -> bool {
        let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        given(&self.sub_path) || given(&self.sub_path_expr)
    }
}
