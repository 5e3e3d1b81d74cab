use std::collections::HashMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::pod;
use sikkerkey_e2e::pod_runner::{NODE_NAME, PodRunner, Program};
use sikkerkey_e2e::wait::wait_for;

use super::BOUND;

/// A shell that both the image and this machine have.
fn shell() -> HashMap<String, Program> {
    HashMap::from([("sidecar".to_owned(), Program::new("/bin/sh")), ("app".to_owned(), Program::new("/bin/sh"))])
}

fn sidecar(script: &str, hook: &str) -> serde_json::Value {
    json!({
        "name": "sikkerkey", "image": "sidecar", "restartPolicy": "Always", "command": ["/sikkerkey-sidecar"], "args": ["-c", script],
        "env": [{"name": "FILES", "value": "/files"}, {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "lifecycle": {"postStart": {"exec": {"command": ["/sikkerkey-sidecar", "-c", hook]}}},
        "volumeMounts": [{"name": "files", "mountPath": "/files"}, {"name": "token", "mountPath": "/token"}],
    })
}

fn spec(sidecar: &serde_json::Value, app: &str, policy: &str) -> serde_json::Value {
    json!({
        "restartPolicy": policy, "terminationGracePeriodSeconds": 5, "initContainers": [sidecar],
        "containers": [{
            "name": "app", "image": "app", "command": ["sh"], "args": ["-c", app],
            "volumeMounts": [{"name": "files", "mountPath": "/files", "readOnly": true}],
        }],
        "volumes": [
            {"name": "files", "emptyDir": {"medium": "Memory"}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "sikkerkey", "path": "token"}}]}},
        ],
    })
}

const GOES_ON: &str = "trap 'echo asked to end; exit 0' TERM; cp /token/token $FILES/copy; echo $POD > $FILES/pod; while :; do sleep 0.1; done";
const HOOK: &str = "until test -s /files/pod; do sleep 0.02; done";

#[tokio::test]
async fn without_a_node_sidecar_and_app_run_as_processes_with_a_bound_token() {
    let cluster = Cluster::start(Options::control_plane().with_controllers()).await.unwrap();
    let client = cluster.admin().unwrap();
    let runner = PodRunner::start(&cluster, shell()).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let app = "cat /files/pod; trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let web: Pod = serde_json::from_value(
        json!({"metadata": {"name": "web"}, "spec": spec(&sidecar(GOES_ON, HOOK), app, "Always")}),
    )
    .unwrap();
    pods.create(&PostParams::default(), &web).await.unwrap();
    let web = pod::ready(&client, "default", "web", BOUND).await.unwrap();
    assert_eq!(web.spec.as_ref().unwrap().node_name.as_deref(), Some(NODE_NAME));
    cluster.run().log("pod-default-web-app").wait_for_line("web", BOUND).await.unwrap();

    // The token in the sidecar's volume is one of this pod.
    let copy = std::fs::read_to_string(runner.path(&web, "app", "/files/copy").unwrap()).unwrap();
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": copy, "audiences": ["sikkerkey"]}});
    let request =
        http::Request::post("/apis/authentication.k8s.io/v1/tokenreviews").header("content-type", "application/json");
    let answer: serde_json::Value =
        client.request(request.body(serde_json::to_vec(&review).unwrap()).unwrap()).await.unwrap();
    let extra = &answer["status"]["user"]["extra"];
    assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["web"]), "{answer}");
    assert_eq!(extra["authentication.kubernetes.io/pod-uid"], json!([web.metadata.uid.as_deref().unwrap()]));
    assert_eq!(extra["authentication.kubernetes.io/node-name"], json!([NODE_NAME]));

    let directory = runner.path(&web, "app", "/files").unwrap();
    pods.delete("web", &DeleteParams::default()).await.unwrap();
    pod::gone(&client, "default", "web", BOUND).await.unwrap();
    assert!(!directory.exists());
    assert!(cluster.run().log("pod-default-web-sikkerkey").text().ends_with("asked to end\n"));
    drop(runner);
    assert_eq!(cluster.stop().await.leftovers, Vec::<String>::new());
}

#[tokio::test]
async fn without_a_node_a_job_completes_and_a_failing_hook_keeps_the_app_from_starting() {
    let cluster = Cluster::start(Options::control_plane().with_controllers()).await.unwrap();
    let client = cluster.admin().unwrap();
    let _runner = PodRunner::start(&cluster, shell()).await.unwrap();
    let template = json!({"spec": spec(&sidecar(GOES_ON, HOOK), "cat /files/pod", "Never")});
    let job: Job =
        serde_json::from_value(json!({"metadata": {"name": "once"}, "spec": {"template": template}})).unwrap();
    let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
    jobs.create(&PostParams::default(), &job).await.unwrap();
    wait_for("the job to complete", BOUND, async || {
        let job = jobs.get("once").await.map_err(|error| error.to_string())?;
        let status = job.status.unwrap_or_default();
        if status.succeeded == Some(1) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await
    .unwrap();

    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let broken = sidecar("while :; do sleep 0.1; done", "echo no grant >&2; exit 3");
    let held: Pod =
        serde_json::from_value(json!({"metadata": {"name": "held"}, "spec": spec(&broken, "echo started", "Always")}))
            .unwrap();
    pods.create(&PostParams::default(), &held).await.unwrap();
    let message = wait_for("the hook's failure in the pod's status", BOUND, async || {
        let pod = pods.get("held").await.map_err(|error| error.to_string())?;
        let state = pod::state(&pod);
        if state.contains("PostStartHookError") { Ok(state) } else { Err(state) }
    })
    .await
    .unwrap();
    assert!(message.contains("no grant"), "{message}");
    assert!(cluster.run().log("pod-default-held-app").text().is_empty());
    let all = pods.list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 2, "the job's pod stays until the job is removed");
    assert_eq!(cluster.stop().await.leftovers, Vec::<String>::new());
}
