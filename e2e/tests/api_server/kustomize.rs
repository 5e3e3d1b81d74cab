//! The shipped file of references, with the Kustomize that kubectl brings.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sikkerkey_e2e::assets::{Assets, Component};
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::yaml;
use tempfile::TempDir;

/// Every way in which one of our objects is named, and the label of pods.
const MANIFESTS: &str = r"
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: Secret
metadata: {name: old}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {external: {}}, policyRef: {name: hours}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: taken}
spec: {source: {kubernetesSecret: {name: old}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: hours}
spec: {coSign: {machineRef: {name: boss}, window: 8h}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: boss}
spec: {host: {}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: web}
spec:
  workload: {serviceAccountNames: [web]}
  delivery:
    files:
    - {path: db, secretRefs: [{name: db, field: password}]}
    - {path: store.p12, format: PKCS12, secretRefs: [{name: taken}], pkcs12: {type: KeyStore, passwordRef: {name: db, field: store}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads}
spec: {machineRef: {name: web}, secretRefs: [{name: db}, {name: taken}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, sikkerkey.com/machine: web}}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, sikkerkey.com/machine: web}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, sikkerkey.com/machine: web}}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, sikkerkey.com/machine: web}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: web}
spec: {template: {metadata: {labels: {app: web, sikkerkey.com/machine: web}}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: web}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: web, sikkerkey.com/machine: web}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web, sikkerkey.com/machine: web}}
";

/// What Kustomize makes of the manifests, with a prefix and these further lines.
fn built(further: &str) -> Vec<Value> {
    let directory = TempDir::new().unwrap();
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let shipped: PathBuf = cargo::workspace().join("charts/gitops/kustomize/sikkerkey-names.yaml");
    std::fs::copy(shipped, directory.path().join("sikkerkey-names.yaml")).unwrap();
    file("all.yaml", MANIFESTS);
    file("kustomization.yaml", &format!("namePrefix: eu-\nresources: [all.yaml]\n{further}"));
    // No cluster is asked.
    let assets = Assets::ensure(&[Component::Kubectl], &Report::silent()).unwrap();
    let output = Command::new(assets.path(Component::Kubectl)).arg("kustomize").arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    yaml::documents(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

/// Every name that stands in an object elsewhere than in its own metadata, with where it stands.
fn references(objects: &[Value]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        let is_ours = object["apiVersion"] == "sikkerkey.com/v1alpha1";
        walk(object, kind, is_ours, &mut found);
    }
    found
}

fn walk(node: &Value, path: &str, is_ours: bool, found: &mut BTreeSet<String>) {
    match node {
        Value::Object(entries) => {
            for (key, value) in entries {
                let path = format!("{path}.{key}");
                let names = is_ours && key == "name" && !path.contains("metadata") || key == "sikkerkey.com/machine";
                if let Some(name) = value.as_str().filter(|_| names) {
                    found.insert(format!("{path} {name}"));
                }
                walk(value, &path, is_ours, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                if let Some(name) = item.as_str().filter(|_| path.ends_with("serviceAccountNames")) {
                    found.insert(format!("{path} {name}"));
                }
                walk(item, path, is_ours, found);
            }
        }
        _ => {}
    }
}

#[test]
fn a_name_prefix_follows_every_reference_with_the_shipped_file_and_none_without() {
    let without = references(&built(""));
    assert!(without.iter().all(|one| !one.contains(" eu-")), "{without:#?}");
    let with = references(&built("configurations: [sikkerkey-names.yaml]\n"));
    let prefixed: BTreeSet<_> = without.iter().map(|one| one.replace(' ', " eu-")).collect();
    assert_eq!(with, prefixed);
    assert_eq!(with.len(), 17, "{with:#?}");
}
