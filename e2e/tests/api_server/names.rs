//! What the names of the kinds lead to, on a cluster where others have kinds of the same names: `kubectl` takes the first group
//! by alphabet.

use std::fmt::Write;

use serde_json::json;
use sikkerkey_e2e::kubectl::KubectlError;

use crate::golden::assert_golden;
use crate::with_kinds;

/// As much of Cluster API as it takes to have its name for a machine.
const CLUSTER_API: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: machines.cluster.x-k8s.io
  annotations: {api-approved.kubernetes.io: https://github.com/kubernetes-sigs/cluster-api}
spec:
  group: cluster.x-k8s.io
  scope: Namespaced
  names: {kind: Machine, listKind: MachineList, plural: machines, singular: machine, shortNames: [ma], categories: [cluster-api]}
  versions:
  - name: v1beta1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// What a person may type, and one thing each that shows whose it is.
const TYPED: &[&str] = &[
    "get secret/db -n shop -o name",
    "get secrets -n shop -o name",
    "get machine/web -n shop -o name",
    "get machines -n shop -o name",
    "get sks/db -n shop -o name",
    "get secret.sikkerkey.com/db -n shop -o name",
    "get skm/web -n shop -o name",
    "get machines.sikkerkey.com -n shop -o name",
    "get machine.sikkerkey.com/web -n shop -o name",
    "get skg,skp -n shop -o name",
    "get sikkerkey -n shop -o name",
    "get skg -A --field-selector spec.machineRef.name=web -o name",
    "get sks -n shop --field-selector spec.policyRef.name=working-hours -o name",
    "events --for sks/db -n shop --no-headers",
    "events --for secret/db -n shop --no-headers",
    "delete sks/stripe-key -n shop --dry-run=server -o name",
    "api-resources --categories=sikkerkey --no-headers",
    "explain sks.spec.source",
    "explain skm.spec.workload",
    "explain skg",
    "explain skg.spec",
    "explain skp.spec",
    "explain secrets.sikkerkey.com",
];

/// An Event about the Secret `db` of one of the two groups.
fn event(kind: &str, version: &str, whose: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "db.", "namespace": "shop"}, "type": "Normal",
        "reason": "Told", "message": whose,
        "involvedObject": {"apiVersion": version, "kind": kind, "name": "db", "namespace": "shop"},
    })
    .to_string()
}

#[tokio::test]
async fn short_names_and_the_category_are_ours_whoever_else_has_secrets_and_machines() {
    let cluster = with_kinds().await;
    let kubectl = cluster.kubectl();
    kubectl.apply(CLUSTER_API).await.unwrap();
    kubectl.run(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.unwrap();
    kubectl.apply(include_str!("../../../crds/tests/fixtures/gitops.yaml")).await.unwrap();
    kubectl.run(["create", "secret", "generic", "db", "-n", "shop", "--from-literal=whose=the core's"]).await.unwrap();
    for (kind, version, whose) in [("Secret", "sikkerkey.com/v1alpha1", "ours"), ("Secret", "v1", "the core's")] {
        kubectl.run_with_input(["create", "-f", "-"], &event(kind, version, whose)).await.unwrap();
    }
    let mut shown = String::new();
    for typed in TYPED {
        let said = match kubectl.run(typed.split(' ')).await {
            Ok(said) => said,
            Err(KubectlError::Failed { stderr, .. }) => stderr,
            Err(other) => panic!("{other}"),
        };
        writeln!(shown, "$ kubectl {typed}").unwrap();
        // What the fields mean stands in the definitions beside their crate.
        let is_meaning = |line: &&str| typed.starts_with("explain") && line.starts_with("    ");
        for line in said.lines().filter(|line| !line.is_empty() && !is_meaning(line)) {
            writeln!(shown, "{}", line.trim_end()).unwrap();
        }
        shown.push('\n');
    }
    assert_golden("names.txt", &shown);
    cluster.stop().await;
}
