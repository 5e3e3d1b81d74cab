//! A cluster in which an earlier version is installed takes today's definitions, and goes back to the earlier ones.

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::kubectl::Kubectl;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_e2e::yaml;

use crate::BOUND;
use crate::states::kinds;

const FIRST: &str = include_str!("../../../crds/tests/fixtures/definitions/first.yaml");
const V0_1_0: &str = include_str!("../../../crds/tests/fixtures/definitions/v0.1.0.yaml");

/// What the first version took, and a narrower rule of a later one refuses: its owner could not read this file.
const NARROWED: &str = r#"
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: narrowed, namespace: narrowed}
spec:
  workload: {serviceAccountNames: [web]}
  delivery:
    files: [{path: db/password, mode: "0044", secretRefs: [{name: db}]}]
"#;

/// A cluster with the definitions of an earlier version.
async fn with_earlier(definitions: &str) -> Cluster {
    let cluster = Cluster::start(Options::control_plane()).await.unwrap();
    define(&cluster.kubectl(), definitions).await;
    cluster
}

/// Applies definitions as operator/README.md says.
async fn define(kubectl: &Kubectl, definitions: &str) {
    kubectl.run_with_input(["apply", "--server-side", "-f", "-"], definitions).await.unwrap();
    kubectl.run(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.unwrap();
    kubectl.run(["api-resources"]).await.unwrap();
}

/// Today's definitions.
fn today() -> String {
    let names = ["accesspolicies", "grants", "machines", "questions", "secrets"];
    let read = |name| std::fs::read_to_string(cargo::workspace().join(format!("crds/{name}.yaml"))).unwrap();
    names.map(read).join("---\n")
}

/// What teams have written, each in a namespace of its own: the contract's example, an object with every field of every kind, and
/// one in every state, with its status.
fn stored() -> Vec<Value> {
    let within = |objects: Vec<Value>, prefix: &str| {
        objects
            .into_iter()
            .map(move |mut object| {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or("shop").to_owned();
                object["metadata"]["namespace"] = format!("{prefix}{namespace}").into();
                object["metadata"].as_object_mut().unwrap().remove("generation");
                object
            })
            .collect::<Vec<_>>()
    };
    let example: Vec<Value> = yaml::documents(include_str!("../../../crds/tests/fixtures/gitops.yaml")).unwrap();
    let example = example.into_iter().filter(|it| it["apiVersion"] == "sikkerkey.com/v1alpha1").collect();
    let whole: Vec<Value> = yaml::documents(include_str!("../../../crds/tests/fixtures/stored/v0.1.0.yaml")).unwrap();
    let states = kinds().into_iter().flat_map(|kind| kind.states).map(|state| state.object).collect();
    [within(example, ""), within(whole, "whole-"), within(states, "states-")].concat()
}

fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("sikkerkey.com", "v1alpha1", text("/kind")));
    Api::namespaced_with(client.clone(), text("/metadata/namespace"), &resource)
}

/// Puts objects there as an earlier version had them.
async fn put(client: &Client, kubectl: &Kubectl, objects: &[Value]) {
    let mut namespaces: Vec<_> = objects.iter().map(|it| it["metadata"]["namespace"].as_str().unwrap()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in namespaces {
        kubectl.run(["create", "namespace", namespace]).await.unwrap();
    }
    for object in objects {
        let api = api(client, object);
        let mut bare = object.clone();
        let status = bare.as_object_mut().unwrap().remove("status");
        let made = api.create(&PostParams::default(), &serde_json::from_value(bare).unwrap()).await;
        let made = made.unwrap_or_else(|error| panic!("{object}: {error}"));
        if let Some(status) = status {
            let patch = Patch::Merge(json!({"status": status}));
            api.patch_status(&made.name_any(), &PatchParams::default(), &patch).await.unwrap();
        }
    }
}

/// All objects of the four kinds, as the API server serves them, letter by letter.
async fn served(client: &Client) -> Vec<String> {
    let mut all = Vec::new();
    for plural in ["machines", "secrets", "grants", "accesspolicies"] {
        let request = http::Request::get(format!("/apis/sikkerkey.com/v1alpha1/{plural}")).body(Vec::new()).unwrap();
        let list = client.request_text(request).await.unwrap();
        // What follows the items is the state of the whole store.
        let (_, items) = list.split_once("\"items\":").unwrap();
        let (items, _) = items.rsplit_once("],\"kind\":").unwrap();
        all.push(items.to_owned());
    }
    all
}

/// Every object can still be worked with: by whoever labels it, and by the operator.
async fn assert_can_be_written(client: &Client, mark: &str) {
    for kind in ["Machine", "Secret", "Grant", "AccessPolicy"] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("sikkerkey.com", "v1alpha1", kind));
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        for object in all.list(&kube::api::ListParams::default()).await.unwrap() {
            let (name, namespace) = (object.name_any(), object.namespace().unwrap());
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
            let patch = Patch::Merge(json!({"metadata": {"annotations": {"example.com/mark": mark}}}));
            let marked = api.patch(&name, &PatchParams::default(), &patch).await;
            let marked = marked.unwrap_or_else(|error| panic!("{kind} {namespace}/{name}: {error}"));
            let mut status = marked.data["status"].clone();
            status["conditions"][0]["message"] = mark.into();
            let patch = Patch::Merge(json!({"status": status}));
            let written = api.patch_status(&name, &PatchParams::default(), &patch).await;
            let written = written.unwrap_or_else(|error| panic!("{kind} {namespace}/{name}: {error}"));
            assert_eq!(written.data["status"], status, "{kind} {namespace}/{name}");
            for now in [&marked, &written] {
                assert_eq!(now.data["spec"], object.data["spec"], "{kind} {namespace}/{name}");
                assert_eq!(now.metadata.uid, object.metadata.uid);
                assert_eq!(now.metadata.generation, object.metadata.generation);
            }
        }
    }
}

async fn assert_stored_as_one_version(kubectl: &Kubectl) {
    let format = "jsonpath={range .items[*]}{.status.storedVersions}{'\\n'}{end}";
    let versions = kubectl.run(["get", "crd", "-o", format]).await.unwrap();
    assert!(versions.lines().count() >= 4, "{versions}");
    assert!(versions.lines().all(|line| line == r#"["v1alpha1"]"#), "{versions}");
}

/// What is said when the [`NARROWED`] object, under another name, would be created now.
async fn narrowed_is(kubectl: &Kubectl, expected: impl Fn(&str) -> bool) {
    let another = NARROWED.replace("name: narrowed,", "name: another,");
    wait_for("the other definitions to be in force", BOUND, async || {
        let said = match kubectl.run_with_input(["create", "--dry-run=server", "-f", "-"], &another).await {
            Ok(said) => said,
            Err(error) => error.to_string(),
        };
        if expected(&said) { Ok(()) } else { Err(said) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn objects_of_the_first_version_stay_as_they_are_under_todays_definitions_and_under_the_first_again() {
    let cluster = with_earlier(FIRST).await;
    let (kubectl, client) = (cluster.kubectl(), cluster.admin().unwrap());
    let objects = [stored(), yaml::documents(NARROWED).unwrap()].concat();
    put(&client, &kubectl, &objects).await;
    narrowed_is(&kubectl, |said| said.contains("created")).await;

    for (definitions, mark) in [(today(), "today"), (FIRST.to_owned(), "first")] {
        let before = served(&client).await;
        define(&kubectl, &definitions).await;
        match mark {
            "today" => narrowed_is(&kubectl, |said| said.contains("spec.delivery.files[0].mode")).await,
            _ => narrowed_is(&kubectl, |said| said.contains("created")).await,
        }
        assert_eq!(served(&client).await, before, "{mark}");
        assert_can_be_written(&client, mark).await;
        assert_stored_as_one_version(&kubectl).await;
        if mark == "today" {
            // Whoever changes what a narrower rule forbids keeps the rule from then on.
            let worse = NARROWED.replace("0044", "0144");
            let refused = kubectl.run_with_input(["replace", "-f", "-"], &worse).await.unwrap_err().to_string();
            assert!(refused.contains("spec.delivery.files[0].mode"), "{refused}");
            let better = NARROWED.replace("path: db/password", "path: db/first");
            let refused = kubectl.run_with_input(["replace", "-f", "-"], &better).await.unwrap_err().to_string();
            assert!(refused.contains("spec.delivery.files[0].mode"), "{refused}");
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn objects_of_version_0_1_0_stay_as_they_are_under_todays_definitions_and_under_those_again() {
    let cluster = with_earlier(V0_1_0).await;
    let (kubectl, client) = (cluster.kubectl(), cluster.admin().unwrap());
    put(&client, &kubectl, &stored()).await;
    for (definitions, mark) in [(today(), "today"), (V0_1_0.to_owned(), "earlier")] {
        let before = served(&client).await;
        define(&kubectl, &definitions).await;
        assert_eq!(served(&client).await, before, "{mark}");
        assert_can_be_written(&client, mark).await;
        assert_stored_as_one_version(&kubectl).await;
    }
    cluster.stop().await;
}

/// Today's definitions with one more field in the spec and one in the status of each kind.
fn later() -> String {
    let mut all: Vec<Value> = yaml::documents(&today()).unwrap();
    for definition in all.iter_mut().filter(|it| it["spec"]["names"]["kind"] != "Question") {
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        schema["spec"]["properties"]["later"] = json!({"type": "string", "nullable": true, "maxLength": 9});
        schema["status"]["properties"]["later"] = json!({"type": "string", "maxLength": 9});
    }
    all.iter().map(|it| serde_yaml::to_string(it).unwrap()).collect::<Vec<_>>().join("---\n")
}

#[tokio::test]
async fn what_a_later_version_wrote_survives_going_back_to_this_one() {
    let cluster = with_earlier(&later()).await;
    let (kubectl, client) = (cluster.kubectl(), cluster.admin().unwrap());
    let mut objects = stored();
    for object in &mut objects {
        object["spec"]["later"] = "yes".into();
        if let Some(status) = object.get_mut("status") {
            status["later"] = "yes".into();
        }
    }
    put(&client, &kubectl, &objects).await;
    define(&kubectl, &today()).await;
    let last = objects.last().unwrap();
    wait_for("a field of the status to be no longer known", BOUND, async || {
        let now = api(&client, last).get(last["metadata"]["name"].as_str().unwrap()).await.unwrap();
        if now.data["status"].get("later").is_none() { Ok(()) } else { Err("it is served") }
    })
    .await
    .unwrap();
    assert_can_be_written(&client, "back").await;
    for object in &objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        let now = api(&client, object).get(name).await.unwrap();
        assert_eq!(now.data["spec"], object["spec"], "{name}: the field of the spec is kept");
    }
    cluster.stop().await;
}
