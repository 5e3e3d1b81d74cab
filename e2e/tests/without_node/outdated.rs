//! Pods that run with what their Machine said when they were made.

use sikkerkey_e2e::wait::wait_for;

use crate::team::{SHOP, Team};
use crate::{BOUND, without_a_node};

/// Waits until the Machine says how many pods run with older settings, and how many are current: at the first pod soon.
async fn counts(team: &Team<'_>, outdated: i64, summary: &str) {
    wait_for(&format!("{outdated} outdated pods, {summary}"), BOUND, async || {
        let pods = team.object("Machine", "web").await["status"]["pods"].clone();
        if pods["outdated"] == outdated && pods["summary"] == summary { Ok(()) } else { Err(pods.to_string()) }
    })
    .await
    .unwrap();
}

#[test]
fn pods_that_run_with_older_settings_are_told_of_until_they_are_replaced() {
    without_a_node("pods with older settings", async |installation| {
        let team = Team::new(installation, "outdated").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("first", "exec sleep 3600")).await;
        counts(&team, 0, "1/1").await;
        team.ready("Machine", "web").await;

        let room = r#"{"spec": {"delivery": {"sizeLimit": "2Mi"}}}"#;
        team.kubectl(&["patch", "skm", "web", "--type=merge", "-p", room]).await;
        let message = team.condition("Machine", "web", "Ready", "True", "PodsOutdated").await;
        assert_eq!(
            message,
            "Some pods run with an older mode, mountPath or sizeLimit: kubectl rollout restart their owner. \
             status.pods.outdated counts them."
        );
        counts(&team, 1, "0/1").await;
        let shown = team.kubectl(&["get", "skm", "web", "-o", "wide"]).await;
        assert!(shown.contains("PodsOutdated") && shown.contains("0/1"), "{shown}");
        // What running pods take by themselves leaves none behind.
        let live = r#"{"spec": {"delivery": {"maxStaleness": "2h"}}}"#;
        team.kubectl(&["patch", "skm", "web", "--type=merge", "-p", live]).await;
        team.condition("Machine", "web", "Ready", "True", "PodsOutdated").await;

        team.delete_pod("first").await;
        team.ready("Machine", "web").await;
        team.run(team.pod_object("second", "exec sleep 3600")).await;
        counts(&team, 0, "1/1").await;
        team.ready("Machine", "web").await;
    });
}
