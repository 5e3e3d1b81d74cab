//! What a person sees of a pod: Events while it waits, then what the sidecar says of itself.

use serde_json::Value;
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{PASSWORD, SHOP, Team};
use crate::{BOUND, on_a_node};

#[test]
fn describe_says_why_a_pod_waits_and_the_sidecar_says_how_it_stands() {
    on_a_node("looking", async |installation| {
        let team = Team::new(installation, "looking").await;
        let without_grant: Vec<&str> = SHOP.split("---").take(2).collect();
        team.apply(&without_grant.join("---")).await;
        team.condition("Machine", "web", "ResolvedRefs", "False", "SecretNotGranted").await;
        team.create(team.pod_object("web", "exec sleep 3600")).await.unwrap();
        let described = wait_for("kubectl describe to say why", BOUND, async || {
            let text = team.kubectl(&["describe", "pod", "web"]).await;
            // Nothing puts the two in an order.
            if ["Enrolled", "ReadDenied"].iter().all(|it| text.contains(it)) { Ok(text) } else { Err(text) }
        })
        .await
        .unwrap();
        let event = |reason: &str| described.lines().find(|line| line.split_whitespace().nth(1) == Some(reason));
        let told = event("ReadDenied").unwrap();
        assert!(told.trim_start().starts_with("Warning") && told.contains("sikkerkey-operator"), "{told}");
        assert!(told.contains("file db/password waits for Secret looking/db: NotGranted"), "{told}");
        assert!(told.contains("add it to a Grant in namespace looking"), "{told}");
        let told = event("Enrolled").unwrap();
        assert!(told.trim_start().starts_with("Normal"), "{told}");
        assert!(told.contains("The operator vouched for this pod as Machine web."), "{told}");
        let pod = team.pods().get("web").await.unwrap();
        assert_ne!(pod.status.unwrap().phase.as_deref(), Some("Running"), "it still waits");

        team.apply(SHOP).await;
        pod::ready(&team.client, &team.namespace, "web", BOUND).await.unwrap();
        let ask = async |path: &str| {
            team.exec("web", &["wget", "-q", "-O", "-", &format!("http://127.0.0.1:9917{path}")]).await.unwrap()
        };
        let (status, metrics) = (ask("/status").await, ask("/metrics").await);
        let said: Value = serde_json::from_str(&status).unwrap();
        assert_eq!((&said["ready"], &said["reason"]), (&Value::Bool(true), &"Ready".into()), "{said}");
        assert_eq!(said["files"][0]["path"], "db/password");
        assert_eq!(said["files"][0]["secrets"][0]["version"], 1);
        assert!(said["identityExpiresAt"].is_string(), "{said}");
        for line in ["sikkerkey_sidecar_ready 1", "sikkerkey_sidecar_reports_total{result=\"ok\"} 1"] {
            assert!(metrics.lines().any(|found| found == line), "{metrics}");
        }
        let manifest = team.read("web", "/run/secrets/sikkerkey/..manifest.json").await.unwrap();
        let written: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!((&written["files"][0]["path"], &written["files"][0]["size"]), (&"db/password".into(), &40.into()));
        let password = team.read("web", PASSWORD).await.unwrap();
        let events = team.kubectl(&["get", "events", "-o", "json"]).await;
        for text in [&status, &metrics, &manifest, &events] {
            assert!(!text.contains(&password), "a value in {text}");
        }
    });
}
