//! The sample that keeps `spec.policyRef` to a group.

use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use sikkerkey_crds::secret::Secret;
use sikkerkey_e2e::wait::wait_for;

use crate::{BOUND, with_kinds};

const OWNERS: &str = "sikkerkey-policy-owners";
const SAID: &str = "only the group sikkerkey-policy-owners may change it, or delete a Secret that has one";

async fn patch(client: &Client, patch: Value) -> Result<(), String> {
    let api: Api<Secret> = Api::namespaced(client.clone(), "default");
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    said(api.patch("db", &dry_run, &Patch::Merge(patch)).await.map(drop))
}

async fn delete(client: &Client, name: &str) -> Result<(), String> {
    let api: Api<Secret> = Api::namespaced(client.clone(), "default");
    said(api.delete(name, &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.map(drop))
}

fn said(result: Result<(), kube::Error>) -> Result<(), String> {
    match result {
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        other => {
            other.unwrap();
            Ok(())
        }
    }
}

#[tokio::test]
async fn only_the_group_takes_a_policy_from_a_secret() {
    let cluster = with_kinds().await;
    let kubectl = cluster.kubectl();
    kubectl.apply(include_str!("../../../charts/gitops/policies/policyref-owners.yaml")).await.unwrap();
    let secret = |name: &str, more: Value| {
        let mut spec = json!({"source": {"external": {}}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": "Secret", "metadata": {"name": name}, "spec": spec})
    };
    kubectl.apply(&secret("db", json!({"policyRef": {"name": "hours"}})).to_string()).await.unwrap();
    kubectl.apply(&secret("free", json!({})).to_string()).await.unwrap();
    // A right to everything is not the group's: `system:masters` passes every role.
    let anybody = cluster.as_user("dev", &["system:masters"]).unwrap();
    let owner = cluster.as_user("ada", &["system:masters", OWNERS]).unwrap();
    let taken = json!({"spec": {"policyRef": null}});
    let other = json!({"spec": {"policyRef": {"name": "none"}}});
    // The API server puts a policy into force some moments after it stored it.
    wait_for("the policy in force", BOUND, async || match patch(&anybody, taken.clone()).await {
        Err(said) if said.contains(SAID) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    let refusal = patch(&anybody, other.clone()).await.unwrap_err();
    assert!(refusal.contains(&format!("spec.policyRef of Secret db is hours: {SAID}")), "{refusal}");
    let refusal = delete(&anybody, "db").await.unwrap_err();
    assert!(refusal.contains(SAID), "{refusal}");
    delete(&anybody, "free").await.unwrap();
    patch(&anybody, json!({"spec": {"deletionPolicy": "Retain"}})).await.unwrap();
    patch(&anybody, json!({"metadata": {"finalizers": ["example.com/kept"]}})).await.unwrap();
    for change in [taken, other] {
        patch(&owner, change).await.unwrap();
    }
    delete(&owner, "db").await.unwrap();
    let namespaces =
        cluster.as_user("system:serviceaccount:kube-system:namespace-controller", &["system:masters"]).unwrap();
    delete(&namespaces, "db").await.unwrap();
    cluster.stop().await;
}
