//! What the operator sees is older than what it wrote last.

use std::time::Duration;

use sikkerkey_e2e::fault_proxy::{Asked, Fault, FaultProxy};
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::wait::wait_for;

use crate::scenario::{apply, stands};
use crate::{BOUND, one_in};

const OWNER: &str = "stale-owner";
const TEAM: &str = "stale-team";

const GIVES: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads}
spec: {machineRef: {name: web, namespace: stale-team}, secretRefs: [{name: db}]}
";

const NOT_GIVEN: &[&str] = &[
    "Grant web-reads 1 0/1: Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted Programmed=True/Programmed \
     Ready=False/RefNotPermitted",
    "Secret db 1 v1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "server: secret db Active v1",
];

/// A Machine that consents for a moment: the status that says so is overtaken before the operator has seen it come back, and the
/// one that it knew before says what it has to say now.
pub(crate) async fn what_was_given_and_taken_back(installation: &Installation, proxy: &FaultProxy) {
    let kubectl = installation.cluster.kubectl();
    for namespace in [OWNER, TEAM] {
        kubectl.run(["create", "namespace", namespace]).await.unwrap();
    }
    let machine = |allow_from: &str| {
        format!(
            "apiVersion: sikkerkey.com/v1alpha1\nkind: Machine\nmetadata: {{name: web}}\n\
             spec: {{workload: {{serviceAccountNames: [default]}}, allowFrom: [{allow_from}]}}\n"
        )
    };
    proxy.behaves();
    apply(&kubectl, TEAM, &machine("")).await;
    apply(&kubectl, OWNER, GIVES).await;
    stands(installation, OWNER, NOT_GIVEN).await;
    proxy.does(one_in(1, Asked::is_watch, Fault::Lag(Duration::from_secs(3))));
    apply(&kubectl, TEAM, &machine(&format!("{{namespace: {OWNER}, kinds: [Grant]}}"))).await;
    // Longer than a pass waits for what it wrote, and shorter than it takes to come back.
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    apply(&kubectl, TEAM, &machine("")).await;
    wait_for("the Grant to be in force for a moment", BOUND, async || {
        let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        let said = kubectl.run(["get", "skg", "web-reads", "-n", OWNER, "-o", ready]).await;
        said.map_err(|error| error.to_string()).and_then(|said| if said == "True" { Ok(()) } else { Err(said) })
    })
    .await
    .unwrap();
    stands(installation, OWNER, NOT_GIVEN).await;
}
