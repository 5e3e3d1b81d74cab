//! What is refused, and whether the refusal says what to do.

use serde_json::json;

use crate::on_a_node;
use crate::team::{SHOP, Team};

#[test]
fn a_pod_that_names_no_machine_or_may_not_assume_it_is_refused_with_the_fix() {
    on_a_node("refused pods", async |installation| {
        let team = Team::new(installation, "refused-pods").await;
        team.apply(SHOP).await;
        team.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: other}}").await;
        team.ready("Machine", "web").await;

        let mut unknown = team.pod_object("web", "true");
        unknown["metadata"]["labels"]["sikkerkey.com/machine"] = json!("wbe");
        let said = team.create(unknown).await.unwrap_err();
        let expected = "Machine wbe does not exist in namespace refused-pods: apply it before its pods (Argo CD: sync-wave -1), or correct the label sikkerkey.com/machine.";
        assert!(said.contains(expected), "{said}");

        let mut stranger = team.pod_object("web", "true");
        stranger["spec"]["serviceAccountName"] = json!("other");
        let said = team.create(stranger).await.unwrap_err();
        let expected = "ServiceAccount other may not assume Machine web, which allows web: set serviceAccountName, or add it to spec.workload.serviceAccountNames.";
        assert!(said.contains(expected), "{said}");

        let mut misspelt = team.pod_object("web", "true");
        misspelt["metadata"]["annotations"] = json!({"sikkerkey.com/container": "app"});
        let said = team.create(misspelt).await.unwrap_err();
        assert!(
            said.contains(
                "sikkerkey.com/container has no meaning: did you mean the annotation sikkerkey.com/containers?"
            ),
            "{said}"
        );
    });
}

#[test]
fn invalid_objects_are_refused_when_they_are_applied() {
    on_a_node("invalid objects", async |installation| {
        let team = Team::new(installation, "invalid-objects").await;
        let cases = [
            (
                "kind: Secret, metadata: {name: a}, spec: {source: {}}",
                "give exactly one of generate, sealed, kubernetesSecret and external",
            ),
            (
                "kind: Machine, metadata: {name: a}, spec: {}",
                "give exactly one of workload (pods of this namespace) and host (a machine outside the cluster)",
            ),
            ("kind: Grant, metadata: {name: a}, spec: {machineRef: {name: web}, secretRefs: []}", "spec.secretRefs"),
            ("kind: AccessPolicy, metadata: {name: a}, spec: {}", "a policy without an axis restricts nothing"),
            (
                "kind: AccessPolicy, metadata: {name: a}, spec: {timeZone: Europe/Olso, timeWindow: {start: '06:00', end: '20:00'}}",
                "Olso",
            ),
            (
                "kind: Machine, metadata: {name: a}, spec: {workload: {serviceAccountNames: [web]}, delivery: {files: [{path: ../x, secretRefs: [{name: db}]}]}}",
                "path",
            ),
        ];
        for (object, expected) in cases {
            let said = team.try_apply(&format!("{{apiVersion: sikkerkey.com/v1alpha1, {object}}}")).await.unwrap_err();
            assert!(said.contains(expected), "{object}: {said}");
        }
        // A client that does not validate must not get past a misspelt restriction either.
        let policy = json!({
            "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Secret", "metadata": {"name": "a"},
            "spec": {"source": {"generate": {}}, "policyref": {"name": "p"}},
        });
        let made = team
            .objects("Secret")
            .create(&kube::api::PostParams::default(), &serde_json::from_value(policy).unwrap())
            .await;
        let said = made.unwrap_err().to_string();
        assert!(said.contains("spec.policyref is not a field"), "{said}");
    });
}

#[test]
fn the_label_of_a_running_pod_cannot_be_moved() {
    on_a_node("frozen label", async |installation| {
        let team = Team::new(installation, "frozen-label").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let args = ["label", "pod", "web", "-n", "frozen-label", "sikkerkey.com/machine=other", "--overwrite"];
        let said = team.installation.cluster.kubectl().run(args).await.unwrap_err().to_string();
        assert!(said.contains("the label sikkerkey.com/machine is fixed once the pod exists"), "{said}");
    });
}
