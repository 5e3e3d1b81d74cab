//! The ways in which the chart is installed.

use serde_json::Value;
use sikkerkey_e2e::helm::Helm;
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::yaml;

/// One way, with its values.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) values: &'static str,
}

/// Those that differ most.
pub(crate) const VARIANTS: [Variant; 4] = [
    Variant { name: "sqlite", values: "" },
    Variant {
        name: "postgres",
        values: r#"
images:
  registry: registry.example.com/security
  pullSecrets: [registry]
  server: {digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
listenAddress: 0.0.0.0
cluster: {name: production}
namespaces: {equal: {team: shop}, notEqual: {tier: test}, exists: [managed], absent: [sandbox]}
server:
  publicUrl: https://sikkerkey.example.com:8443
  certificateNames: [10.0.0.7]
  replicas: 3
  database: {existingSecret: {name: sikkerkey-postgres}}
  rootKey: {command: /kms/keeper --key sikkerkey}
  trustedProxies: [10.1.0.0/16]
  sharedAddresses: [192.0.2.7/32]
  auditAnchors: ["https://anchor.example.com/sikkerkey"]
  auditRetentionDays: 400
  webhookAllow: [10.2.0.0/16]
  logFormat: json
  extraArgs: [--audit-archive=/archive]
  extraVolumes:
  - {name: kms, emptyDir: {}}
  - {name: archive, persistentVolumeClaim: {claimName: sikkerkey-audit}}
  extraVolumeMounts: [{name: kms, mountPath: /kms}, {name: archive, mountPath: /archive}]
  initContainers:
  - name: kms
    image: registry.example.com/kms:1
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: kms, mountPath: /kms}]
  service: {type: LoadBalancer, port: 8443, externalTrafficPolicy: Local, annotations: {example.com/internal: "true"}}
  podLabels: {team: platform}
  podAnnotations: {example.com/restart: "1"}
  nodeSelector: {kubernetes.io/os: linux}
  priorityClassName: system-cluster-critical
operator:
  replicas: 3
  kubernetesSecretSource: true
  acknowledgeRemovals: 12
  certificateNames: [operator.example.com]
  tolerations: [{key: control, operator: Exists}]
  affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
sidecar:
  statusAddress: "0.0.0.0:9917"
  ofNamespace: {sized: {cpuRequest: 60m, cpuLimit: "", memory: 24Mi}}
tracing: {endpoint: "https://otel.example.com:4318", ratio: 0.05, ca: {configMap: otel-ca}}
networkPolicy:
  apiServerCIDRs: [10.0.0.0/28]
  serverFrom: [{namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}]
  serverEgress: [{to: [{ipBlock: {cidr: 10.2.0.0/16}}], ports: [{port: 8443, protocol: TCP}]}]
monitoring:
  serviceMonitor: {enabled: true, labels: {release: prometheus}}
  podMonitor: {enabled: true}
  rules: {enabled: true, runbookUrl: "https://runbooks.example.com/sikkerkey"}
  dashboard: {enabled: true, annotations: {folder: Security}}
"#,
    },
    Variant {
        name: "cert-manager",
        values: "certManager: {enabled: true, issuerRef: {name: company, kind: ClusterIssuer}}",
    },
    Variant {
        name: "minimal",
        values: "
crds: {install: false}
admissionPolicies: {install: false}
server: {persistence: {existingClaim: data, keep: false}}
operator: {replicas: 1}
networkPolicy: {enabled: false}
podDisruptionBudget: {enabled: false}
tests: {enabled: false}
uninstall: {letGo: false}
",
    },
];

/// Helm, built once.
pub(crate) fn helm() -> Helm {
    Helm::ensure(&Report::silent()).unwrap()
}

impl Variant {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> &'static Self {
        VARIANTS.iter().find(|variant| variant.name == name).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        helm().template(self.values).unwrap()
    }

    pub(crate) fn objects(&self) -> Vec<Value> {
        yaml::documents(&self.text()).unwrap()
    }
}

/// The one object of a kind with a name.
pub(crate) fn one<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = objects.iter().filter(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    let one = found.next().unwrap_or_else(|| panic!("there is no {kind} {name}"));
    assert!(found.next().is_none(), "two of {kind} {name}");
    one
}

/// The pod templates of what runs, with their names, and bare pods.
pub(crate) fn pods(objects: &[Value]) -> Vec<(String, Value)> {
    let pod = |object: &Value| {
        let name = format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        match object["kind"].as_str().unwrap() {
            "Deployment" | "StatefulSet" | "Job" => Some((name, object["spec"]["template"]["spec"].clone())),
            "Pod" => Some((name, object["spec"].clone())),
            _ => None,
        }
    };
    objects.iter().filter_map(pod).collect()
}
