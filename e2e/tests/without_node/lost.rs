//! A server whose data was rolled back to an earlier day: what it generated since then is not silently something else.

use std::path::Path;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use sikkerkey_e2e::wait::wait_for;

use crate::team::{SHOP, Team, condition_of};
use crate::{BOUND, alone, present_time};

/// A Secret that the server has on the earlier day already.
const EARLIER: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: earlier}
spec: {source: {generate: {}}}
";

/// What reads it on the earlier day.
const READER: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: reader}
spec: {workload: {serviceAccountNames: [web]}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: reader-reads-earlier}
spec: {machineRef: {name: reader}, secretRefs: [{name: earlier}]}
";

/// The files of a directory, as they are while no server writes them.
fn snapshot(from: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(from).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect()
}

/// Puts them back, and takes away what came since.
fn roll_back(to: &Path, files: &[(std::ffi::OsString, Vec<u8>)]) {
    for (name, _) in snapshot(to) {
        std::fs::remove_file(to.join(name)).unwrap();
    }
    for (name, content) in files {
        std::fs::write(to.join(name), content).unwrap();
    }
}

/// An instant after a version that the status shows: it shows whole seconds, and nobody asks within the same one.
async fn later_than(made: &str) -> String {
    let made: Timestamp = made.parse().unwrap();
    wait_for("the second after the lost version", BOUND, async || match present_time() {
        now if now.as_second() > made.as_second() => Ok(now.to_string()),
        now => Err(now.to_string()),
    })
    .await
    .unwrap()
}

/// How many Events of the namespace have a reason.
async fn events(team: &Team<'_>, reason: &str) -> usize {
    let events = team.kubectl(&["get", "events", "-o", "json", "--field-selector", &format!("reason={reason}")]).await;
    serde_json::from_str::<Value>(&events).unwrap()["items"].as_array().unwrap().len()
}

#[test]
fn a_value_that_the_server_has_lost_is_not_replaced_until_a_person_asks_for_another_one() {
    alone("lost", async |installation| {
        let data = installation.data_directory();
        let team = Team::new(installation, "lost").await;
        team.apply(EARLIER).await;
        team.ready("Secret", "earlier").await;
        let namespace = team.namespace.clone();
        drop(team);
        installation.server.kill().await.unwrap();
        let earlier = snapshot(&data);
        installation.server.restart().await.unwrap();

        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        team.apply(SHOP).await;
        team.ready("Machine", "web").await;
        team.ready("Secret", "db").await;
        let had = team.object("Secret", "db").await["status"].clone();
        let namespace = team.namespace.clone();
        drop(team);

        installation.server.kill().await.unwrap();
        roll_back(&data, &earlier);
        installation.server.restart().await.unwrap();
        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        let message = team.condition("Secret", "db", "Ready", "False", "ValueLost").await;
        let made = had["versionTime"].as_str().unwrap();
        assert_eq!(
            message,
            format!(
                "The server has lost version 1 of {made}. Restore its database, or have another value made: set \
                 spec.rotation.olderThan to the present time."
            )
        );
        // The Event comes after the status.
        wait_for("an Event", BOUND, async || match events(&team, "ValueLost").await {
            1 => Ok(()),
            other => Err(format!("{other} Events")),
        })
        .await
        .unwrap();
        // What was there before is what it was, and what else the objects say is in force.
        team.ready("Secret", "earlier").await;
        team.ready("Grant", "web-reads-db").await;
        assert_eq!(team.object("Secret", "db").await["status"]["version"], 1);
        // An edit of something else, and an operator that begins anew, have none made either.
        team.kubectl(&["patch", "sks", "db", "--type=merge", "-p", r#"{"spec": {"deletionPolicy": "Delete"}}"#]).await;
        team.condition("Secret", "db", "Ready", "False", "ValueLost").await;
        let namespace = team.namespace.clone();
        drop(team);
        installation.operator.kill().await.unwrap();
        installation.operator.restart().await.unwrap();
        installation.operator_ready().await.unwrap();
        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        let edit = r#"{"spec": {"deletionPolicy": "Retain", "rotation": {"olderThan": "TIME"}}}"#;
        team.kubectl(&["patch", "sks", "db", "--type=merge", "-p", &edit.replace("TIME", made)]).await;
        team.condition("Secret", "db", "Ready", "False", "ValueLost").await;
        assert_eq!(team.object("Secret", "db").await["status"]["versionTime"], had["versionTime"]);

        // The word.
        team.kubectl(&["patch", "sks", "db", "--type=merge", "-p", &edit.replace("TIME", &later_than(made).await)])
            .await;
        team.ready("Secret", "db").await;
        let object = team.object("Secret", "db").await;
        assert_eq!(condition_of(&object, "Programmed").unwrap().1, "Programmed");
        assert_ne!(object["status"]["secretID"], had["secretID"]);
    });
}

/// The object, once it says of its newest generation that it is not accepted, and ends so.
async fn is_said(team: &Team<'_>, kind: &str, name: &str, end: &str) -> Value {
    wait_for(&format!("{kind} {name} to say: {end}"), BOUND, async || {
        let object = team.object(kind, name).await;
        let is_newest = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        match condition_of(&object, "Accepted") {
            Some((status, _, message)) if status == "False" && message.ends_with(end) && is_newest => Ok(object),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap()
}

/// Stores a field that is none. The API server takes a moment to let go of its policies.
async fn colour(team: &Team<'_>, colour: &str) {
    let patch = format!(r#"{{"spec": {{"colour": "{colour}"}}}}"#);
    for object in ["sks/earlier", "skg/web-reads-db", "skg/reader-reads-earlier"] {
        let args = ["patch", object, "-n", &team.namespace, "--type=merge", "-p", &patch];
        wait_for("a field that is none to be stored", BOUND, async || {
            team.installation.cluster.kubectl().run(args).await.map_err(|error| error.to_string())
        })
        .await
        .unwrap();
    }
}

/// Whether the server would let the reader of the earlier day read.
async fn may_read(team: &Team<'_>) -> bool {
    let [machine, secret] = ["reader", "earlier"].map(|name| format!("{}/{name}", team.namespace));
    let explained = team.installation.admin_json(&["explain", "--machine", &machine, "--secret", &secret]).await;
    explained.unwrap()["allowed"].as_bool().unwrap()
}

/// The generation of which `Programmed` speaks, with its status and reason.
fn programmed(object: &Value) -> (String, String, i64) {
    let (status, reason, _) = condition_of(object, "Programmed").unwrap();
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let of = conditions.iter().find(|condition| condition["type"] == "Programmed").unwrap();
    (status, reason, of["observedGeneration"].as_i64().unwrap())
}

#[test]
fn a_generation_that_is_not_accepted_says_what_a_server_that_was_rolled_back_has_in_force() {
    alone("rejected", async |installation| {
        let data = installation.data_directory();
        let team = Team::new(installation, "rejected").await;
        team.apply(EARLIER).await;
        team.apply(READER).await;
        team.ready("Secret", "earlier").await;
        team.ready("Grant", "reader-reads-earlier").await;
        assert!(may_read(&team).await);
        let namespace = team.namespace.clone();
        drop(team);
        installation.server.kill().await.unwrap();
        let earlier = snapshot(&data);
        installation.server.restart().await.unwrap();

        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        team.kubectl(&["patch", "sks", "earlier", "--type=merge", "-p", r#"{"spec": {"deletionPolicy": "Delete"}}"#])
            .await;
        let another = r#"{"spec": {"secretRefs": [{"name": "not-there"}]}}"#;
        team.kubectl(&["patch", "skg", "reader-reads-earlier", "--type=merge", "-p", another]).await;
        team.condition("Grant", "reader-reads-earlier", "ResolvedRefs", "False", "SecretNotFound").await;
        assert!(!may_read(&team).await);
        team.apply(SHOP).await;
        team.ready("Secret", "earlier").await;
        team.ready("Grant", "web-reads-db").await;
        // As an earlier release would have let them pass.
        for what in ["validatingwebhookconfigurations", "validatingadmissionpolicybindings"] {
            team.kubectl(&["delete", what, "--all"]).await;
        }
        colour(&team, "red").await;
        let secret = is_said(&team, "Secret", "earlier", " Generation 2 stays in force.").await;
        assert_eq!(programmed(&secret), ("True".to_owned(), "Programmed".to_owned(), 2));
        let grant = is_said(&team, "Grant", "web-reads-db", " Generation 1 stays in force.").await;
        assert_eq!(grant["status"]["secrets"]["summary"], "1/1");
        is_said(&team, "Grant", "reader-reads-earlier", " Generation 2 stays in force.").await;
        let namespace = team.namespace.clone();
        drop(team);

        for restarted in [false, true] {
            if restarted {
                installation.operator.kill().await.unwrap();
            }
            installation.server.kill().await.unwrap();
            roll_back(&data, &earlier);
            installation.server.restart().await.unwrap();
            if restarted {
                installation.operator.restart().await.unwrap();
                installation.operator_ready().await.unwrap();
            }
            let namespace = namespace.clone();
            let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
            if restarted {
                // What the operator before has written does not stand for it.
                colour(&team, "blue").await;
            }
            let secret = is_said(&team, "Secret", "earlier", " Generation 1 stays in force.").await;
            assert_eq!(programmed(&secret), ("True".to_owned(), "Programmed".to_owned(), 1));
            let grant = is_said(&team, "Grant", "web-reads-db", " Nothing is in force yet.").await;
            assert_eq!(programmed(&grant), ("False".to_owned(), "UnknownField".to_owned(), 2));
            assert_eq!(grant["status"]["secrets"]["summary"], "0/1");
            // What was taken away by a generation that was accepted does not come back with the earlier day.
            wait_for("what was withdrawn to be withdrawn again", BOUND, async || {
                if may_read(&team).await { Err("the reader may read") } else { Ok(()) }
            })
            .await
            .unwrap();
            let reader = is_said(&team, "Grant", "reader-reads-earlier", " Generation 2 stays in force.").await;
            assert_eq!(reader["status"]["secrets"]["summary"], "0/1");
            wait_for("the Machine to have no Secret", BOUND, async || {
                match &team.object("Machine", "web").await["status"]["grantedSecrets"] {
                    Value::Number(count) if count.as_i64() == Some(0) => Ok(()),
                    other => Err(other.to_string()),
                }
            })
            .await
            .unwrap();
        }

        let team = Team { client: installation.admin_client().unwrap(), installation, namespace };
        for object in ["sks/earlier", "skg/web-reads-db", "skg/reader-reads-earlier"] {
            let corrected = r#"[{"op": "remove", "path": "/spec/colour"}]"#;
            team.kubectl(&["patch", object, "--type=json", "-p", corrected]).await;
        }
        team.ready("Secret", "earlier").await;
        team.condition("Grant", "reader-reads-earlier", "ResolvedRefs", "False", "SecretNotFound").await;
        // Its Grant is in force again, and the value is lost all the same.
        team.condition("Grant", "web-reads-db", "Programmed", "True", "Programmed").await;
    });
}
