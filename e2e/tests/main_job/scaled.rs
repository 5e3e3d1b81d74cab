//! A Deployment of injected pods that a `HorizontalPodAutoscaler` scales.

use serde_json::{Value, json};
use sikkerkey_e2e::wait::wait_for;

use crate::team::{PASSWORD, SHOP, Team};
use crate::{BOUND, on_a_node};

#[test]
fn an_autoscaler_scales_injected_pods_up_and_down_and_each_has_an_identity_of_its_own() {
    on_a_node("autoscaler", async |installation| {
        let team = Team::new(installation, "scaled").await;
        team.apply(SHOP).await;
        let labels = json!({"app": "web", "sikkerkey.com/machine": "web"});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": team.pod_spec(&format!("test -s {PASSWORD} && exec sleep 3600")),
                },
            },
        });
        // There is nobody who measures: it brings the number of pods within its bounds, by the same way.
        let bounds = |least: u32, most: u32| {
            json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                    "minReplicas": least, "maxReplicas": most,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
                },
            })
            .to_string()
        };
        let ready = async |count: i64| {
            wait_for(&format!("{count} ready pods"), BOUND, async || {
                let text = team.kubectl(&["get", "deployment", "web", "-o", "json"]).await;
                let found: Value = serde_json::from_str(&text).unwrap();
                let is_so = found["spec"]["replicas"] == count && found["status"]["readyReplicas"] == count;
                if is_so { Ok(()) } else { Err(found["status"].to_string()) }
            })
            .await
            .unwrap();
        };
        team.apply(&deployment.to_string()).await;
        ready(1).await;
        team.apply(&bounds(3, 4)).await;
        ready(3).await;
        let machines = team.machine_count_becomes(3).await;
        let keys: std::collections::BTreeSet<&str> =
            machines.iter().filter_map(|it| it["fingerprint"].as_str()).collect();
        assert_eq!(keys.len(), 3);
        team.apply(&bounds(1, 1)).await;
        ready(1).await;
        team.machine_count_becomes(1).await;
    });
}
