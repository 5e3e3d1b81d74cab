//! `kubectl sikkerkey explain` and `audit`: a person's question on its way through the API server and the operator to the server.

use std::path::{Path, PathBuf};

use k8s_openapi::jiff::{ToSpan, tz::TimeZone};
use serde_json::{Value, json};
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::wait::wait_for;

use crate::plugin_program::{plugin, text};
use crate::team::{SHOP, Team};
use crate::{BOUND, present_time, without_a_node};

/// The administrator's file, made to speak as somebody else.
fn speaking_as(administrator: &Path, user: &str) -> PathBuf {
    let mut config: serde_yaml::Value = serde_yaml::from_str(&std::fs::read_to_string(administrator).unwrap()).unwrap();
    config["users"][0]["user"]["as"] = user.into();
    let path = administrator.with_file_name(format!("{user}.kubeconfig"));
    std::fs::write(&path, serde_yaml::to_string(&config).unwrap()).unwrap();
    path
}

/// Exit code and page.
async fn said(installation: &Installation, kubeconfig: &Path, arguments: &[&str]) -> (i32, String) {
    let output = plugin(installation, kubeconfig, arguments).await;
    let page = format!("{}{}", text(&output.stdout), text(&output.stderr));
    (output.status.code().unwrap(), page)
}

/// Waits until the question has this exit code and a line that begins and goes on so.
async fn becomes(team: &Team<'_>, arguments: &[&str], code: i32, line: &str, message: &str) -> String {
    let kubeconfig = team.installation.cluster.kubeconfig();
    let arguments: Vec<&str> = arguments.iter().chain(&["-n", &team.namespace]).copied().collect();
    wait_for(&format!("{arguments:?} to say {line} {message}"), BOUND, async || {
        let (found, page) = said(team.installation, &kubeconfig, &arguments).await;
        let is_there = page.lines().any(|it| it.starts_with(line) && it.contains(message));
        if found == code && is_there { Ok(page) } else { Err(format!("{found}: {page}")) }
    })
    .await
    .unwrap()
}

/// A policy that is closed today and for the two days around it.
fn closed() -> String {
    let later = present_time().to_zoned(TimeZone::UTC).checked_add(3.days()).unwrap();
    format!(
        "{{apiVersion: sikkerkey.com/v1alpha1, kind: AccessPolicy, metadata: {{name: hours}}, \
         spec: {{timeZone: UTC, timeWindow: {{days: [{}], start: \"06:00\", end: \"18:00\"}}}}}}",
        later.strftime("%a")
    )
}

const GUARDED: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {length: 40}}, policyRef: {name: hours}}
";

#[test]
fn a_person_learns_what_stands_against_a_read_and_who_read() {
    without_a_node("explain", async |installation| {
        let team = Team::new(installation, "explain").await;
        team.apply(SHOP).await;
        for (kind, name) in [("Secret", "db"), ("Machine", "web"), ("Grant", "web-reads-db")] {
            team.ready(kind, name).await;
        }
        let of_machine = ["explain", "--machine", "web", "secret/db"];
        let page = becomes(&team, &of_machine, 0, "ok   Grant", "granted by Grant explain/web-reads-db").await;
        assert!(page.starts_with("skm/web of namespace explain may read sks/db of namespace explain.\n"), "{page}");

        let pod =
            team.run(team.pod_object("web-1", "test -s /run/secrets/sikkerkey/db/password && exec sleep 3600")).await;
        let of_pod = ["explain", "pod/web-1", "sks/db"];
        let page = becomes(&team, &of_pod, 0, "ok   pod", "names Machine web and has the sidecar").await;
        assert!(page.starts_with("pod/web-1 (skm/web) of namespace explain may read"), "{page}");
        let value = std::fs::read_to_string(installation.volume(&pod, "app").unwrap().join("db/password")).unwrap();

        team.apply(&closed()).await;
        team.apply(GUARDED).await;
        let page = becomes(&team, &of_pod, 1, "NO   TimeWindow", "closed until").await;
        assert!(page.contains("may not read"), "{page}");
        team.kubectl(&["patch", "skm", "web", "--type=merge", "-p", r#"{"spec": {"suspend": true}}"#]).await;
        becomes(&team, &of_machine, 1, "NO   Machine", "is suspended").await;
        team.kubectl(&["delete", "skg", "web-reads-db"]).await;
        becomes(&team, &of_machine, 1, "NO   Grant", "Secret explain/db is not granted to Machine explain/web").await;

        // Who read, and who was refused, by each object that it is about.
        for object in ["sks/db", "skm/web", "skp/hours"] {
            let page = becomes(&team, &["audit", object], 0, "20", "explain/web   web-1 ").await;
            assert!(page.lines().any(|line| line.contains("   read ") && line.ends_with("version 1")), "{page}");
            assert!(!page.contains(&value), "never a value");
        }
        becomes(&team, &["audit", "sks/db"], 0, "20", "DENIED   explain/web").await;
        let kubeconfig = installation.cluster.kubeconfig();
        // Who asks too often is told to wait.
        let arguments = ["audit", "sks/db", "-n", "explain", "-o", "json", "--limit", "1"];
        let told = wait_for("an answer for programs", BOUND, async || {
            let (_, page) = said(installation, &kubeconfig, &arguments).await;
            serde_json::from_str::<Value>(&page).map_err(|error| format!("{error}: {page}"))
        });
        let told = told.await.unwrap();
        assert_eq!((told["events"].as_array().unwrap().len(), &told["held"]), (1, &json!(true)), "{told}");

        let (code, page) = said(installation, &kubeconfig, &["audit", "skg/web-reads-db", "-n", "explain"]).await;
        assert_eq!((code, page.contains("skg/web-reads-db does not exist in namespace explain")), (2, true), "{page}");
        let rows = installation.audit(2000).await.unwrap();
        let asked =
            |row: &&Value| row["action"] == "management_read" && row["detail"].as_str().unwrap().contains("asked by");
        assert!(rows.iter().filter(asked).count() > 5, "who looked is in the audit itself");
    });
}

/// A question as somebody might write it by hand.
fn by_hand(name: &str, uid: &str) -> String {
    let asked = json!({"kind": "Secret", "name": name, "uid": uid});
    json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Question",
        "metadata": {"name": "by-hand", "namespace": "asking"}, "spec": {"audit": asked},
    })
    .to_string()
}

#[test]
fn nobody_hears_what_they_may_not_get_and_nothing_is_stored() {
    without_a_node("asking", async |installation| {
        let team = Team::new(installation, "asking").await;
        team.apply(SHOP).await;
        team.ready("Grant", "web-reads-db").await;
        team.ready("Machine", "web").await;
        let administrator = installation.cluster.kubeconfig();
        let kubeconfig = speaking_as(&administrator, "asker");
        let explain = ["explain", "--machine", "web", "sks/db", "-n", "asking"];
        let uid = team.object("Secret", "db").await["metadata"]["uid"].as_str().unwrap().to_owned();

        // The API server learns of a role some moments after it was made.
        let explained = async |code: i32, expected: &str| {
            wait_for(&format!("explain to say {expected}"), BOUND, async || {
                let (found, page) = said(installation, &kubeconfig, &explain).await;
                if found == code && page.contains(expected) { Ok(page) } else { Err(format!("{found}: {page}")) }
            })
            .await
            .unwrap()
        };
        let create = async |question: String, dry_run: &str| {
            let arguments = ["create", dry_run, "--as", "asker", "-o", "json", "-f", "-"];
            let asked = installation.cluster.kubectl().run_with_input(arguments, &question).await;
            asked.unwrap_or_else(|error| error.to_string())
        };
        // Who asks too often is told to wait.
        let hears_of = async |name: &str, uid: &str, dry_run: &str, expected: &str| {
            wait_for(&format!("the asker to hear {expected}"), BOUND, async || {
                let told = create(by_hand(name, uid), dry_run).await;
                if told.contains(expected) { Ok(told) } else { Err(told) }
            })
            .await
            .unwrap()
        };
        let hears = async |expected: &str| hears_of("db", &uid, "--dry-run=server", expected).await;
        let role = async |name: &str, verbs: &str, resources: &str| {
            let (verbs, resources) = (format!("--verb={verbs}"), format!("--resource={resources}"));
            team.kubectl(&["create", "role", name, &verbs, &resources]).await;
            let role = format!("--role={name}");
            team.kubectl(&["create", "rolebinding", name, &role, "--user=asker"]).await;
        };

        explained(2, "?   secret    you may not get sks/db in namespace asking").await;
        role("machines", "get", "machines.sikkerkey.com").await;
        explained(2, "ok   machine   skm/web is in force").await;
        hears("cannot create resource").await;
        role("ask", "create", "questions.sikkerkey.com").await;
        // Past the plugin: who knows a uid, but may not get the object.
        hears("you may not get sks/db: ask for the verb get on secrets.sikkerkey.com in namespace asking").await;
        explained(2, "you may not get sks/db in namespace asking").await;
        role("secrets", "get", "secrets.sikkerkey.com").await;
        let page = explained(0, "ok   Grant").await;
        assert!(!page.contains("web-reads-db"), "Grants are not this person's: {page}");
        hears("you may not audit sks/db: ask for the verb audit on secrets.sikkerkey.com in namespace asking").await;
        role("audit", "audit", "secrets.sikkerkey.com").await;
        let told = hears("\"held\": true").await;
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["answer"]["usage"]["denied"], 0, "{told}");

        // Another object of the name, and none, are the same.
        for name in ["db", "nothing"] {
            let expected = format!("sks/{name} in namespace asking is not there, or is another one");
            hears_of(name, "guessed", "--dry-run=server", &expected).await;
        }
        // Nobody stores one, not even the administrator.
        hears_of("db", &uid, "--dry-run=none", "a Question is never stored").await;
        let stored = installation.cluster.kubectl().run_with_input(["create", "-f", "-"], &by_hand("db", &uid)).await;
        let refused = stored.unwrap_err().to_string();
        assert!(
            refused.contains("questions.sikkerkey.com\" denied the request: a Question is never stored"),
            "{refused}"
        );
        assert_eq!(team.kubectl(&["get", "questions", "-o", "name"]).await, "");
    });
}

/// A webhook that nobody listens for, of one namespace alone.
fn nobody_listens(namespace: &str) -> String {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": format!("away-{namespace}")},
        "webhooks": [{
            "name": "away.sikkerkey.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "clientConfig": {"url": "https://127.0.0.1:1/answer-questions"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": ["sikkerkey.com"], "apiVersions": ["v1alpha1"], "operations": ["CREATE"], "resources": ["questions"]}],
        }],
    })
    .to_string()
}

#[test]
fn without_an_operator_a_person_is_told_what_the_objects_tell_and_that_nobody_answers() {
    without_a_node("nobody answers", async |installation| {
        let team = Team::new(installation, "unanswered").await;
        team.apply(SHOP).await;
        team.ready("Grant", "web-reads-db").await;
        let explain = ["explain", "--machine", "web", "sks/db"];
        becomes(&team, &explain, 0, "ok   Grant", "web-reads-db").await;
        installation.cluster.kubectl().apply(&nobody_listens("unanswered")).await.unwrap();
        let page = becomes(&team, &explain, 2, "?    server", "no operator answers (kubectl sikkerkey status").await;
        assert!(
            page.contains("could not be found out") && page.contains("ok   grant     skg/web-reads-db is in force"),
            "{page}"
        );
        let kubeconfig = installation.cluster.kubeconfig();
        let (code, page) = said(installation, &kubeconfig, &["audit", "sks/db", "-n", "unanswered"]).await;
        assert_eq!((code, page.contains("no operator answers")), (2, true), "{page}");
        // Nothing of it is ever stored, so nothing holds the namespace.
        team.kubectl(&["delete", "skg,skm,sks", "--all"]).await;
        installation.cluster.kubectl().run(["delete", "namespace", "unanswered", "--timeout=60s"]).await.unwrap();
        installation
            .cluster
            .kubectl()
            .run(["delete", "mutatingwebhookconfiguration", "away-unanswered"])
            .await
            .unwrap();
    });
}
