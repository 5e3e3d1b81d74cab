//! Values that are taken over from core Secrets.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use sikkerkey_e2e::wait::wait_for;

use crate::secrecy::forms;
use crate::team::{PASSWORD, SHOP, Team};
use crate::{BOUND, on_a_node};

/// A value that is found nowhere by chance, with what others escape.
fn fresh() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).unwrap();
    format!("pw<{:032x}>\"&", u128::from_be_bytes(bytes))
}

impl Team<'_> {
    fn cores(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// As kubectl applies it: with the value once more in an annotation.
    async fn apply_core(&self, name: &str, data: Value) {
        let core = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        self.apply(&core.to_string()).await;
    }

    async fn apply_taking(&self, name: &str, source: &str, more: &str) {
        self.apply(&format!(
            "{{apiVersion: sikkerkey.com/v1alpha1, kind: Secret, metadata: {{name: {name}}}, \
             spec: {{source: {{kubernetesSecret: {source}}}{more}}}}}"
        ))
        .await;
    }
}

#[test]
fn a_pod_reads_what_a_core_secret_says_and_the_value_stands_nowhere_else() {
    on_a_node("taken", async |installation| {
        let team = Team::new(installation, "taken").await;
        let (first, second) = (fresh(), fresh());
        team.apply_core("old", json!({"password": first, "user": "shop"})).await;
        team.apply(&SHOP.replace("{generate: {length: 40}}", "{kubernetesSecret: {name: old, key: password}}")).await;
        team.apply_taking("all", "{name: old}", "").await;
        for name in ["db", "all"] {
            team.ready("Secret", name).await;
        }
        let all = team.object("Secret", "all").await;
        assert_eq!(all["status"]["fields"], json!(["password", "user"]));
        assert_eq!((&all["status"]["source"], &all["status"]["version"]), (&json!("KubernetesSecret"), &json!(1)));
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), first);

        // Nobody touches our object: the operator looks.
        team.apply_core("old", json!({"password": second, "user": "shop"})).await;
        team.file_becomes("web", PASSWORD, Some(&second)).await;
        team.served("db", 2, "1/1").await;

        // Another source, at once, and another version.
        team.apply_taking("db", "{name: old, key: user}", "").await;
        team.file_becomes("web", PASSWORD, Some("shop")).await;
        team.apply_taking("db", "{name: old, key: missing}", "").await;
        let said = team.condition("Secret", "db", "Ready", "False", "KubernetesSecretKeyNotFound").await;
        assert_eq!(said, "Kubernetes Secret old has no key missing; it has password, user.");
        team.cores().delete("old", &DeleteParams::default()).await.unwrap();
        let said = team.condition("Secret", "all", "Ready", "False", "KubernetesSecretNotFound").await;
        assert_eq!(said, "Kubernetes Secret old does not exist in namespace taken.");
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), "shop", "what was taken stays in force");

        let told = team.kubectl(&["get", "sikkerkey,events", "-o", "json"]).await;
        assert!(told.contains("KubernetesSecretNotFound"), "{told}");
        for value in [first, second] {
            for form in forms(&value) {
                let needle = form.as_bytes();
                assert!(!told.contains(&form), "{form} in an object or an Event");
                assert_eq!(installation.cluster.logs_with(needle).unwrap(), Vec::<PathBuf>::new(), "{form} in a log");
                assert_eq!(installation.data_with(needle).unwrap(), Vec::<PathBuf>::new(), "{form} in the database");
            }
        }
        assert!(installation.cluster.run().log("operator").contains(b"TRACE"), "the log is as talkative as it can be");
    });
}

#[test]
fn an_original_goes_when_all_have_taken_it_and_is_not_missed() {
    on_a_node("taken and deleted", async |installation| {
        let team = Team::new(installation, "taken-deleted").await;
        team.apply_core("old", json!({"a": "one", "b": "two"})).await;
        let held = json!({
            "metadata": {"name": "held", "annotations": {"meta.helm.sh/release-name": "shop"}}, "stringData": {"a": "x"},
        });
        team.cores().create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
        team.apply_taking("a", "{name: old, key: a, onTaken: Delete}", "").await;
        team.apply_taking("b", "{name: old, key: b, onTaken: Delete}", ", deletionPolicy: Delete").await;
        team.apply_taking("c", "{name: held, key: a, onTaken: Delete}", "").await;
        let said = team.condition("Secret", "c", "Ready", "True", "OriginalKept").await;
        assert_eq!(said, "Kubernetes Secret held was not deleted: Helm manages it. Remove it there.");
        wait_for("the original to be deleted", BOUND, async || match team.cores().get_opt("old").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
        assert!(team.cores().get_opt("held").await.unwrap().is_some());

        // An edit has it looked for once more, and it is no longer missed.
        team.apply_taking(
            "b",
            "{name: old, key: b, onTaken: Delete}",
            ", deletionPolicy: Delete, rotation: {every: 720h}",
        )
        .await;
        for name in ["a", "b"] {
            team.ready("Secret", name).await;
            assert_eq!(team.object("Secret", name).await["status"]["version"], 1, "{name}");
        }
        // Under another name there was never anything.
        team.apply_taking("b", "{name: odl, key: b, onTaken: Delete}", ", deletionPolicy: Delete").await;
        team.condition("Secret", "b", "Ready", "False", "KubernetesSecretNotFound").await;

        // A cluster that was made anew has our objects again, and neither their status nor the originals.
        team.kubectl(&["delete", "sks", "a", "b"]).await;
        let kept = "The value is kept at the server, and nobody can read it: a Secret of this name in this namespace takes it up again.";
        assert_eq!(team.event("a", "ValueRetained").await, kept);
        let trashed = "The value went to the server's trash, where it stays for 30 days.";
        assert_eq!(team.event("b", "ValueTrashed").await, trashed);
        for name in ["a", "b"] {
            team.apply_taking(name, &format!("{{name: old, key: {name}, onTaken: Delete}}"), "").await;
        }
        team.ready("Secret", "a").await;
        assert_eq!(team.object("Secret", "a").await["status"]["version"], 1);
        team.condition("Secret", "b", "Ready", "False", "KubernetesSecretNotFound").await;
    });
}
