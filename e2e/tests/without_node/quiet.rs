//! Nothing drifts: the same manifests applied again change nothing, and the operator writes nothing when nothing changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sikkerkey_e2e::installation::{Installation, NAMESPACE};
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_e2e::yaml;

use crate::team::condition_of;
use crate::{BOUND, without_a_node};

/// How a team applies.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    flags: &'static [&'static str],
    again: &'static str,
}

const WAYS: [Way; 2] = [
    Way { name: "client", flags: &[], again: "unchanged" },
    Way { name: "server", flags: &["--server-side", "--field-manager=git"], again: "serverside-applied" },
];

/// The contract's example of two teams, without the pods, whose coming and going changes figures; and those of README.md and crds/README.md,
/// but for the one that changes an earlier one's source.
fn manifests(way: Way) -> String {
    let teams = include_str!("../../../crds/tests/fixtures/gitops.yaml");
    let readme = concat!(include_str!("../../../README.md"), include_str!("../../../crds/README.md"));
    let blocks = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let ours = blocks.filter(|block| block.starts_with("apiVersion: sikkerkey.com/v1alpha1"));
    let ours: Vec<&str> = ours.filter(|block| !block.contains("kubernetesSecret:")).collect();
    assert_eq!(ours.len(), 2, "the documents' examples");
    let readme = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: readme}}\n---\n{}", ours.join("---\n"));
    let documents = |text: &str| {
        let documents: Vec<Value> = yaml::documents(text).unwrap();
        documents.into_iter().filter(|document| document["kind"] != "Deployment").collect::<Vec<_>>()
    };
    let mut all = documents(teams);
    all.extend(documents(&readme.replace("namespace: shop", "namespace: readme")));
    // A window that opens or closes meanwhile is a change.
    for window in all.iter_mut().filter_map(|document| document.pointer_mut("/spec/timeWindow")) {
        *window = json!({"start": "00:00", "end": "24:00"});
    }
    let renamed = all.iter_mut().map(|document| {
        rename(document, way);
        serde_yaml::to_string(document).unwrap()
    });
    renamed.collect::<Vec<_>>().join("---\n")
}

/// Gives each way of applying namespaces of its own.
fn rename(document: &mut Value, way: Way) {
    if document["kind"] == "Namespace" {
        let name = format!("quiet-{}-{}", way.name, document["metadata"]["name"].as_str().unwrap());
        document["metadata"]["name"] = name.into();
    }
    each_namespace(document, &mut |namespace| *namespace = format!("quiet-{}-{namespace}", way.name));
}

fn each_namespace(node: &mut Value, change: &mut impl FnMut(&mut String)) {
    match node {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(namespace) if key == "namespace" => change(namespace),
                    other => each_namespace(other, change),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_namespace(item, change)),
        _ => {}
    }
}

/// How often the operator has compared everything with the server.
fn comparisons(installation: &Installation) -> usize {
    installation.server.log().text().matches("path=\"/v1/ai/kubernetes/inventory\" status=200").count()
}

/// Waits until the operator has compared everything with the server again, and touched what it found to touch.
async fn looked_again(installation: &Installation) {
    let before = comparisons(installation);
    wait_for("comparisons with the server", BOUND, async || match comparisons(installation) - before {
        // The first may have begun before. When the next one begins, the one before it is done.
        0..=2 => Err("not yet"),
        _ => Ok(()),
    })
    .await
    .unwrap();
}

/// What the operator wrote into namespaces with this beginning, as the API server noted it: verb and object, each time.
fn writes(installation: &Installation, beginning: &str) -> Vec<String> {
    let operator = format!("system:serviceaccount:{NAMESPACE}:sikkerkey-operator");
    let log = installation.cluster.run().log("kube-apiserver").text();
    // The last line may be half written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let notes =
        whole.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let by_operator = notes.filter(|note| note["impersonatedUser"]["username"] == operator.as_str());
    let there = by_operator.filter(|note| {
        note["objectRef"]["namespace"].as_str().is_some_and(|namespace| namespace.starts_with(beginning))
    });
    there.map(|note| format!("{} {}", note["verb"], note["requestURI"])).collect()
}

/// Waits until the operator has written all it has to; what it wrote.
async fn settled(installation: &Installation, beginning: &str) -> Vec<String> {
    wait_for("the operator to have looked at every object", BOUND, async || {
        let pending: Vec<_> =
            versions(installation, beginning).await.into_iter().filter(|line| line.ends_with('?')).collect();
        if pending.is_empty() { Ok(()) } else { Err(format!("{pending:#?}")) }
    })
    .await
    .unwrap();
    let mut before = writes(installation, beginning);
    wait_for("the operator to write nothing more", BOUND, async || {
        looked_again(installation).await;
        let now = writes(installation, beginning);
        let new = now[before.len()..].to_vec();
        before = now;
        if new.is_empty() { Ok(()) } else { Err(format!("{new:#?}")) }
    })
    .await
    .unwrap();
    before
}

/// Each of our objects in namespaces with this beginning, with its generation, its version, and the reason of `Ready`, or a
/// question mark while nobody has looked at the generation.
async fn versions(installation: &Installation, beginning: &str) -> BTreeSet<String> {
    let said = installation.cluster.kubectl().run(["get", "sikkerkey", "-A", "-o", "json"]).await.unwrap();
    let list: Value = serde_json::from_str(&said).unwrap();
    let objects = list["items"].as_array().unwrap().iter().filter_map(|object| {
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str().filter(|namespace| namespace.starts_with(beginning))?;
        let generation = metadata["generation"].as_i64().unwrap();
        let ready = condition_of(object, "Ready").map(|(_, reason, _)| reason);
        let is_newest = object["status"]["observedGeneration"] == generation;
        let ready = ready.filter(|_| is_newest).unwrap_or_else(|| "?".to_owned());
        let (name, version) = (metadata["name"].as_str().unwrap(), metadata["resourceVersion"].as_str().unwrap());
        Some(format!("{namespace} {}/{name} {generation} {version} {ready}", object["kind"].as_str().unwrap()))
    });
    objects.collect()
}

#[test]
fn manifests_that_are_applied_again_change_nothing_and_the_operator_writes_nothing() {
    without_a_node("quiet", async |installation| {
        let kubectl = installation.cluster.kubectl();
        let args = |command: &'static str, way: Way| [&[command, "-f", "-"], way.flags].concat();
        for way in WAYS {
            kubectl.run_with_input(args("apply", way), &manifests(way)).await.unwrap();
        }
        let written = settled(installation, "quiet-").await;
        // A finalizer, a status and an Event of each object: what is counted is there.
        assert!(written.len() >= 3 * 22, "{written:#?}");
        let before = versions(installation, "quiet-").await;
        assert_eq!(before.len(), 22, "{before:#?}");
        assert!(before.iter().all(|line| line.split(' ').nth(2) == Some("1")), "nothing writes a spec: {before:#?}");
        for way in WAYS {
            let manifests = manifests(way);
            // Exit code 0 says: no difference.
            assert_eq!(kubectl.run_with_input(args("diff", way), &manifests).await.unwrap(), "");
            let said = kubectl.run_with_input(args("apply", way), &manifests).await.unwrap();
            assert!(said.lines().all(|line| line.ends_with(way.again)), "{said}");
            assert_eq!(kubectl.run_with_input(args("diff", way), &manifests).await.unwrap(), "");
            // As Argo CD compares, whoever has applied: a dry run in its own name.
            let like_argo =
                ["diff", "-f", "-", "--server-side", "--force-conflicts", "--field-manager=argocd-controller"];
            assert_eq!(kubectl.run_with_input(like_argo, &manifests).await.unwrap(), "");
        }
        looked_again(installation).await;
        assert_eq!(versions(installation, "quiet-").await, before);
        let since = writes(installation, "quiet-")[written.len()..].to_vec();
        assert_eq!(since, [""; 0], "the operator wrote although nothing changed");
        // An edit is seen and written about: the silence means something.
        for way in WAYS {
            let edited = manifests(way).replace("length: 40", "length: 41");
            kubectl.run_with_input(args("diff", way), &edited).await.expect_err("a difference");
            let beginning = format!("quiet-{}-", way.name);
            let written = writes(installation, &beginning).len();
            kubectl.run_with_input(args("apply", way), &edited).await.unwrap();
            wait_for("the operator to write about an edit", BOUND, async || {
                if writes(installation, &beginning).len() > written { Ok(()) } else { Err("nothing written") }
            })
            .await
            .unwrap();
        }
    });
}

const CONSUMER: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads, namespace: managers}
spec: {machineRef: {name: web}, secretRefs: [{name: NAME}]}
";

#[test]
fn two_managers_of_one_grant_add_up_and_do_not_fight() {
    without_a_node("two managers", async |installation| {
        let kubectl = installation.cluster.kubectl();
        kubectl.run(["create", "namespace", "managers"]).await.unwrap();
        let apply = async |manager: &str, manifest: &str| {
            let manager = format!("--field-manager={manager}");
            kubectl.run_with_input(["apply", "--server-side", &manager, "-f", "-"], manifest).await
        };
        let (first, second) = (CONSUMER.replace("NAME", "db"), CONSUMER.replace("NAME", "stripe-key"));
        apply("team-a", &first).await.unwrap();
        apply("team-b", &second).await.unwrap();
        let written = settled(installation, "managers").await;
        let state = async || {
            let format = "jsonpath={.metadata.generation} {.metadata.resourceVersion} {.spec.secretRefs[*].name}";
            kubectl.run(["get", "skg/web-reads", "-n", "managers", "-o", format]).await.unwrap()
        };
        let before = state().await;
        assert!(before.starts_with("2 ") && before.ends_with("db stripe-key"), "{before}");
        for _ in 0..2 {
            for (manager, manifest) in [("team-a", &first), ("team-b", &second)] {
                let flag = format!("--field-manager={manager}");
                let diff = ["diff", "--server-side", &flag, "-f", "-"];
                assert_eq!(kubectl.run_with_input(diff, manifest).await.unwrap(), "", "{manager}");
                apply(manager, manifest).await.unwrap();
            }
        }
        looked_again(installation).await;
        assert_eq!(state().await, before);
        assert_eq!(writes(installation, "managers"), written);
        // What both own is changed by neither alone.
        let refused = apply("team-b", &second.replace("machineRef: {name: web}", "machineRef: {name: api}")).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("conflict with \"team-a\"") && refused.contains(".spec.machineRef"), "{refused}");
    });
}
