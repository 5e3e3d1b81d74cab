//! Today's version takes over what teams wrote while an earlier one was installed, and what a later one wrote.

use serde_json::{Value, json};
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::installation::{Installation, LogLevel};
use sikkerkey_e2e::kubectl::Kubectl;
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_e2e::yaml;

use crate::team::{Team, condition_of};
use crate::{BOUND, PROGRAMS};

const FIRST: &str = include_str!("../../../crds/tests/fixtures/definitions/first.yaml");
const V0_1_0: &str = include_str!("../../../crds/tests/fixtures/definitions/v0.1.0.yaml");

/// Two namespaces of the contract's example, without what needs pods.
const EXAMPLE: &str = include_str!("../../../crds/tests/fixtures/gitops.yaml");

/// A Secret with a field that only a later version knows.
const LATER: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: later, namespace: shop}
spec: {source: {generate: {}}, later: {every: day}}
";

/// What a team had applied to a cluster with these definitions, before anybody looked at it.
async fn applied(definitions: &str) -> Cluster {
    let options = Options::control_plane().with_controllers().report(Report::silent());
    let cluster = Cluster::start(options).await.unwrap();
    let kubectl = cluster.kubectl();
    define(&kubectl, definitions).await;
    let documents: Vec<Value> = yaml::documents(EXAMPLE).unwrap();
    let documents = documents.into_iter().filter(|document| document["kind"] != "Deployment").map(|mut document| {
        // Nobody can seal for a server that has not begun yet.
        if document["metadata"]["name"] == "stripe-key" {
            document["spec"]["source"] = json!({"external": {}});
        }
        serde_yaml::to_string(&document).unwrap()
    });
    let documents: Vec<String> = documents.chain([LATER.to_owned()]).collect();
    kubectl.apply(&documents.join("---\n")).await.unwrap();
    cluster
}

async fn define(kubectl: &Kubectl, definitions: &str) {
    kubectl.run_with_input(["apply", "--server-side", "-f", "-"], definitions).await.unwrap();
    kubectl.run(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.unwrap();
    kubectl.run(["api-resources"]).await.unwrap();
}

/// Of each object: which one it is, how often it was edited, and what its team wrote.
async fn written(kubectl: &Kubectl) -> Vec<Value> {
    let all: Value =
        serde_json::from_str(&kubectl.run(["get", "sikkerkey", "-A", "-o", "json"]).await.unwrap()).unwrap();
    let of = |object: &Value| {
        let metadata = &object["metadata"];
        json!([object["kind"], metadata["name"], metadata["uid"], metadata["generation"], object["spec"]])
    };
    all["items"].as_array().unwrap().iter().map(of).collect()
}

/// Waits until every object but the one of a later version is Ready in its newest generation.
async fn all_ready(kubectl: &Kubectl, count: usize) {
    wait_for(&format!("{count} objects to be Ready"), BOUND, async || {
        let all = kubectl.run(["get", "sikkerkey", "-A", "-o", "json"]).await.map_err(|error| error.to_string())?;
        let all: Value = serde_json::from_str(&all).map_err(|error| error.to_string())?;
        let stands = |object: &Value| {
            let is_newest = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            let ready = condition_of(object, "Ready");
            (
                is_newest && ready.as_ref().is_some_and(|(status, ..)| status == "True"),
                format!("{} {ready:?}", object["metadata"]["name"]),
            )
        };
        let objects = all["items"].as_array().into_iter().flatten().filter(|it| it["metadata"]["name"] != "later");
        let (ready, waiting): (Vec<_>, Vec<_>) = objects.map(stands).partition(|(ready, _)| *ready);
        if ready.len() == count && waiting.is_empty() {
            Ok(())
        } else {
            Err(format!("{} are, not {waiting:?}", ready.len()))
        }
    })
    .await
    .unwrap();
}

fn within<'a>(installation: &'a Installation, namespace: &str) -> Team<'a> {
    Team { installation, client: installation.admin_client().unwrap(), namespace: namespace.to_owned() }
}

/// A person sets the values that only a person can.
async fn set_values(installation: &Installation) {
    for (namespace, name) in [("shop", "stripe-key"), ("payments", "ledger-token")] {
        let team = within(installation, namespace);
        team.condition("Secret", name, "Ready", "False", "ValueMissing").await;
        let id = team.object("Secret", name).await["status"]["secretID"].as_str().unwrap().to_owned();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a value").unwrap();
        let file = file.path().display().to_string();
        installation.admin(&["secret", "set", &id, "--value-file", &file]).await.unwrap();
    }
}

async fn taken_over(definitions: &str) {
    let cluster = applied(definitions).await;
    let kubectl = cluster.kubectl();
    let before = written(&kubectl).await;
    assert_eq!(before.len(), 8);

    // Which applies today's definitions first.
    let programs = tokio::task::spawn_blocking(|| PROGRAMS.clone()).await.unwrap();
    let installation = Installation::start(cluster, programs, LogLevel::Info, &Report::silent()).await.unwrap();
    set_values(&installation).await;
    all_ready(&kubectl, 7).await;
    assert_eq!(written(&kubectl).await, before, "nobody wrote where a team writes");

    let shop = within(&installation, "shop");
    let said = shop.condition("Secret", "later", "Accepted", "False", "UnknownField").await;
    assert!(said.contains("spec.later is not a field"), "{said}");
    let held = installation.admin_json(&["secret", "list"]).await.unwrap().to_string();
    assert!(held.contains("ledger-token") && !held.contains("later\""), "nothing of it is in force: {held}");

    // Back to the earlier definitions, under the objects that today's operator has written; it goes on.
    define(&kubectl, definitions).await;
    assert_eq!(written(&kubectl).await, before);
    installation.operator_ready().await.unwrap();
    let more = json!({"spec": {"secretRefs": [{"name": "db"}]}}).to_string();
    shop.kubectl(&["patch", "skg", "web-reads", "--type=merge", "-p", &more]).await;
    let hours = json!({"spec": {"rateCap": {"perMinute": 500}}}).to_string();
    shop.kubectl(&["patch", "skp", "working-hours", "--type=merge", "-p", &hours]).await;
    for (kind, name) in [("Grant", "web-reads"), ("AccessPolicy", "working-hours")] {
        shop.condition(kind, name, "Programmed", "True", "Programmed").await;
        assert_eq!(shop.object(kind, name).await["status"]["observedGeneration"], 2);
    }
    for object in ["skg/web-reads", "skm/web", "sks/db", "sks/later", "sks/stripe-key", "skp/working-hours"] {
        shop.kubectl(&["delete", object, "--timeout=60s"]).await;
    }
    installation.cluster.stop().await;
}

#[tokio::test]
async fn what_was_written_under_the_first_definitions_is_taken_over_and_can_be_handed_back() {
    Box::pin(taken_over(FIRST)).await;
}

#[tokio::test]
async fn what_was_written_under_the_definitions_of_version_0_1_0_is_taken_over_and_can_be_handed_back() {
    Box::pin(taken_over(V0_1_0)).await;
}
