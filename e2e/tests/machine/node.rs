use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::image::BUSYBOX_IMAGE;
use sikkerkey_e2e::keeper::Exit;
use sikkerkey_e2e::node::Node;
use sikkerkey_e2e::pod;
use sikkerkey_e2e::process::Program;
use sikkerkey_e2e::wait::wait_for;

use super::{BOUND, node_possible};

/// A pod whose native sidecar hands a file to the app through memory, shaped like an injected one.
fn pod_with_sidecar(name: &str) -> Pod {
    let restricted = json!({
        "runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let sidecar = "trap 'exit 0' TERM; cat /token/token > /dev/null && echo from-the-sidecar > /files/greeting; while :; do sleep 1000 & wait $!; done";
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "initContainers": [{
                "name": "sidecar", "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never", "restartPolicy": "Always",
                "command": ["sh", "-c", sidecar], "securityContext": restricted,
                "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "until test -s /files/greeting; do sleep 0.02; done"]}}},
                "volumeMounts": [{"name": "files", "mountPath": "/files"}, {"name": "token", "mountPath": "/token"}],
            }],
            "containers": [{
                "name": "app", "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never",
                "command": ["sh", "-c", "trap 'exit 0' TERM; cat /files/greeting; while :; do sleep 1000 & wait $!; done"],
                "securityContext": restricted,
                "volumeMounts": [{"name": "files", "mountPath": "/files", "readOnly": true}],
            }],
            "volumes": [
                {"name": "files", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "sikkerkey", "path": "token"}}]}},
            ],
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn a_pod_with_a_native_sidecar_runs_and_everything_is_gone_afterwards() {
    if !node_possible("a_pod_with_a_native_sidecar_runs_and_everything_is_gone_afterwards") {
        return;
    }
    let cluster = Cluster::start(Options::node()).await.unwrap();
    let client = cluster.admin().unwrap();
    let node = cluster.node().unwrap().clone();
    cluster.namespace("shop").await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    pods.create(&PostParams::default(), &pod_with_sidecar("web")).await.unwrap();
    let running = pod::ready(&client, "shop", "web", BOUND).await.unwrap();

    // The file is there when the app starts, and the app reads it; by kubectl and by the API.
    let kubectl = cluster.kubectl();
    let shown = kubectl.run(["-n", "shop", "exec", "web", "-c", "app", "--", "cat", "/files/greeting"]).await.unwrap();
    assert_eq!(shown, "from-the-sidecar\n");
    let logged = kubectl.run(["-n", "shop", "logs", "web", "-c", "app"]).await.unwrap();
    assert_eq!(logged, "from-the-sidecar\n");
    let mounts = pod::exec(&client, "shop", "web", "app", &["grep", " /files ", "/proc/mounts"]).await.unwrap();
    assert!(mounts.starts_with("tmpfs /files tmpfs ro"), "{mounts}");
    let refused = pod::exec(&client, "shop", "web", "app", &["touch", "/files/x"]).await.unwrap_err();
    assert!(refused.to_string().contains("Read-only file system"), "{refused}");

    // Pods reach the API server at its service address, other services refuse at once, and this machine reaches pods.
    let connect = ["sh", "-c", "nc -w 5 10.96.0.1 443 < /dev/null && echo connected"];
    assert_eq!(pod::exec(&client, "shop", "web", "app", &connect).await.unwrap(), "connected\n");
    let refused = pod::exec(&client, "shop", "web", "app", &["nc", "-w", "5", "10.96.0.10", "53"]).await.unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    let address = running.status.unwrap().pod_ip.unwrap();
    let listen = ["sh", "-c", "echo hello | nc -l -p 8000 > /dev/null 2>&1 &"];
    pod::exec(&client, "shop", "web", "app", &listen).await.unwrap();
    let connected = wait_for("the pod to be reached", BOUND, async || {
        tokio::net::TcpStream::connect((address.as_str(), 8000)).await.map(drop)
    });
    connected.await.unwrap();

    // A program beside the API server: killed, started again, its log read.
    let program = Program::new("echo", "/bin/busybox").args(["sh", "-c", "echo once; sleep 1000"]).env("A", "b");
    let mut process = cluster.spawn(program).await.unwrap();
    process.log().wait_for_line("once", BOUND).await.unwrap();
    assert_eq!(process.kill().await.unwrap(), Exit::Signal(9));
    assert!(process.ensure_running().unwrap_err().to_string().contains("echo ended with signal 9"));
    process.restart().await.unwrap();
    assert_eq!(process.terminate(BOUND).await.unwrap(), Exit::Signal(15));

    // What is in etcd and in the logs can be searched; the token request below leaves no trace of the token in either.
    let token = cluster.token("shop", "default", Some(&pods.get("web").await.unwrap()), &["sikkerkey"]).await.unwrap();
    let dump = cluster.dump_etcd().await.unwrap();
    assert_eq!(dump.keys_with(b"/token/token"), ["/registry/pods/shop/web"]);
    assert!(dump.keys_with(token.as_bytes()).is_empty());
    assert!(!cluster.etcd_files_with(b"/token/token").unwrap().is_empty());
    assert!(cluster.etcd_files_with(token.as_bytes()).unwrap().is_empty());
    assert!(!cluster.logs_with(b"from-the-sidecar").unwrap().is_empty());

    pods.delete("web", &DeleteParams::default()).await.unwrap();
    pod::gone(&client, "shop", "web", BOUND).await.unwrap();
    cluster.ensure_running().unwrap();
    assert!(!Node::leftovers(node.number()).is_empty(), "a running node is seen");
    let stopped = cluster.stop().await;
    assert_eq!(stopped.leftovers, Vec::<String>::new());
    assert!(stopped.took < Duration::from_secs(20));
}

#[tokio::test]
async fn two_nodes_run_at_once_and_one_outlives_the_other_with_its_pod() {
    if !node_possible("two_nodes_run_at_once_and_one_outlives_the_other_with_its_pod") {
        return;
    }
    let (first, second) = tokio::try_join!(Cluster::start(Options::node()), Cluster::start(Options::node())).unwrap();
    assert_ne!(first.number(), second.number());
    for cluster in [&first, &second] {
        let pods: Api<Pod> = Api::namespaced(cluster.admin().unwrap(), "default");
        pods.create(&PostParams::default(), &pod_with_sidecar("web")).await.unwrap();
    }
    for cluster in [&first, &second] {
        pod::ready(&cluster.admin().unwrap(), "default", "web", BOUND).await.unwrap();
    }
    // Pods still run: a cluster goes without asking them.
    assert_eq!(first.stop().await.leftovers, Vec::<String>::new());
    let client = second.admin().unwrap();
    assert_eq!(
        pod::exec(&client, "default", "web", "app", &["cat", "/files/greeting"]).await.unwrap(),
        "from-the-sidecar\n"
    );
    assert_eq!(second.stop().await.leftovers, Vec::<String>::new());
}
