//! What a GitOps tool does all day: apply the same manifests again, and find nothing to do.

use serde_json::Value;
use sikkerkey_e2e::yaml;

use crate::with_kinds;

const MANIFESTS: &str = include_str!("../../../crds/tests/fixtures/gitops.yaml");

async fn applied_twice_changes_nothing(mode: &[&str], first: &str, second: &str) {
    let cluster = with_kinds().await;
    let kubectl = cluster.kubectl();
    let apply: Vec<&str> = ["apply", "-f", "-"].iter().chain(mode).copied().collect();
    let diff: Vec<&str> = ["diff", "-f", "-"].iter().chain(mode).copied().collect();
    let versions = [
        "get",
        "sikkerkey",
        "-A",
        "-o",
        "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{'\\n'}{end}",
    ];

    let said = kubectl.run_with_input(&apply, MANIFESTS).await.unwrap();
    assert!(!said.is_empty() && said.lines().all(|line| line.ends_with(first)), "{said}");
    // Exit code 0 says: no difference.
    assert_eq!(kubectl.run_with_input(&diff, MANIFESTS).await.unwrap(), "");
    // The first write that comes after its creation stores an object's default status too, whoever writes. That is all it changes.
    let said = kubectl.run_with_input(&apply, MANIFESTS).await.unwrap();
    assert!(said.lines().all(|line| line.ends_with(second)), "{said}");
    assert_eq!(kubectl.run_with_input(&diff, MANIFESTS).await.unwrap(), "");
    let before = kubectl.run(versions).await.unwrap();
    assert_eq!(before.lines().count(), 7, "{before}");
    kubectl.run_with_input(&apply, MANIFESTS).await.unwrap();
    assert_eq!(kubectl.run_with_input(&diff, MANIFESTS).await.unwrap(), "");
    assert_eq!(kubectl.run(versions).await.unwrap(), before, "nothing was written");
    // A change is seen: the empty answers above mean something.
    let changed = MANIFESTS.replace("length: 40", "length: 41");
    kubectl.run_with_input(&diff, &changed).await.expect_err("a difference");
    cluster.stop().await;
}

#[tokio::test]
async fn server_side_apply_of_the_same_manifests_changes_nothing() {
    applied_twice_changes_nothing(&["--server-side"], "serverside-applied", "serverside-applied").await;
}

#[tokio::test]
async fn client_side_apply_of_the_same_manifests_changes_nothing() {
    applied_twice_changes_nothing(&[], "created", "unchanged").await;
}

/// What an earlier version stored, see the kinds' own crate.
const STORED: &str = include_str!("../../../crds/tests/fixtures/stored/v0.1.0.yaml");

#[tokio::test]
async fn objects_of_an_earlier_version_are_taken_and_kept_whole() {
    let cluster = with_kinds().await;
    let kubectl = cluster.kubectl();
    kubectl.run(["create", "namespace", "shop"]).await.unwrap();
    kubectl.run_with_input(["apply", "--server-side", "-f", "-"], STORED).await.unwrap();
    // Its status is another request, as it was when the operator wrote it.
    kubectl.run_with_input(["apply", "--server-side", "--subresource=status", "-f", "-"], STORED).await.unwrap();
    for object in yaml::documents::<Value>(STORED).unwrap() {
        let (kind, name) =
            (object["kind"].as_str().unwrap().to_lowercase(), object["metadata"]["name"].as_str().unwrap());
        let found = kubectl.run(["get", &format!("{kind}.sikkerkey.com/{name}"), "-n", "shop", "-o", "json"]).await;
        let found: Value = serde_json::from_str(&found.unwrap()).unwrap();
        assert_eq!(found["spec"], object["spec"], "{kind} {name}");
        if object.get("status").is_some() {
            assert_eq!(found["status"], object["status"], "{kind} {name}");
        }
    }
    cluster.stop().await;
}
