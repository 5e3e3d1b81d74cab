//! A cluster that is taken back to an earlier day, while the server has gone on.

use serde_json::{Value, json};
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::installation::{CLUSTER_NAME, Installation, LogLevel};
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::wait::wait_for;

use crate::scenario::{apply, delete, is_in_force, stands};
use crate::{BOUND, programs};

const NAMESPACE: &str = "shop";

const BEGINNING: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: few}
spec: {timeZone: UTC, rateCap: {perDay: 10}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {policyRef: {name: few}, source: {generate: {length: 40}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: api}
spec: {source: {generate: {}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: old}
spec: {source: {generate: {}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: web}
spec: {workload: {serviceAccountNames: [default]}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads}
spec: {machineRef: {name: web}, secretRefs: [{name: db}]}
";

const THEN: &[&str] = &[
    "AccessPolicy few 1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "Grant web-reads 1 1/1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "Machine web 1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "Secret api 1 v1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "Secret db 1 v1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "Secret old 1 v1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "server: fleet web Approved",
    "server: grant web-reads to web of db",
    "server: policy few {\"rateCap\":{\"countedBy\":\"Machine\",\"perDay\":10},\"timeZone\":\"UTC\"} of db",
    "server: secret api Active v1",
    "server: secret db Active v1",
    "server: secret old Active v1",
];

/// Wider: more reads, more secrets, for more accounts; `old` goes and `late` comes.
const LATER: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: few}
spec: {timeZone: UTC, rateCap: {perDay: 5000}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {length: 50}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: web}
spec: {suspend: true, workload: {serviceAccountNames: [default, other]}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: late}
spec: {source: {generate: {}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads}
spec: {machineRef: {name: web}, secretRefs: [{name: db}, {name: api}, {name: late}]}
";

const GONE_ON: &[&str] = &[
    "server: fleet web Suspended",
    "server: grant web-reads to web of api,db,late",
    "server: policy few {\"rateCap\":{\"countedBy\":\"Machine\",\"perDay\":5000},\"timeZone\":\"UTC\"} of ",
    "server: secret api Active v1",
    "server: secret db Active v1",
    "server: secret late Active v1",
    "server: secret old Retained v1",
];

/// An installation with what stands at the beginning.
async fn begun() -> Installation {
    let report = Report::silent();
    let cluster = Cluster::start(Options::control_plane().with_controllers().report(report.clone())).await.unwrap();
    let installation = Installation::start(cluster, programs().await, LogLevel::Info, &report).await.unwrap();
    let kubectl = installation.cluster.kubectl();
    kubectl.run(["create", "namespace", NAMESPACE]).await.unwrap();
    apply(&kubectl, NAMESPACE, BEGINNING).await;
    stands(&installation, NAMESPACE, THEN).await;
    installation
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_cluster_says_holds_and_its_values_are_found() {
    let mut installation = begun().await;
    let kubectl = installation.cluster.kubectl();
    let backup = installation.cluster.back_up().await.unwrap();

    for restarted in [true, false] {
        apply(&kubectl, NAMESPACE, LATER).await;
        delete(&kubectl, NAMESPACE, &["sks/old"]).await;
        is_in_force(&installation, NAMESPACE, GONE_ON).await;
        if restarted {
            installation.operator.terminate(BOUND).await.unwrap();
        }
        installation.cluster.take_back(&backup).await.unwrap();
        if !restarted {
            // It sees by itself that what it knows is void, and its container is started again.
            tokio::time::timeout(BOUND, installation.operator.exited()).await.unwrap();
            assert!(installation.operator.log().contains(b"the cluster was restored from a backup"));
        }
        installation.operator.restart().await.unwrap();
        // A value is lost to nobody: what came later may come again.
        let now = [THEN, &["server: secret late Retained v1"]].concat();
        stands(&installation, NAMESPACE, &now).await;
    }
    installation.cluster.stop().await;
}

/// Another cluster of the same name, or one whose objects were saved and applied again: nothing in it has the uid it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_was_rebuilt_finds_its_values_once_a_person_has_said_that_it_is_the_same() {
    let mut installation = begun().await;
    let kubectl = installation.cluster.kubectl();
    let before = installation.admin_json(&["secret", "list"]).await.unwrap();

    installation.operator.kill().await.unwrap();
    let objects = kubectl.run(["get", "sikkerkey", "-n", NAMESPACE, "-o", "name"]).await.unwrap();
    kubectl.run(["delete", "namespace", NAMESPACE, "--wait=false"]).await.unwrap();
    for object in objects.lines() {
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        kubectl.run(["patch", "-n", NAMESPACE, object, "--type=merge", "-p", patch]).await.unwrap();
    }
    kubectl.run(["wait", "--for=delete", &format!("namespace/{NAMESPACE}"), "--timeout=60s"]).await.unwrap();
    kubectl.run(["create", "namespace", NAMESPACE]).await.unwrap();
    installation.operator.restart().await.unwrap();
    installation.operator_ready().await.unwrap();
    apply(&kubectl, NAMESPACE, BEGINNING).await;

    // Nothing is inherited, and nothing is removed: so many objects at once are not gone without a person's word.
    let says = "jsonpath={range .items[*]}{.status.conditions[?(@.type=='Accepted')].reason}{'\\n'}{end}";
    wait_for("all objects to wait for a person", BOUND, async || {
        let reasons =
            kubectl.run(["get", "sikkerkey", "-n", NAMESPACE, "-o", says]).await.map_err(|it| it.to_string())?;
        if reasons.lines().count() == 6 && reasons.lines().all(|it| it == "AdoptionRequired") {
            Ok(())
        } else {
            Err(reasons)
        }
    })
    .await
    .unwrap();
    let server: Vec<&str> = THEN.iter().copied().filter(|line| line.starts_with("server: ")).collect();
    is_in_force(&installation, NAMESPACE, &server).await;

    let uid = kubectl.run(["get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.uid}"]).await.unwrap();
    installation.admin(&["adopt", "--cluster", CLUSTER_NAME, "--namespace", NAMESPACE, "--uid", &uid]).await.unwrap();
    stands(&installation, NAMESPACE, THEN).await;
    let after = installation.admin_json(&["secret", "list"]).await.unwrap();
    let ids = |list: &Value| -> Vec<Value> {
        list["secrets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| json!([it["name"], it["secretId"], it["version"]]))
            .collect()
    };
    assert_eq!(ids(&before), ids(&after));
    installation.cluster.stop().await;
}
