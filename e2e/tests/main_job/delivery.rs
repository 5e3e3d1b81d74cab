//! Files: there before the application, right, and current.

use serde_json::json;
use sikkerkey_e2e::pod;

use crate::team::{PASSWORD, SHOP, Team, container};
use crate::{BOUND, on_a_node};

#[test]
fn the_application_starts_with_the_value_that_the_server_made() {
    on_a_node("delivery", async |installation| {
        let team = Team::new(installation, "delivery").await;
        team.apply(SHOP).await;
        for (kind, name) in [("Secret", "db"), ("Machine", "web"), ("Grant", "web-reads-db")] {
            team.ready(kind, name).await;
        }
        // The application ends at once if the file is not there when it starts.
        let pod = team.pod_object("web", &format!("test -s {PASSWORD} && exec sleep 3600"));
        team.run(pod).await;
        let password = team.read("web", PASSWORD).await.unwrap();
        assert_eq!(password.len(), 40, "{password}");
        assert!(password.bytes().all(|b| b.is_ascii_alphanumeric()), "{password}");

        let value = crate::host::host(&team, "auditor", &["db"]).await.value("db").await;
        assert_eq!(password, value, "the file is what an SDK reads");

        let mount = team.exec("web", &["grep", "/run/secrets/sikkerkey ", "/proc/mounts"]).await.unwrap();
        assert!(mount.contains(" tmpfs ro,") || mount.contains("tmpfs") && mount.contains("ro,"), "{mount}");
    });
}

#[test]
fn an_init_container_of_the_application_reads_the_files_too() {
    on_a_node("init container", async |installation| {
        let team = Team::new(installation, "init-container").await;
        team.apply(SHOP).await;
        let mut pod = team.pod_object("migrate", "exec sleep 3600");
        pod["spec"]["initContainers"] = json!([container("migration", &format!("test -s {PASSWORD}"))]);
        team.run(pod).await;
    });
}

#[test]
fn a_job_with_the_sidecar_completes() {
    on_a_node("job", async |installation| {
        let team = Team::new(installation, "job").await;
        team.apply(SHOP).await;
        let mut spec = team.pod_spec(&format!("test -s {PASSWORD}"));
        spec["restartPolicy"] = json!("Never");
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "report"},
            "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"sikkerkey.com/machine": "web"}}, "spec": spec}},
        });
        team.apply(&job.to_string()).await;
        team.kubectl(&["wait", "--for=condition=Complete", "job/report", "--timeout=90s"]).await;
        // The pod object of a completed Job stays; its identity does not.
        team.machine_count_becomes(0).await;
    });
}

#[test]
fn a_grant_that_comes_later_reaches_a_running_pod() {
    on_a_node("later grant", async |installation| {
        let team = Team::new(installation, "later-grant").await;
        team.apply(SHOP).await;
        team.apply(
            "{apiVersion: sikkerkey.com/v1alpha1, kind: Machine, metadata: {name: web}, spec: {workload: {serviceAccountNames: [web]}, \
             delivery: {files: [{path: db/password, secretRefs: [{name: db}]}, {path: extra, optional: true, secretRefs: [{name: extra}]}]}}}",
        )
        .await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        team.file_becomes("web", "/run/secrets/sikkerkey/extra", None).await;
        team.apply(
            "{apiVersion: sikkerkey.com/v1alpha1, kind: Secret, metadata: {name: extra}, spec: {source: {generate: {length: 8, charset: Numeric}}}}",
        )
        .await;
        team.apply(
            "{apiVersion: sikkerkey.com/v1alpha1, kind: Grant, metadata: {name: web-reads-extra}, spec: {machineRef: {name: web}, secretRefs: [{name: extra}]}}",
        )
        .await;
        let value = crate::host::host(&team, "auditor", &["extra"]).await.value("extra").await;
        team.file_becomes("web", "/run/secrets/sikkerkey/extra", Some(&value)).await;
    });
}

#[test]
fn the_pod_that_waits_for_a_grant_says_so_and_starts_when_it_comes() {
    on_a_node("waiting pod", async |installation| {
        let team = Team::new(installation, "waiting-pod").await;
        let without_grant: Vec<&str> = SHOP.split("---").take(2).collect();
        team.apply(&without_grant.join("---")).await;
        let message = team.condition("Machine", "web", "ResolvedRefs", "False", "SecretNotGranted").await;
        assert_eq!(
            message,
            "File db/password needs Secret db, which is not granted to this Machine: add it to a Grant in namespace waiting-pod."
        );
        team.create(team.pod_object("web", "exec sleep 3600")).await.unwrap();
        team.machine_count_becomes(1).await;
        team.apply(SHOP).await;
        pod::ready(&team.client, &team.namespace, "web", BOUND).await.unwrap();
    });
}
