//! What goes on while nobody answers the webhooks, whose configurations say that then everything they are asked about fails.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use sikkerkey_e2e::installation::{Installation, NAMESPACE};
use sikkerkey_e2e::wait::wait_for;

use crate::team::container;
use crate::{BOUND, installed};

/// Where nothing may ever wait for the operator.
const SPARED: [&str; 2] = ["kube-system", NAMESPACE];
/// By which the webhooks tell namespaces apart.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// What the API server says of a webhook that does not answer.
const PODS_UNANSWERED: &str = "failed calling webhook \"pods.sikkerkey.com\"";
const OBJECTS_UNANSWERED: &str = "failed calling webhook \"objects.sikkerkey.com\"";

/// Creates a pod; whether it has a sidecar, or the refusal.
async fn create_pod(installation: &Installation, namespace: &str, name: &str, labels: &[&str]) -> Result<bool, String> {
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|label| ((*label).to_owned(), "web".into())).collect();
    let account = if namespace == "shop" { "web" } else { "default" };
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container("app", "sleep 9999")],
        },
    });
    let pods: Api<Pod> = Api::namespaced(installation.admin_client().unwrap(), namespace);
    let made = pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await;
    let made = made.map_err(|error| error.to_string())?;
    pods.delete(name, &DeleteParams::default().grace_period(0)).await.map_err(|error| error.to_string())?;
    Ok(made.spec.unwrap().init_containers.is_some_and(|all| all.iter().any(|container| container.name == "sikkerkey")))
}

/// Applies a Secret (sks) in a dry run; what kubectl said.
async fn try_secret(installation: &Installation, namespace: &str) -> Result<String, String> {
    let secret = json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Secret", "metadata": {"name": "late", "namespace": namespace},
        "spec": {"source": {"external": {}}},
    });
    let args = ["apply", "--dry-run=server", "-f", "-"];
    let said = installation.cluster.kubectl().run_with_input(args, &secret.to_string()).await;
    said.map_err(|error| error.to_string())
}

/// Everybody who must get in gets in, and who is for the operator waits for it.
async fn only_what_is_for_the_operator_waits(installation: &Installation, when: &str) {
    for namespace in SPARED.into_iter().chain(["shop", "default"]) {
        assert_eq!(create_pod(installation, namespace, "plain", &["app"]).await, Ok(false), "{when}: {namespace}");
    }
    for namespace in SPARED {
        try_secret(installation, namespace).await.unwrap_or_else(|said| panic!("{when}: {namespace}: {said}"));
        // By a rule inside the API server, which says the same with the operator there.
        let said = create_pod(installation, namespace, "named", &["sikkerkey.com/machine"]).await.unwrap_err();
        let expected = "It never covers kube-system nor the namespace of the operator: such a pod has to be elsewhere";
        assert!(said.contains("'sikkerkey-pods'") && said.contains(expected), "{when}: {namespace}: {said}");
    }
    let said = create_pod(installation, "shop", "named", &["sikkerkey.com/machine"]).await.unwrap_err();
    assert!(said.contains(PODS_UNANSWERED), "{when}: {said}");
    let said = try_secret(installation, "shop").await.unwrap_err();
    assert!(said.contains(OBJECTS_UNANSWERED), "{when}: {said}");
}

/// Changes or (`None`) removes the label of a namespace that says its name, as far as the API server lets anybody.
async fn relabel(installation: &Installation, namespace: &str, name: Option<&str>) {
    let label = name.map_or_else(|| format!("{NAME_LABEL}-"), |name| format!("{NAME_LABEL}={name}"));
    // Refused or put right at once: both will do.
    let _ = installation.cluster.kubectl().run(["label", "namespace", namespace, &label, "--overwrite"]).await;
    let namespaces: Api<Namespace> = Api::all(installation.admin_client().unwrap());
    let labels = namespaces.get(namespace).await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels[NAME_LABEL], namespace, "{name:?}");
}

#[tokio::test]
async fn only_what_is_for_the_operator_waits_for_it() {
    let mut installation = installed().await;
    let kubectl = installation.cluster.kubectl();
    wait_for("the service accounts that every namespace has", BOUND, async || {
        for namespace in SPARED.into_iter().chain(["default"]) {
            kubectl.run(["get", "serviceaccount", "default", "-n", namespace]).await?;
        }
        Ok::<_, sikkerkey_e2e::kubectl::KubectlError>(())
    })
    .await
    .unwrap();
    installation.operator.kill().await.unwrap();
    only_what_is_for_the_operator_waits(&installation, "the operator is gone").await;

    for namespace in SPARED {
        for name in [Some("shop"), Some("anything"), None] {
            relabel(&installation, namespace, name).await;
        }
    }
    for name in SPARED.map(Some).into_iter().chain([None]) {
        relabel(&installation, "shop", name).await;
    }
    only_what_is_for_the_operator_waits(&installation, "labels were tried").await;

    // Objects can be let go of: deleting asks nobody, nor does the last patch of an object that is being deleted.
    for object in ["skg/web-reads-db", "skm/web", "sks/db", "skp/few"] {
        kubectl.run(["delete", object, "-n", "shop", "--wait=false"]).await.unwrap();
        let deleted = ["get", object, "-n", "shop", "-o", "jsonpath={.metadata.deletionTimestamp}"];
        assert_ne!(kubectl.run(deleted).await.unwrap(), "", "{object}");
        let bare = r#"{"metadata":{"finalizers":null}}"#;
        kubectl.run(["patch", object, "-n", "shop", "--type=merge", "-p", bare]).await.unwrap();
        let left = kubectl.run(["get", object, "-n", "shop", "--ignore-not-found", "-o", "name"]).await.unwrap();
        assert_eq!(left, "", "{object}");
    }

    // And the operator itself needs nobody to come back.
    installation.operator.restart().await.unwrap();
    installation.operator_ready().await.unwrap();
    let machine = "# YAML\n{apiVersion: sikkerkey.com/v1alpha1, kind: Machine, metadata: {name: web, namespace: shop}, \
                   spec: {workload: {serviceAccountNames: [web]}}}";
    kubectl.apply(machine).await.unwrap();
    let injected = wait_for("a pod to be injected", BOUND, async || {
        create_pod(&installation, "shop", "named", &["sikkerkey.com/machine"]).await
    });
    assert!(injected.await.unwrap(), "it has a sidecar");
    for namespace in SPARED {
        assert_eq!(create_pod(&installation, namespace, "plain", &["app"]).await, Ok(false), "{namespace}");
        create_pod(&installation, namespace, "named", &["sikkerkey.com/machine"]).await.unwrap_err();
    }
    installation.cluster.stop().await;
}
