//! `kubectl sikkerkey`, found and run by kubectl.

use std::path::Path;

use serde_json::{Value, json};
use sikkerkey_e2e::installation::NAMESPACE;
use sikkerkey_e2e::wait::wait_for;

use crate::plugin_program::{plugin, text};
use crate::team::Team;
use crate::{BOUND, without_a_node};

const IN_ORDER: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: web}
spec: {workload: {serviceAccountNames: [web]}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web}
spec: {machineRef: {name: web}, secretRefs: [{name: db}]}
";

const BROKEN: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: broken}
spec: {machineRef: {name: web}, secretRefs: [{name: db}, {name: nowhere}]}
";

/// The administrator's file, made to speak as somebody without rights.
pub(crate) fn powerless(administrator: &Path, test: &str) -> std::path::PathBuf {
    let mut config: serde_yaml::Value = serde_yaml::from_str(&std::fs::read_to_string(administrator).unwrap()).unwrap();
    config["users"][0]["user"]["as"] = "nobody".into();
    let path = administrator.with_file_name(format!("powerless-{test}.kubeconfig"));
    std::fs::write(&path, serde_yaml::to_string(&config).unwrap()).unwrap();
    path
}

#[test]
fn one_page_tells_what_does_not_work_and_what_to_do() {
    without_a_node("plugin", async |installation| {
        let team = Team::new(installation, "plugin").await;
        let kubeconfig = installation.cluster.kubeconfig();
        team.apply(IN_ORDER).await;
        for (kind, name) in [("Machine", "web"), ("Secret", "db"), ("Grant", "web")] {
            team.ready(kind, name).await;
        }
        // The leader tells of the server when it renews its Lease.
        let fine = wait_for("the operator to tell that the server answers", BOUND, async || {
            let looked = plugin(installation, &kubeconfig, &["status", "-n", "plugin"]).await;
            if text(&looked.stdout).contains("the server answers it") { Ok(looked) } else { Err(format!("{looked:?}")) }
        });
        let fine = fine.await.unwrap();
        let page = text(&fine.stdout);
        assert_eq!(fine.status.code(), Some(0), "{page}{}", text(&fine.stderr));
        let lines: Vec<&str> = page.lines().collect();
        assert!(
            lines[0].starts_with("Operator   ") && lines[0].ends_with(" leads, and the server answers it"),
            "{page}"
        );
        assert_eq!(lines[1..], ["Objects    3: 3 in order, 0 to mend, 0 to notice"]);

        team.apply(BROKEN).await;
        let message = team.condition("Grant", "broken", "Ready", "False", "SecretNotFound").await;
        let broken = plugin(installation, &kubeconfig, &["status", "-n", "plugin"]).await;
        assert_eq!(broken.status.code(), Some(1));
        let page = text(&broken.stdout);
        let line = page.lines().find(|line| line.contains("skg/broken")).unwrap_or_else(|| panic!("{page}"));
        assert!(line.starts_with("plugin ") && line.ends_with(&message), "{page}");
        assert!(!page.contains('\u{1b}'), "no colour where there is no terminal");

        let told = plugin(installation, &kubeconfig, &["status", "-A", "-o", "json"]).await;
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        let findings = told["findings"].as_array().unwrap();
        let ours: Vec<&Value> = findings.iter().filter(|finding| finding["namespace"] == "plugin").collect();
        assert_eq!(ours.len(), 1, "{told:#}");
        assert_eq!((&ours[0]["object"], &ours[0]["message"]), (&json!("skg/broken"), &json!(message)));
    });
}

#[test]
fn an_installation_that_works_is_found_to_work() {
    without_a_node("doctor", async |installation| {
        let _team = Team::new(installation, "doctor").await;
        let administrator = installation.cluster.kubeconfig();
        let said = wait_for("the doctor to find nothing", BOUND, async || {
            let said = plugin(installation, &administrator, &["doctor", "-n", "doctor"]).await;
            if said.status.success() { Ok(said) } else { Err(format!("{said:?}")) }
        });
        let said = said.await.unwrap();
        let outcomes: Vec<&str> = text(&said.stdout).lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(outcomes, ["ok"; 5], "{}", text(&said.stdout));

        let said =
            plugin(installation, &powerless(&administrator, "doctor"), &["doctor", "-n", "doctor", "-o", "json"]).await;
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        let outcomes: Vec<&str> =
            said["checks"].as_array().unwrap().iter().map(|check| check["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["Unknown", "Unknown", "Unknown", "Unknown", "Good"], "{said:#}");

        let spared = plugin(installation, &administrator, &["doctor", "-n", NAMESPACE]).await;
        let page = text(&spared.stdout);
        let told = "not tried: no webhook is asked about namespace sikkerkey-system; give a team's with -n";
        assert!(spared.status.success() && page.matches(told).count() == 2, "{page}");
    });
}

#[test]
fn a_person_sees_what_they_may_see() {
    without_a_node("plugin-rights", async |installation| {
        let team = Team::new(installation, "plugin-rights").await;
        let kubeconfig = powerless(&installation.cluster.kubeconfig(), "status");
        let refused = plugin(installation, &kubeconfig, &["status", "-n", "plugin-rights"]).await;
        assert_eq!(refused.status.code(), Some(2));
        let said = text(&refused.stderr);
        assert!(
            said.starts_with("Error: you may not list machines.sikkerkey.com in namespace plugin-rights"),
            "{said}"
        );

        // Rights in the namespace, and none in the operator's.
        let role = "--verb=get,list --resource=machines.sikkerkey.com,secrets.sikkerkey.com,grants.sikkerkey.com,\
                    accesspolicies.sikkerkey.com";
        let role: Vec<&str> = ["create", "role", "look"].into_iter().chain(role.split(' ')).collect();
        team.kubectl(&role).await;
        team.kubectl(&["create", "rolebinding", "look", "--role=look", "--user=nobody"]).await;
        // The API server learns of a role some moments after it was made.
        let page = wait_for("the page", BOUND, async || {
            let seen = plugin(installation, &kubeconfig, &["status", "-n", "plugin-rights"]).await;
            let said = if seen.status.success() { Ok(text(&seen.stdout)) } else { Err(text(&seen.stderr)) };
            said.map(str::to_owned).map_err(str::to_owned)
        })
        .await
        .unwrap();
        assert_eq!(
            page,
            "Operator   unknown: you may not get its Lease in namespace sikkerkey-system\n\
             Objects    0: 0 in order, 0 to mend, 0 to notice\n"
        );
    });
}

#[test]
fn another_value_is_made_once_however_often_the_patch_is_applied() {
    without_a_node("plugin-rotate", async |installation| {
        let team = Team::new(installation, "plugin-rotate").await;
        let kubeconfig = installation.cluster.kubeconfig();
        team.apply(
            "{apiVersion: sikkerkey.com/v1alpha1, kind: Secret, metadata: {name: db}, spec: {source: {generate: {}}}}",
        )
        .await;
        team.ready("Secret", "db").await;
        let version = async || team.object("Secret", "db").await["status"]["version"].clone();
        let rotate = async |more: &[&str]| {
            let arguments = [&["rotate", "sks/db", "-n", "plugin-rotate", "-o", "json"], more].concat();
            let said = plugin(installation, &kubeconfig, &arguments).await;
            assert!(said.status.success(), "{}", text(&said.stderr));
            serde_json::from_slice::<Value>(&said.stdout).unwrap()
        };
        let printed = rotate(&[]).await;
        let told = (&printed["version"], &printed["applied"], &team.object("Secret", "db").await["spec"]["rotation"]);
        assert_eq!(told, (&json!(1), &json!(false), &Value::Null), "nothing is changed");

        let applied = rotate(&["--yes"]).await;
        wait_for("another version", BOUND, async || match version().await {
            found if found == 2 => Ok(()),
            found => Err(format!("version {found}")),
        })
        .await
        .unwrap();
        // Once more, and an edit that the operator has seen: no further value.
        team.kubectl(&["patch", "sks", "db", "--type=merge", "-p", &applied["patch"].to_string()]).await;
        team.kubectl(&["patch", "sks", "db", "--type=merge", "-p", r#"{"spec":{"rotation":{"every":"720h"}}}"#]).await;
        wait_for("the edit to be in force", BOUND, async || {
            let object = team.object("Secret", "db").await;
            let is_seen = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            let is_dated = object["status"]["nextRotationTime"].is_string();
            if is_seen && is_dated { Ok(()) } else { Err(format!("{object:#}")) }
        })
        .await
        .unwrap();
        assert_eq!(version().await, 2);

        let refused =
            plugin(installation, &powerless(&kubeconfig, "rotate"), &["rotate", "db", "-n", "plugin-rotate", "--yes"])
                .await;
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains("you may not get sks/db in namespace plugin-rotate"), "{refused:?}");
    });
}
