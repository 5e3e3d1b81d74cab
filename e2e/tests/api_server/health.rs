//! What Flux and Argo CD make of an object: Flux by the rules of kstatus, Argo CD by the script that is shipped for it.

mod argo;
mod kstatus;

use std::fmt::Write;

use serde_json::json;
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::kubectl::Kubectl;

use crate::golden::assert_golden;
use crate::states::{State, kinds};
use crate::with_kinds;

/// Reasons of `Ready=False` that wait for a person who acts elsewhere than in Git.
const WAITS_FOR_A_PERSON: [&str; 6] =
    ["AdoptionRequired", "AwaitingApproval", "AwaitingBootstrap", "ProjectFrozen", "ValueLost", "ValueMissing"];

/// What both must say of a state, by its conditions alone.
fn expected(state: &State) -> (&'static str, &'static str) {
    let ready = state.condition("Ready").unwrap();
    let waits = WAITS_FOR_A_PERSON.contains(&ready["reason"].as_str().unwrap());
    match (ready["status"].as_str().unwrap(), state.condition("Stalled").is_some()) {
        ("True", false) => ("Current", "Healthy"),
        ("False", true) => ("Failed", "Degraded"),
        ("False", false) if waits => ("InProgress", "Suspended"),
        ("False" | "Unknown", false) => ("InProgress", "Progressing"),
        other => panic!("{}: {other:?}", state.name()),
    }
}

#[test]
fn both_tools_say_of_every_state_what_it_is() {
    let mut table = format!("{:<13} {:<32} {:<33} {:<11} ARGO CD\n", "KIND", "STATE", "READY", "FLUX");
    for kind in kinds() {
        for state in &kind.states {
            let (flux, argo) = (kstatus::status(&state.object), argo::health(kind.name, &state.object));
            assert_eq!((flux, argo.status.as_str()), expected(state), "{} {}", kind.name, state.name());
            let ready = state.condition("Ready").unwrap();
            let shown = format!("{}/{}", ready["status"].as_str().unwrap(), ready["reason"].as_str().unwrap());
            let (kind, name, argo) = (kind.name, state.name(), argo.status);
            writeln!(table, "{kind:<13} {name:<32} {shown:<33} {flux:<11} {argo}").unwrap();
        }
    }
    assert_golden("health.txt", &table);
}

#[test]
fn what_is_closed_ended_or_suspended_is_healthy() {
    for (kind, name) in [
        ("AccessPolicy", "closed"),
        ("AccessPolicy", "ended"),
        ("AccessPolicy", "never-opens"),
        ("Grant", "expired"),
        ("Grant", "suspended"),
        ("Machine", "expired"),
        ("Machine", "suspended"),
    ] {
        let kinds = kinds();
        let states = &kinds.iter().find(|one| one.name == kind).unwrap().states;
        let object = &states.iter().find(|state| state.name() == name).unwrap().object;
        let found = (kstatus::status(object), argo::health(kind, object).status);
        assert_eq!(found, ("Current", "Healthy".to_owned()), "{kind} {name}");
    }
}

#[test]
fn an_object_that_was_edited_since_or_is_being_deleted_or_has_no_status_is_in_progress() {
    for kind in kinds() {
        for state in &kind.states {
            let name = state.name();
            let mut edited = state.object.clone();
            edited["metadata"]["generation"] = json!(state.object["metadata"]["generation"].as_i64().unwrap() + 1);
            assert_eq!(kstatus::status(&edited), "InProgress", "{name}");
            assert_eq!(argo::health(kind.name, &edited).status, "Progressing", "{name}");

            let mut leaving = state.object.clone();
            leaving["metadata"]["deletionTimestamp"] = "2026-06-01T12:00:00Z".into();
            assert_eq!(kstatus::status(&leaving), "Terminating", "{name}");
            let health = argo::health(kind.name, &leaving);
            assert_eq!((health.status.as_str(), health.message.as_str()), ("Progressing", "Being deleted"), "{name}");

            let mut bare = state.object.clone();
            bare.as_object_mut().unwrap().remove("status");
            assert_eq!(argo::health(kind.name, &bare).status, "Progressing", "{name}");
        }
    }
}

#[test]
fn argo_says_why_and_what_to_do() {
    for kind in kinds() {
        for state in &kind.states {
            let ready = state.condition("Ready").unwrap();
            let health = argo::health(kind.name, &state.object);
            assert!(health.message.contains(ready["message"].as_str().unwrap()), "{} {}", kind.name, state.name());
            let says_why = matches!(health.status.as_str(), "Healthy" | "Suspended") || state.name() == "pending";
            let reason = ready["reason"].as_str().unwrap();
            assert!(says_why || health.message.starts_with(&format!("{reason}: ")), "{} {}", kind.name, state.name());
        }
    }
}

#[test]
fn the_script_in_the_config_map_is_the_one_for_argo_cd_itself_and_the_same_for_all_kinds() {
    let map = argo::config_map();
    for kind in kinds() {
        let script = &map["data"][format!("resource.customizations.health.sikkerkey.com_{}", kind.name)];
        assert_eq!(script.as_str().unwrap(), argo::script(kind.name), "{}", kind.name);
        assert_eq!(argo::script(kind.name), argo::script("Machine"));
    }
}

#[tokio::test]
async fn an_object_that_nobody_has_looked_at_is_in_progress_once_argo_cd_has_the_script() {
    let cluster = with_kinds().await;
    let kubectl = cluster.kubectl();
    assert_patch_applies(&kubectl).await;
    kubectl.apply(include_str!("../../../crds/tests/fixtures/gitops.yaml")).await.unwrap();
    let all = kubectl.run(["get", "sikkerkey", "-A", "-o", "json"]).await.unwrap();
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    let objects = all["items"].as_array().unwrap();
    assert_eq!(objects.len(), 7);
    for object in objects {
        assert_eq!(kstatus::status(object), "InProgress", "{object}");
        let health = argo::health(object["kind"].as_str().unwrap(), object);
        assert_eq!((health.status.as_str(), health.message.as_str()), ("Progressing", "Waiting for the operator"));
    }
    cluster.stop().await;
}

/// Patches Argo CD's configuration as the shipped file says.
async fn assert_patch_applies(kubectl: &Kubectl) {
    kubectl.run(["create", "namespace", "argocd"]).await.unwrap();
    kubectl.run(["-n", "argocd", "create", "configmap", "argocd-cm", "--from-literal=kept=yes"]).await.unwrap();
    let file = cargo::workspace().join("charts/gitops/argocd/argocd-cm.yaml").display().to_string();
    kubectl.run(["-n", "argocd", "patch", "configmap", "argocd-cm", "--patch-file", &file]).await.unwrap();
    let map = kubectl.run(["-n", "argocd", "get", "configmap", "argocd-cm", "-o", "json"]).await.unwrap();
    let map: serde_json::Value = serde_json::from_str(&map).unwrap();
    assert_eq!(map["data"]["kept"], "yes");
    for kind in kinds() {
        let script = &map["data"][format!("resource.customizations.health.sikkerkey.com_{}", kind.name)];
        assert_eq!(script, argo::script(kind.name), "{}", kind.name);
    }
}

/// Checks objects as the API server holds them against what the files say of their states.
pub(crate) fn assert_judged_as_in_the_files(list: &serde_json::Value) {
    let objects = list["items"].as_array().unwrap();
    let kinds = kinds();
    assert_eq!(objects.len(), kinds.iter().map(|kind| kind.states.len()).sum::<usize>());
    for object in objects {
        let kind = kinds.iter().find(|kind| object["kind"] == kind.name).unwrap();
        let state = kind.states.iter().find(|state| object["metadata"]["name"] == state.name()).unwrap();
        let found = (kstatus::status(object), argo::health(kind.name, object).status);
        let (flux, argo) = expected(state);
        assert_eq!(found, (flux, argo.to_owned()), "{object}");
    }
}
