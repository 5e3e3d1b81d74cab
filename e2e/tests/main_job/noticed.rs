//! The application is told of changes, and cannot look into the sidecar that tells it.

use serde_json::json;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{SHOP, Team};
use crate::{BOUND, on_a_node};

/// Machine `web` with these files, whose application hears `SIGHUP`.
fn machine(files: &[&str]) -> String {
    let files: Vec<_> = files.iter().map(|path| json!({"path": path, "secretRefs": [{"name": "db"}]})).collect();
    let machine = json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine", "metadata": {"name": "web"},
        "spec": {
            "workload": {"serviceAccountNames": ["web"]},
            "delivery": {
                "files": files,
                "onChange": {"signal": {"name": "SIGHUP", "processName": "sh"}, "debounce": "1s"},
            },
        },
    });
    machine.to_string()
}

#[test]
fn a_signal_reaches_the_application_after_a_change_and_the_sidecar_stays_closed_to_it() {
    on_a_node("signal", async |installation| {
        let team = Team::new(installation, "signal").await;
        team.apply(SHOP).await;
        team.apply(&machine(&["db/password"])).await;
        let script = "trap 'echo told >> /dev/shm/log' HUP; : > /dev/shm/log; sleep 3600 & while :; do wait $!; done";
        let mut pod = team.pod_object("web", script);
        let refused = team.create(pod.clone()).await.unwrap_err();
        assert!(refused.contains("Machine web sends SIGHUP: set shareProcessNamespace: true"), "{refused}");
        pod["spec"]["shareProcessNamespace"] = json!(true);
        let mut own_user = pod.clone();
        own_user["spec"]["securityContext"]["runAsUser"] = json!(null);
        let refused = team.create(own_user).await.unwrap_err();
        assert!(
            refused.contains(
                "Machine web sends SIGHUP, which reaches only processes of the sidecar's own user: set one runAsUser"
            ),
            "{refused}"
        );

        team.run(pod).await;
        assert_eq!(team.read("web", "/dev/shm/log").await.unwrap(), "", "it was not told at the start");
        for (files, expected) in [(&["db/password", "again"][..], "told\n"), (&["db/password"][..], "told\ntold\n")] {
            team.apply(&machine(files)).await;
            team.ready("Machine", "web").await;
            wait_for("the application to be told", BOUND, async || {
                let log = team.read("web", "/dev/shm/log").await?;
                if log == expected {
                    return Ok(());
                }
                Err(format!(
                    "{log:?}; the sidecar: {}",
                    team.kubectl(&["logs", "web", "-c", "sikkerkey", "--tail=5"]).await
                ))
            })
            .await
            .unwrap();
        }

        // It is of the same user in the same process namespace, and reaches nothing of the sidecar but its name.
        let look = "for process in /proc/[0-9]*; do read name < $process/comm; if [ \"$name\" = sikkerkey-sidec ]; then \
             for part in environ maps mem; do cat $process/$part > /dev/null 2>&1 && echo reached $part; done; \
             ls $process/root/ $process/fd/ > /dev/null 2>&1 && echo reached files; echo seen; fi; done";
        assert_eq!(team.exec("web", &["sh", "-c", look]).await.unwrap(), "seen\n");
    });
}
