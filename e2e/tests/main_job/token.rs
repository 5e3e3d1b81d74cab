//! The token's file, which the kubelet replaces while the sidecar runs.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{PASSWORD, SHOP, Team};
use crate::{BOUND, on_a_node};

/// A window that is always open. For its sake the pod waits with a probe, and its sidecar is left alone.
const POLICY: &str = r#"
---
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: always}
spec: {timeZone: UTC, timeWindow: {start: "00:00", end: "24:00"}}
"#;

#[test]
fn a_running_sidecar_takes_the_token_that_stands_in_its_file_now() {
    on_a_node("replaced token", async |installation| {
        let team = Team::new(installation, "replaced-token").await;
        let guarded =
            SHOP.replace("{source: {generate: {length: 40}}}", "{source: {generate: {}}, policyRef: {name: always}}");
        let suspended = guarded.replace("  workload:", "  suspend: true\n  workload:");
        team.apply(&format!("{suspended}{POLICY}")).await;
        team.condition("Machine", "web", "Ready", "True", "Suspended").await;
        // A policy that the webhook knows of gives the pod the gate that waits.
        team.ready("AccessPolicy", "always").await;
        team.create(team.pod_object("web", &format!("test -s {PASSWORD} && exec sleep 3600"))).await.unwrap();
        let told = team.event("web", "EnrolmentRefused").await;
        assert!(told.contains("suspended"), "{told}");
        let pod = team.pods().get("web").await.unwrap();
        let uid = pod.metadata.uid.clone().unwrap();
        let sidecar = installation.sidecar(&pod).unwrap().pid();
        let says = async |what: &str, holds: &dyn Fn(&str) -> bool, again: &dyn Fn()| {
            wait_for(what, BOUND, async || {
                again();
                let state: Value = std::fs::read(installation.volume(&pod, "app").unwrap().join("..state"))
                    .map_err(|error| error.to_string())
                    .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()))?;
                let message = state["message"].as_str().unwrap_or_default();
                if holds(message) { Ok(()) } else { Err(state.to_string()) }
            })
            .await
            .unwrap();
        };

        // One that is none. The kubelet puts its own back now and then.
        let volume = token_volume(installation.cluster.run().path(), &uid);
        says("the token to be refused", &|message| message.contains("does not accept the token"), &|| {
            if std::fs::read(volume.join("token")).is_ok_and(|token| token != b"none") {
                replace(&volume, "none");
            }
        })
        .await;
        let fresh = installation.cluster.token(&team.namespace, "web", Some(&pod), &["sikkerkey"]).await.unwrap();
        replace(&volume, &fresh);
        says("the Machine to be what is refused", &|message| message.contains("suspended"), &|| {}).await;
        team.apply(&guarded).await;
        pod::ready(&team.client, &team.namespace, "web", BOUND).await.unwrap();
        assert_eq!(installation.sidecar(&pod).unwrap().pid(), sidecar, "the same process throughout");
        assert_eq!(team.read("web", PASSWORD).await.unwrap().len(), 32);
        let restarts = team.pods().get("web").await.unwrap().status.unwrap().init_container_statuses.unwrap().remove(0);
        assert_eq!(json!(restarts.restart_count), json!(0));
    });
}

/// Where the kubelet of this run keeps a pod's token. Its mounts are not this machine's.
fn token_volume(run: &Path, pod_uid: &str) -> PathBuf {
    let below = run.join(format!("kubelet/pods/{pod_uid}/volumes/kubernetes.io~projected/sikkerkey-token"));
    let below = below.strip_prefix("/").unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let kubelets = processes
        .into_iter()
        .filter(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "kubelet"));
    let mut found = kubelets.map(|path| path.join("root").join(below)).filter(|path| path.join("token").exists());
    found.next().expect("the kubelet's volume of the token")
}

/// Swaps another token in as the kubelet does it: a directory beside the present one, and a link that is renamed.
fn replace(volume: &Path, token: &str) {
    let before = std::fs::metadata(volume.join("token")).unwrap();
    let name = format!("..2000_01_01_00_00_00.{}", token.len());
    let directory = volume.join(&name);
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("token");
    std::fs::write(&file, token).unwrap();
    std::fs::set_permissions(&file, before.permissions()).unwrap();
    chown(&file, Some(before.uid()), Some(before.gid())).unwrap();
    let link = volume.join("..data_tmp");
    let _ = std::fs::remove_file(&link);
    symlink(&name, &link).unwrap();
    std::fs::rename(&link, volume.join("..data")).unwrap();
}
