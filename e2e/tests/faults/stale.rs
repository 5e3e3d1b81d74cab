//! What the operator sees is older than what it wrote last.

use std::time::Duration;

use sikkerkey_e2e::fault_proxy::{Asked, Fault, FaultProxy};
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;
use crate::scenario::{apply, stands};

const LAG: Duration = Duration::from_secs(3);

const NOT_GIVEN: &[&str] = &[
    "Grant web-reads 1 0/1: Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted Programmed=True/Programmed \
     Ready=False/RefNotPermitted",
    "Secret db 1 v1: Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed Ready=True/Ready",
    "server: secret db Active v1",
];

/// A Machine that consents for a moment: before the operator has seen the Grant's status come back that says so, it is no longer
/// true, and what the operator sees says what it has to say now. `written` is done to the writes of that status.
pub(crate) async fn what_was_given_and_taken_back(
    installation: &Installation,
    proxy: &FaultProxy,
    name: &str,
    written: Fault,
) {
    let kubectl = installation.cluster.kubectl();
    let [owner, team] = ["owner", "team"].map(|role| format!("{name}-{role}"));
    for namespace in [&owner, &team] {
        kubectl.run(["create", "namespace", namespace]).await.unwrap();
    }
    let machine = |allow_from: &str| {
        format!(
            "apiVersion: sikkerkey.com/v1alpha1\nkind: Machine\nmetadata: {{name: web}}\n\
             spec: {{workload: {{serviceAccountNames: [default]}}, allowFrom: [{allow_from}]}}\n"
        )
    };
    let gives = format!(
        "apiVersion: sikkerkey.com/v1alpha1\nkind: Secret\nmetadata: {{name: db}}\nspec: {{source: {{generate: {{}}}}}}\n---\n\
         apiVersion: sikkerkey.com/v1alpha1\nkind: Grant\nmetadata: {{name: web-reads}}\n\
         spec: {{machineRef: {{name: web, namespace: {team}}}, secretRefs: [{{name: db}}]}}\n"
    );
    proxy.behaves();
    apply(&kubectl, &team, &machine("")).await;
    apply(&kubectl, &owner, &gives).await;
    stands(installation, &owner, NOT_GIVEN).await;
    proxy.does(move |asked: &Asked| match asked.path.contains("/grants") {
        true if asked.is_watch() => Fault::Lag(LAG),
        true if asked.is_write() => written,
        _ => Fault::None,
    });
    apply(&kubectl, &team, &machine(&format!("{{namespace: {owner}, kinds: [Grant]}}"))).await;
    wait_for("the Grant to be in force for a moment", BOUND, async || {
        let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        let said = kubectl.run(["get", "skg", "web-reads", "-n", &owner, "-o", ready]).await;
        said.map_err(|error| error.to_string()).and_then(|said| if said == "True" { Ok(()) } else { Err(said) })
    })
    .await
    .unwrap();
    apply(&kubectl, &team, &machine("")).await;
    tokio::time::sleep(LAG).await;
    proxy.behaves();
    stands(installation, &owner, NOT_GIVEN).await;
}
