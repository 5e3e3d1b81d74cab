//! What a real API server says to the chart.

use std::path::Path;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::helm::Helm;

use crate::variant::{VARIANTS, helm};

const NAMESPACE: &str = "sikkerkey-system";
/// Of others, of which the chart has objects: group, version, kind, plural.
const FOREIGN: [(&str, &str, &str, &str); 5] = [
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    ("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
    ("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
    ("cert-manager.io", "v1", "Issuer", "issuers"),
    ("cert-manager.io", "v1", "Certificate", "certificates"),
];

/// A cluster with a namespace in which every breach of Pod Security `restricted` is at least a warning.
async fn cluster() -> Cluster {
    let cluster = Cluster::start(Options::control_plane()).await.unwrap();
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
        }},
    });
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definitions = FOREIGN.iter().map(|(group, version, kind, plural)| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {
                "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": open}}],
            },
        })
    });
    // Of the pod of `helm test`, whose own comes before it.
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sikkerkey-test", "namespace": NAMESPACE},
    });
    let objects: Vec<String> = [namespace, account].into_iter().chain(definitions).map(|it| it.to_string()).collect();
    let kubectl = cluster.kubectl();
    kubectl.apply(&objects.join("\n")).await.unwrap();
    kubectl.run(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn every_variant_is_taken_without_a_warning() {
    let cluster = cluster().await;
    let kubectl = cluster.kubectl();
    // Before it is sure that this is asked: a pod that is not restricted is a warning, and an error then.
    let root = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "root", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
        },
    });
    let args = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-"];
    let refused = kubectl.run_with_input(args, &root.to_string()).await.unwrap_err().to_string();
    assert!(refused.contains("would violate PodSecurity"), "{refused}");
    for variant in VARIANTS {
        let taken = kubectl.run_with_input(args, &variant.text()).await;
        let taken = taken.unwrap_or_else(|error| panic!("{}: {error}", variant.name));
        assert!(taken.contains("deployment.apps/sikkerkey-operator serverside-applied"), "{}: {taken}", variant.name);
    }
    assert_eq!(cluster.stop().await.leftovers, Vec::<String>::new());
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}

async fn there(client: &Client, resource: &ApiResource, name: &str) -> Option<Value> {
    let api: Api<DynamicObject> = match resource.kind.as_str() {
        "Deployment" | "PersistentVolumeClaim" => Api::namespaced_with(client.clone(), NAMESPACE, resource),
        _ => Api::all_with(client.clone(), resource),
    };
    api.get_opt(name).await.unwrap().map(|object| serde_json::to_value(object).unwrap())
}

/// The chart as it was a release ago: a kind had a field less.
fn earlier(directory: &Path) -> std::path::PathBuf {
    let chart = directory.join("sikkerkey");
    let copied = std::process::Command::new("cp").arg("-r").arg(Helm::chart()).arg(&chart).status().unwrap();
    assert!(copied.success());
    let path = chart.join("files/crds/grants.yaml");
    let mut definition: Value = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let spec = definition.pointer_mut(SPEC).unwrap().as_object_mut().unwrap();
    assert!(spec.remove("expiresAt").is_some(), "the field that came later");
    std::fs::write(&path, serde_yaml::to_string(&definition).unwrap()).unwrap();
    chart
}

const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_upgraded_with_its_kinds_taken_back_and_removed_without_its_data() {
    let cluster = cluster().await;
    let client = cluster.admin().unwrap();
    let (helm, directory) = (helm(), tempfile::tempdir().unwrap());
    let release = |words: &[&str], chart: Option<&Path>| {
        let chart = chart.map(|chart| chart.display().to_string());
        let args = words.iter().map(|it| (*it).to_owned()).chain(chart);
        let args = args.chain(["--namespace".to_owned(), NAMESPACE.to_owned(), "--no-hooks".to_owned()]);
        helm.run(args.collect::<Vec<_>>(), None, Some(&cluster.kubeconfig())).unwrap()
    };
    let said = release(&["install", "sikkerkey"], Some(&earlier(directory.path())));
    assert!(said.contains("kubectl create secret generic -n sikkerkey-system sikkerkey-root-key"), "{said}");
    let definitions = resource("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions");
    let has_field = async || {
        let definition = there(&client, &definitions, "grants.sikkerkey.com").await.unwrap();
        definition.pointer(SPEC).unwrap().as_object().unwrap().contains_key("expiresAt")
    };
    assert!(!has_field().await);

    // What the operator does.
    let webhooks =
        resource("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &webhooks);
    let authority = json!("Y2VydGlmaWNhdGU=");
    let bundle = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": authority}]);
    let bundle: Patch<DynamicObject> = Patch::Json(serde_json::from_value(bundle).unwrap());
    api.patch("sikkerkey", &PatchParams::default(), &bundle).await.unwrap();
    let bundle_stands = async || {
        let webhooks = there(&client, &webhooks, "sikkerkey").await.unwrap();
        assert_eq!(
            webhooks["webhooks"][0]["clientConfig"]["caBundle"], authority,
            "the operator's field is nobody else's"
        );
    };

    release(&["upgrade", "sikkerkey"], Some(&Helm::chart()));
    assert!(has_field().await, "the kinds are upgraded with the release");
    bundle_stands().await;
    release(&["rollback", "sikkerkey", "1"], None);
    assert!(!has_field().await);
    bundle_stands().await;
    release(&["upgrade", "sikkerkey"], Some(&Helm::chart()));
    release(&["uninstall", "sikkerkey"], None);
    let deployments = resource("apps", "Deployment", "deployments");
    assert_eq!(there(&client, &deployments, "sikkerkey-operator").await, None);
    assert_eq!(there(&client, &webhooks, "sikkerkey").await, None);
    assert!(has_field().await, "what teams wrote stays");
    let claims = resource("", "PersistentVolumeClaim", "persistentvolumeclaims");
    assert!(there(&client, &claims, "sikkerkey-server-data").await.is_some(), "the data stays");

    // And comes again into what stayed.
    release(&["install", "sikkerkey"], Some(&Helm::chart()));
    assert!(there(&client, &deployments, "sikkerkey-operator").await.is_some());
    assert_eq!(cluster.stop().await.leftovers, Vec::<String>::new());
}
