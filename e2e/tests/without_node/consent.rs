//! References that leave their namespace, with the real parts: without consent they give nothing and tell nothing, with it they
//! hold, and they end with it. That every reference there is behaves so is shown from the schemas, in the operator's crate.

use serde_json::json;
use sikkerkey_e2e::wait::wait_for;

use crate::team::Team;
use crate::{BOUND, without_a_node};

/// What team `consent-here` refers to in `consent-there`: once what exists, once what does not.
const HERE: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: to-NAME}
spec: {machineRef: {name: NAME, namespace: consent-there}, secretRefs: [{name: db}]}
---
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: by-NAME}
spec: {coSign: {machineRef: {name: NAME, namespace: consent-there}, window: 8h}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: reads-NAME}
spec:
  workload: {serviceAccountNames: [web]}
  delivery: {files: [{path: token, secretRefs: [{name: NAME, namespace: consent-there}]}]}
";

const THERE: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: there}
spec: {workload: {serviceAccountNames: [web]}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: there}
spec: {source: {generate: {}}}
";

/// The half of the consent that the owner of a Secret gives.
const GRANT: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: to-here}
spec: {machineRef: {name: reads-there, namespace: consent-here}, secretRefs: [{name: there}]}
";

/// How many Secrets a Grant gives, at the server.
async fn gives(team: &Team<'_>, grant: &str, expected: &str) {
    wait_for(&format!("{grant} to give {expected}"), BOUND, async || {
        let status = team.object("Grant", grant).await["status"].clone();
        let found = (status["secrets"]["summary"].as_str() == Some(expected), status["machineID"].is_string());
        if found == (true, expected == "1/1") { Ok(()) } else { Err(status.to_string()) }
    })
    .await
    .unwrap();
}

/// Sets whom a Machine allows.
async fn allow(team: &Team<'_>, machine: &str, namespace: &str, kinds: &[&str]) {
    let patch = json!({"spec": {"allowFrom": [{"namespace": namespace, "kinds": kinds}]}}).to_string();
    team.kubectl(&["patch", "skm", machine, "--type=merge", "-p", &patch]).await;
}

#[test]
fn what_is_named_in_another_namespace_needs_consent_and_without_nobody_learns_whether_it_exists() {
    without_a_node("consent", async |installation| {
        let there = Team::new(installation, "consent-there").await;
        let here = Team::new(installation, "consent-here").await;
        there.apply(THERE).await;
        there.ready("Machine", "there").await;
        there.ready("Secret", "there").await;
        for name in ["there", "nowhere"] {
            here.apply(&HERE.replace("NAME", name)).await;
        }
        let refused = async |kind: &str, prefix: &str, reason: &str| {
            let said = async |name: &str| {
                let message = here.condition(kind, &format!("{prefix}-{name}"), "Ready", "False", reason).await;
                message.replace(&format!("consent-there/{name}"), "consent-there/NAME")
            };
            assert_eq!(said("there").await, said("nowhere").await, "{kind}");
        };
        refused("Grant", "to", "RefNotPermitted").await;
        refused("AccessPolicy", "by", "RefNotPermitted").await;
        refused("Machine", "reads", "SecretNotGranted").await;
        gives(&here, "to-there", "0/1").await;

        // Consent to one kind is none to the other, and one half is not the whole.
        allow(&there, "there", "consent-here", &["AccessPolicy"]).await;
        here.condition("AccessPolicy", "by-there", "ResolvedRefs", "True", "ResolvedRefs").await;
        here.condition("Grant", "to-there", "Ready", "False", "RefNotPermitted").await;
        allow(&there, "there", "consent-here", &["Grant"]).await;
        here.condition("AccessPolicy", "by-there", "Ready", "False", "RefNotPermitted").await;
        here.ready("Grant", "to-there").await;
        gives(&here, "to-there", "1/1").await;
        there.apply(GRANT).await;
        there.condition("Grant", "to-here", "Ready", "False", "RefNotPermitted").await;
        here.condition("Machine", "reads-there", "Ready", "False", "SecretNotGranted").await;
        allow(&here, "reads-there", "consent-there", &["Grant"]).await;
        there.ready("Grant", "to-here").await;
        here.ready("Machine", "reads-there").await;

        // It ends with the consent.
        allow(&there, "there", "elsewhere", &["Grant", "AccessPolicy"]).await;
        here.condition("Grant", "to-there", "Ready", "False", "RefNotPermitted").await;
        gives(&here, "to-there", "0/1").await;
        there.kubectl(&["delete", "skg", "to-here"]).await;
        here.condition("Machine", "reads-there", "Ready", "False", "SecretNotGranted").await;
    });
}
