//! Who a pod is: a key of its own, for as long as the pod lives.

use sikkerkey_e2e::wait::wait_for;

use crate::team::{PASSWORD, SHOP, Team};
use crate::{BOUND, on_a_node};

#[test]
fn two_pods_have_two_keys_and_one_ends_with_its_pod() {
    on_a_node("two pods", async |installation| {
        let team = Team::new(installation, "two-pods").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("first", "exec sleep 3600")).await;
        team.run(team.pod_object("second", "exec sleep 3600")).await;
        let machines = team.machine_count_becomes(2).await;
        let keys: Vec<&str> = machines.iter().map(|machine| machine["fingerprint"].as_str().unwrap()).collect();
        assert_ne!(keys[0], keys[1]);
        assert_eq!(team.read("first", PASSWORD).await, team.read("second", PASSWORD).await);
        team.delete_pod("first").await;
        let left = team.machine_count_becomes(1).await;
        assert!(left[0].to_string().contains("two-pods/second"), "{left:?}");
        let rows = team.installation.audit(1000).await.unwrap();
        let revoked =
            rows.iter().any(|row| row["action"] == "machine_revoke" && row.to_string().contains("two-pods/first"));
        assert!(revoked, "{rows:#?}");
    });
}

#[test]
fn the_audit_of_a_read_names_pod_node_and_service_account() {
    on_a_node("audit", async |installation| {
        let team = Team::new(installation, "audit").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let rows = team.installation.audit(1000).await.unwrap();
        let read =
            rows.iter().find(|row| row["action"] == "secret_read" && row.to_string().contains("audit/web")).unwrap();
        let node = team.installation.cluster.node().unwrap().name();
        for named in [node.as_str(), "web", "db"] {
            assert!(read.to_string().contains(named), "{named} in {read:#}");
        }
    });
}

#[test]
fn a_killed_sidecar_enrols_anew_and_its_old_machine_is_revoked() {
    on_a_node("killed sidecar", async |installation| {
        let team = Team::new(installation, "killed-sidecar").await;
        team.apply(SHOP).await;
        let pod = team.run(team.pod_object("web", "exec sleep 3600")).await;
        let before = team.machine_count_becomes(1).await;
        let content = team.read("web", PASSWORD).await.unwrap();
        kill_sidecar(pod.metadata.uid.as_deref().unwrap());
        wait_for("another machine with another key", BOUND, async || {
            let now = team.machines().await;
            let is_another =
                now.len() == 1 && now[0]["id"] != before[0]["id"] && now[0]["fingerprint"] != before[0]["fingerprint"];
            if is_another { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await
        .unwrap();
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), content, "the application keeps its file");
        // The kubelet writes its status a moment after the fact.
        let status = wait_for("the sidecar's restart in the pod's status", BOUND, async || {
            let status = team.pods().get("web").await.unwrap().status.unwrap();
            let restarts = status.init_container_statuses.as_ref().map(|containers| containers[0].restart_count);
            if restarts == Some(1) { Ok(status) } else { Err(format!("{restarts:?}")) }
        })
        .await
        .unwrap();
        assert_eq!(status.container_statuses.unwrap()[0].restart_count, 0, "the application was not restarted");
        let told = team.event("web", "MachineReplaced").await;
        assert_eq!(told, "the sidecar enrolled anew, which ended the pod's earlier machine");
    });
}

/// Kills the sidecar's process of one pod from outside, as the kernel's OOM killer would.
fn kill_sidecar(pod_uid: &str) {
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let is_sidecar = std::fs::read_to_string(entry.path().join("comm"))
            .is_ok_and(|comm| "sikkerkey-sidecar".starts_with(comm.trim()) && !comm.trim().is_empty());
        let is_of_pod =
            std::fs::read_to_string(entry.path().join("cgroup")).is_ok_and(|cgroup| cgroup.contains(pod_uid));
        if is_sidecar && is_of_pod {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            killed += 1;
        }
    }
    assert_eq!(killed, 1, "sidecar processes of pod {pod_uid}");
}
