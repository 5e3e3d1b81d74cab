//! A team in a namespace of its own: applies manifests, runs pods, reads files.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;

/// A namespace with a service account `web`.
pub(crate) struct Team<'a> {
    pub(crate) installation: &'a Installation,
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// A Secret, a Machine for service account `web` with one file of it, and a Grant.
pub(crate) const SHOP: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {length: 40}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: web}
spec:
  workload: {serviceAccountNames: [web]}
  delivery:
    files: [{path: db/password, secretRefs: [{name: db}]}]
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads-db}
spec: {machineRef: {name: web}, secretRefs: [{name: db}]}
";

/// Where the file of [`SHOP`] is.
pub(crate) const PASSWORD: &str = "/run/secrets/sikkerkey/db/password";

impl<'a> Team<'a> {
    pub(crate) async fn new(installation: &'a Installation, namespace: &str) -> Self {
        let client = installation.admin_client().unwrap();
        let made = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        });
        let team = Self { installation, client, namespace: namespace.to_owned() };
        team.installation.cluster.kubectl().apply(&made.to_string()).await.unwrap();
        team.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: web}}").await;
        team
    }

    /// Applies manifests into the namespace.
    pub(crate) async fn apply(&self, manifests: &str) {
        self.try_apply(manifests).await.unwrap();
    }

    /// The same, where a refusal is expected; what kubectl said.
    pub(crate) async fn try_apply(&self, manifests: &str) -> Result<String, String> {
        let args = ["apply", "-n", &self.namespace, "-f", "-"];
        // What begins with a brace is read as JSON, and YAML's braces are more than that.
        let manifests = format!("# YAML\n{manifests}");
        self.installation.cluster.kubectl().run_with_input(args, &manifests).await.map_err(|error| error.to_string())
    }

    /// Runs kubectl in the namespace.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> String {
        let all: Vec<&str> = args.iter().chain(&["-n", &self.namespace]).copied().collect();
        self.installation.cluster.kubectl().run(all).await.unwrap()
    }

    /// A pod of service account `web` that assumes Machine `web` and runs a shell command, for `restricted` namespaces.
    pub(crate) fn pod_object(&self, name: &str, command: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"sikkerkey.com/machine": "web"}},
            "spec": self.pod_spec(command),
        })
    }

    /// The spec of such a pod.
    #[expect(clippy::unused_self, reason = "reads as what the team writes")]
    pub(crate) fn pod_spec(&self, command: &str) -> Value {
        json!({
            "serviceAccountName": "web",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 2,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container("app", command)],
        })
    }

    /// Creates a pod, and waits until it is ready.
    pub(crate) async fn run(&self, pod: Value) -> Pod {
        let name = self.create(pod).await.unwrap();
        pod::ready(&self.client, &self.namespace, &name, BOUND).await.unwrap()
    }

    /// Creates a pod; its name, or the API server's refusal.
    pub(crate) async fn create(&self, pod: Value) -> Result<String, String> {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let made = wait_for("a pod to be made or refused", BOUND, async || {
            match self.pods().create(&PostParams::default(), &pod).await {
                // Whoever makes pods asks again, as it says.
                Err(error) if error.to_string().contains("did not answer in time. Try again.") => {
                    Err(error.to_string())
                }
                made => Ok(made),
            }
        });
        made.await.unwrap().map(|pod| pod.metadata.name.unwrap()).map_err(|error| error.to_string())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Deletes a pod, and waits until it is gone.
    pub(crate) async fn delete_pod(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default()).await.unwrap();
        pod::gone(&self.client, &self.namespace, name, BOUND).await.unwrap();
    }

    /// Runs a command in container `app`.
    pub(crate) async fn exec(&self, pod: &str, command: &[&str]) -> Result<String, String> {
        pod::exec(&self.client, &self.namespace, pod, "app", command).await.map_err(|error| error.to_string())
    }

    /// Content of a file in container `app`.
    pub(crate) async fn read(&self, pod: &str, path: &str) -> Result<String, String> {
        self.exec(pod, &["cat", path]).await
    }

    /// Waits until a file in container `app` has some content, or (`None`) is not there.
    pub(crate) async fn file_becomes(&self, pod: &str, path: &str, expected: Option<&str>) {
        wait_for(&format!("{path} in {pod} to be {expected:?}"), BOUND, async || {
            match (self.read(pod, path).await, expected) {
                (Ok(found), Some(expected)) if found == expected => Ok(()),
                (Err(error), None) if error.contains("No such file") => Ok(()),
                (found, _) => Err(format!("{found:?}")),
            }
        })
        .await
        .unwrap();
    }

    /// One of our objects.
    pub(crate) async fn object(&self, kind: &str, name: &str) -> Value {
        let api = self.objects(kind);
        serde_json::to_value(api.get(name).await.unwrap()).unwrap()
    }

    pub(crate) fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("sikkerkey.com", "v1alpha1", kind);
        let plural = match kind.kind.as_str() {
            "AccessPolicy" => "accesspolicies".to_owned(),
            other => format!("{}s", other.to_lowercase()),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::from_gvk_with_plural(&kind, &plural))
    }

    /// Waits until a condition of an object has a status and a reason, for its newest generation; its message.
    pub(crate) async fn condition(
        &self,
        kind: &str,
        name: &str,
        condition: &str,
        status: &str,
        reason: &str,
    ) -> String {
        wait_for(&format!("{kind} {name} to have {condition}={status}/{reason}"), BOUND, async || {
            let object = self.object(kind, name).await;
            let found = condition_of(&object, condition);
            let is_newest = object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
            match found {
                Some((s, r, message)) if s == status && r == reason && is_newest => Ok(message),
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .unwrap()
    }

    /// Waits until an object is Ready.
    pub(crate) async fn ready(&self, kind: &str, name: &str) {
        self.condition(kind, name, "Ready", "True", "Ready").await;
    }

    /// Waits for an Event about one of our Secrets, or about a pod; its text.
    pub(crate) async fn event(&self, name: &str, reason: &str) -> String {
        wait_for(&format!("Event {reason} about {name}"), BOUND, async || {
            let events: Value = serde_json::from_str(&self.kubectl(&["get", "events", "-o", "json"]).await).unwrap();
            let about = events["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|event| event["reason"] == reason && event["involvedObject"]["name"] == name);
            about
                .map(|event| event["message"].as_str().unwrap_or_default().to_owned())
                .ok_or_else(|| events.to_string())
        })
        .await
        .unwrap()
    }

    /// Has the server make another value, as a person asks for it.
    pub(crate) async fn rotate(&self, secret: &str, now: Timestamp) {
        let patch = json!({"spec": {"rotation": {"olderThan": now.to_string()}}}).to_string();
        self.kubectl(&["patch", "sks", secret, "--type=merge", "-p", &patch]).await;
    }

    /// Sets the value of a Secret whose source is `external`, as a person does.
    pub(crate) async fn set(&self, secret: &str, value: &str) {
        let id = wait_for(&format!("the id of Secret {secret}"), BOUND, async || {
            let object = self.object("Secret", secret).await;
            let id = object.pointer("/status/secretID").and_then(Value::as_str).map(str::to_owned);
            id.ok_or_else(|| object["status"].to_string())
        })
        .await
        .unwrap();
        let file = self.installation.cluster.run().join(format!("value-{}-{secret}", self.namespace));
        std::fs::write(&file, value).unwrap();
        let file_name = file.display().to_string();
        self.installation.admin(&["secret", "set", &id, "--value-file", &file_name]).await.unwrap();
        std::fs::remove_file(&file).unwrap();
    }

    /// Waits until a Secret says which version how many of its pods serve.
    pub(crate) async fn served(&self, secret: &str, version: i64, summary: &str) {
        wait_for(&format!("{summary} pods with version {version} of {secret}"), BOUND, async || {
            let status = self.object("Secret", secret).await["status"].clone();
            let is_so = status["version"] == version && status["pods"]["summary"] == summary;
            if is_so { Ok(()) } else { Err(status.to_string()) }
        })
        .await
        .unwrap();
    }

    /// The machines that the server holds for pods of this namespace.
    pub(crate) async fn machines(&self) -> Vec<Value> {
        let answer = self.installation.admin_json(&["machine", "list"]).await.unwrap();
        let all = answer.as_array().or_else(|| answer.get("machines").and_then(Value::as_array)).cloned().unwrap();
        let prefix = format!("{}/", self.namespace);
        all.into_iter()
            .filter(|it| it["kind"] == "ephemeral" && it["name"].as_str().is_some_and(|name| name.starts_with(&prefix)))
            .collect()
    }

    /// Waits until the server holds so many machines for pods of this namespace.
    pub(crate) async fn machine_count_becomes(&self, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} machines in {}", self.namespace), BOUND, async || {
            let machines = self.machines().await;
            if machines.len() == count { Ok(machines) } else { Err(format!("{machines:?}")) }
        })
        .await
        .unwrap()
    }
}

/// Status, reason and message of a condition.
pub(crate) fn condition_of(object: &Value, kind: &str) -> Option<(String, String, String)> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|it| it.get("type").and_then(Value::as_str) == Some(kind))?;
    let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// A container that runs a shell command, for `restricted` namespaces.
pub(crate) fn container(name: &str, command: &str) -> Value {
    json!({
        "name": name,
        "image": sikkerkey_e2e::image::BUSYBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", command],
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
    })
}
