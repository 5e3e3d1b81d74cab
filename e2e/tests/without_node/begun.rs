//! The host of a Machine begins with the command of `kubectl sikkerkey bootstrap`.

use std::path::Path;

use serde_json::Value;
use sikkerkey_e2e::wait::wait_for;
use tokio::process::Command;

use crate::plugin_program::{plugin, text};
use crate::team::Team;
use crate::{BOUND, without_a_node};

const HOST: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: backup}
spec: {host: {}}
";

/// Types a command on a host whose home this is.
async fn types(home: &Path, command: &str) -> (bool, String) {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env_remove("SIKKERKEY_HOME").env("HOME", home).kill_on_drop(true);
    let output = tokio::time::timeout(BOUND, shell.output()).await.expect("it ends in time").unwrap();
    (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

fn said<'a>(page: &'a str, word: &str) -> &'a str {
    let mut lines = page.lines().filter_map(|line| line.trim_start().strip_prefix(word));
    lines.next().unwrap_or_else(|| panic!("{word} in {page}")).trim()
}

#[test]
fn the_host_of_a_machine_begins_with_a_command_of_the_plugin_and_is_approved_in_its_object() {
    without_a_node("begun", async |installation| {
        let team = Team::new(installation, "begun").await;
        let kubeconfig = installation.cluster.kubeconfig();
        team.apply(HOST).await;
        let waits = team.condition("Machine", "backup", "Ready", "False", "AwaitingBootstrap").await;
        assert!(waits.contains("kubectl sikkerkey bootstrap backup prints a command for it"), "{waits}");

        let arguments = ["bootstrap", "backup", "-n", "begun", "-o", "json"];
        // Another test may just have asked as often as this person may.
        let printed = wait_for("a command", BOUND, async || {
            let printed = plugin(installation, &kubeconfig, &arguments).await;
            if printed.status.code() == Some(0) { Ok(printed) } else { Err(text(&printed.stderr).to_owned()) }
        });
        let printed = printed.await.unwrap();
        let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
        let home = tempfile::tempdir().unwrap();
        let (ok, page) = types(home.path(), printed["command"].as_str().unwrap()).await;
        assert!(ok, "{page}");
        let (id, fingerprint) = (said(&page, "machine  "), said(&page, "fingerprint  "));
        let public_key = said(&page, "public key  ");
        assert!(page.contains("registered as \"begun/backup\""), "{page}");
        assert!(Path::new(said(&page, "identity  ")).starts_with(home.path().join(".sikkerkey/vaults")));

        // The token is in nothing that the cluster stores or says.
        let object = team.object("Machine", "backup").await;
        let command = printed["command"].as_str().unwrap();
        let token = command.split("/v1/bootstrap/").nth(1).unwrap().get(..64).unwrap();
        assert!(!object.to_string().contains(token), "{object}");

        let waits = team.condition("Machine", "backup", "Ready", "False", "AwaitingApproval").await;
        assert!(waits.contains(&format!("Key {fingerprint} waits for approval")) && waits.contains(id), "{waits}");

        team.apply(&HOST.replace("host: {}", &format!("host: {{publicKey: \"{public_key}\"}}"))).await;
        team.ready("Machine", "backup").await;
        assert_eq!(team.object("Machine", "backup").await["status"]["machineID"], id);

        // It works once.
        let (ok, page) = types(home.path(), command).await;
        assert!(!ok && page.contains("sikkerkey: this command was used already"), "{page}");
    });
}

#[test]
fn whoever_may_not_have_hosts_begin_gets_no_command() {
    without_a_node("begun-rights", async |installation| {
        let team = Team::new(installation, "begun-rights").await;
        let administrator = installation.cluster.kubeconfig();
        team.apply(HOST).await;
        team.condition("Machine", "backup", "Ready", "False", "AwaitingBootstrap").await;
        let kubeconfig = crate::plugin::powerless(&administrator, "begun");
        let rights = |verbs: &str| {
            let role = format!("create role begin --verb={verbs} --resource=machines.sikkerkey.com");
            role.split(' ').map(str::to_owned).collect::<Vec<String>>()
        };
        let ask = "create role ask --verb=create --resource=questions.sikkerkey.com";
        team.kubectl(&ask.split(' ').collect::<Vec<_>>()).await;
        team.kubectl(&rights("get").iter().map(String::as_str).collect::<Vec<_>>()).await;
        for role in ["ask", "begin"] {
            team.kubectl(&["create", "rolebinding", role, &format!("--role={role}"), "--user=nobody"]).await;
        }
        let arguments = ["bootstrap", "skm/backup", "-n", "begun-rights"];
        // The API server learns of a role some moments after it was made.
        wait_for("what is missing to be told", BOUND, async || {
            let refused = plugin(installation, &kubeconfig, &arguments).await;
            let told = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{told}");
            assert!(refused.stdout.is_empty(), "no command without a token that the server knows");
            let missing = "you may not bootstrap skm/backup: ask for the verb bootstrap on machines.sikkerkey.com";
            if told.contains(missing) { Ok(()) } else { Err(told.to_owned()) }
        })
        .await
        .unwrap();

        let pods = plugin(installation, &administrator, &["bootstrap", "nothing", "-n", "begun-rights"]).await;
        assert!(text(&pods.stderr).contains("skm/nothing does not exist in namespace begun-rights"), "{pods:?}");
    });
}
