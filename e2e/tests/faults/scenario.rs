//! What a team does, again and again, whatever else goes wrong; and how everything stands in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::kubectl::Kubectl;
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;

/// A while that the operator is in the midst of what came before.
pub(crate) const MOMENT: Duration = Duration::from_millis(700);

const BEGINNING: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {length: 40}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: few}
spec: {timeZone: UTC, rateCap: {perDay: 1000}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: api}
spec: {policyRef: {name: few}, source: {generate: {}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: web}
spec: {workload: {serviceAccountNames: [default]}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: batch}
spec: {workload: {serviceAccountNames: [default]}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads}
spec: {machineRef: {name: web}, secretRefs: [{name: db}, {name: api}]}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: batch-reads}
spec: {machineRef: {name: batch}, secretRefs: [{name: db}]}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: dangling}
spec: {machineRef: {name: web}, secretRefs: [{name: nowhere}]}
";

const EDITED: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: few}
spec: {timeZone: UTC, rateCap: {perDay: 2000}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {length: 50}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: batch}
spec: {suspend: true, workload: {serviceAccountNames: [default]}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads}
spec: {machineRef: {name: web}, secretRefs: [{name: db}]}
";

/// Of [`BEGINNING`], what is deleted and made anew.
const REMADE: [&str; 2] = ["name: api", "name: web}\nspec: {workload"];

/// How everything stands after it.
pub(crate) const END: &[&str] = &[
    "AccessPolicy few 2: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "Grant dangling 1 0/1: Accepted=True/Accepted ResolvedRefs=False/SecretNotFound Programmed=True/Programmed \
     Ready=False/SecretNotFound",
    "Grant web-reads 2 1/1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed \
     Ready=True/Ready",
    "Machine batch 2: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed \
     Ready=True/Suspended",
    "Machine web 1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "Secret api 1 v1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed \
     Ready=True/Ready",
    "Secret db 2 v1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "server: fleet batch Suspended",
    "server: fleet web Approved",
    "server: grant web-reads to web of db",
    "server: policy few {\"rateCap\":{\"countedBy\":\"Machine\",\"perDay\":2000},\"timeZone\":\"UTC\"} of api",
    "server: secret api Active v1",
    "server: secret db Active v1",
];

/// What a team does in a namespace, as a tool that tries again until the cluster takes it.
pub(crate) async fn play(kubectl: &Kubectl, namespace: &str) {
    kubectl.run(["create", "namespace", namespace]).await.unwrap();
    apply(kubectl, namespace, BEGINNING).await;
    tokio::time::sleep(MOMENT).await;
    apply(kubectl, namespace, EDITED).await;
    tokio::time::sleep(MOMENT).await;
    delete(kubectl, namespace, &["skg/batch-reads", "sks/api", "skm/web"]).await;
    let remade = BEGINNING.split("---\n").filter(|object| REMADE.iter().any(|part| object.contains(part)));
    let remade: Vec<&str> = remade.filter(|object| !object.contains("kind: Grant")).collect();
    assert_eq!(remade.len(), REMADE.len());
    apply(kubectl, namespace, &remade.join("---\n")).await;
}

pub(crate) async fn apply(kubectl: &Kubectl, namespace: &str, manifests: &str) {
    wait_for("the cluster to take a manifest", BOUND, async || {
        kubectl.run_with_input(["apply", "-n", namespace, "-f", "-"], manifests).await
    })
    .await
    .unwrap();
}

pub(crate) async fn delete(kubectl: &Kubectl, namespace: &str, objects: &[&str]) {
    wait_for("the cluster to let go of objects", BOUND, async || {
        let args = ["delete", "-n", namespace, "--ignore-not-found", "--timeout=30s"];
        kubectl.run(args.iter().chain(objects)).await
    })
    .await
    .unwrap();
}

/// Waits until everything stands as after a run without faults.
pub(crate) async fn ends_well(installation: &Installation, namespace: &str) {
    stands(installation, namespace, END).await;
}

/// Waits until everything of a namespace stands so.
pub(crate) async fn stands(installation: &Installation, namespace: &str, expected: &[&str]) {
    becomes(installation, namespace, expected, async || {
        let mut found = objects(installation, namespace).await?;
        found.extend(at_the_server(installation, namespace).await?);
        Ok(found)
    })
    .await;
}

/// Waits until the server holds this of a namespace.
pub(crate) async fn is_in_force(installation: &Installation, namespace: &str, expected: &[&str]) {
    becomes(installation, namespace, expected, async || at_the_server(installation, namespace).await).await;
}

async fn becomes(
    installation: &Installation,
    namespace: &str,
    expected: &[&str],
    look: impl AsyncFn() -> Result<BTreeSet<String>, String>,
) {
    let expected: BTreeSet<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    wait_for(&format!("{namespace} to stand as it should"), BOUND, async || {
        let found = look().await?;
        let missing: Vec<&String> = expected.difference(&found).collect();
        let other: Vec<&String> = found.difference(&expected).collect();
        if missing.is_empty() && other.is_empty() { Ok(()) } else { Err(format!("{missing:#?} but {other:#?}")) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}", installation.operator.log().tail()));
}

async fn objects(installation: &Installation, namespace: &str) -> Result<BTreeSet<String>, String> {
    let kubectl = installation.cluster.kubectl();
    let said = kubectl.run(["get", "sikkerkey", "-n", namespace, "-o", "json"]).await.map_err(|it| it.to_string())?;
    let list: Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
    Ok(list["items"].as_array().into_iter().flatten().map(object).collect())
}

fn object(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (metadata, status) = (&object["metadata"], &object["status"]);
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let conditions: Vec<String> = conditions
        .map(|one| {
            // A condition of an earlier generation is none of this one.
            let seen = if one["observedGeneration"] == metadata["generation"] { "" } else { "?" };
            format!("{}={}/{}{seen}", text(&one["type"]), text(&one["status"]), text(&one["reason"]))
        })
        .collect();
    let more = match object["kind"].as_str() {
        Some("Secret") => format!(" v{}", status["version"]),
        Some("Grant") => format!(" {}", text(&status["secrets"]["summary"])),
        _ => String::new(),
    };
    let (kind, name) = (text(&object["kind"]), text(&metadata["name"]));
    format!("{kind} {name} {}{more}: {}", metadata["generation"], conditions.join(" "))
}

async fn at_the_server(installation: &Installation, namespace: &str) -> Result<BTreeSet<String>, String> {
    let list = async |what: &str, key: &str| {
        let said = installation.admin_json(&[what, "list"]).await.map_err(|error| error.to_string())?;
        Ok::<Vec<Value>, String>(said[key].as_array().cloned().unwrap_or_default())
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let prefix = format!("{namespace}/");
    let own = |value: &Value| text(value).strip_prefix(&prefix).map(str::to_owned);
    let secrets = list("secret", "secrets").await?;
    let secrets: Vec<&Value> = secrets.iter().filter(|secret| secret["project"] == namespace).collect();
    let names: BTreeMap<String, String> =
        secrets.iter().map(|secret| (text(&secret["secretId"]), text(&secret["name"]))).collect();
    let mut found: BTreeSet<String> = secrets
        .iter()
        .map(|it| format!("server: secret {} {} v{}", text(&it["name"]), text(&it["phase"]), it["version"]))
        .collect();
    for machine in list("machine", "machines").await? {
        let Some(name) = own(&machine["name"]) else { continue };
        let is_suspended = machine["kind"] == "fleet" && machine["enabled"] == false;
        let standing = if is_suspended { "Suspended".to_owned() } else { text(&machine["approval"]) };
        found.insert(format!("server: {} {name} {standing}", text(&machine["kind"])));
    }
    for grant in list("grant", "grants").await? {
        let (Some(name), machine) = (own(&grant["object"]), own(&grant["machine"])) else { continue };
        let machine = machine.unwrap_or_default();
        found.insert(format!("server: grant {name} to {machine} of {}", text(&grant["secrets"])));
    }
    for policy in list("policy", "policies").await? {
        let Some(name) = own(&policy["object"]) else { continue };
        // The lists are of different moments: a secret may have come meanwhile.
        let shown = |id: &Value| names.get(&text(id)).cloned().unwrap_or_else(|| text(id));
        let bound: Vec<String> = policy["secretIds"].as_array().into_iter().flatten().map(shown).collect();
        found.insert(format!("server: policy {name} {} of {}", policy["policy"], bound.join(" ")));
    }
    Ok(found)
}
