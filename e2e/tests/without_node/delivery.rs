//! A value's way to a pod's file, and its end.

use sikkerkey_e2e::sidecar::files_after;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{SHOP, Team};
use crate::{BOUND, host, without_a_node};

#[test]
fn a_file_holds_what_an_sdk_reads_until_the_grant_is_revoked() {
    without_a_node("a file and its end", async |installation| {
        let team = Team::new(installation, "shop").await;
        team.apply(SHOP).await;
        // The application ends at once if the file is not there when it starts.
        let pod = team.pod_object("web", "test -s /run/secrets/sikkerkey/db/password && exec sleep 3600");
        let pod = team.run(pod).await;
        let volume = installation.volume(&pod, "app").unwrap();
        let content = std::fs::read_to_string(volume.join("db/password")).unwrap();
        assert_eq!(content.len(), 40, "{content}");
        assert_eq!(content, host::host(&team, "auditor", &["db"]).await.value("db").await);
        assert!(files_after(&volume).unwrap() < BOUND);

        team.kubectl(&["delete", "skg", "web-reads-db"]).await;
        wait_for("the file to be gone", BOUND, async || {
            if volume.join("db/password").exists() { Err("it is there") } else { Ok(()) }
        })
        .await
        .unwrap();
        let rows = installation.audit(1000).await.unwrap();
        let is_denied = |row: &serde_json::Value| {
            row["action"] == "secret_read_denied"
                && row["reason"] == "NotGranted"
                && row.to_string().contains("shop/web")
        };
        assert!(rows.iter().any(is_denied), "{rows:#?}");
    });
}

#[test]
fn the_machine_of_a_pod_ends_with_it() {
    without_a_node("the end of a machine", async |installation| {
        let team = Team::new(installation, "leaving").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        team.machine_count_becomes(1).await;
        team.delete_pod("web").await;
        team.machine_count_becomes(0).await;
    });
}
