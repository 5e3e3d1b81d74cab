//! A value that stands in Git, encrypted: from a person's computer into a file of a pod.

use std::process::Stdio;

use sikkerkey_e2e::installation::CLUSTER_NAME;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::on_a_node;
use crate::team::{PASSWORD, SHOP, Team};

/// What `sikkerkey-operator seal` prints for `db` of the team's namespace, with the key from the server.
async fn seal(team: &Team<'_>, value: &str) -> String {
    let installation = team.installation;
    let mut child = Command::new(installation.operator_program())
        .args(["seal", "--server", &installation.server_url(), "--vault", &installation.vault, "--ca"])
        .arg(installation.ca_file())
        .args(["--cluster", CLUSTER_NAME, "--namespace", &team.namespace, "--name", "db"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_value_sealed_by_a_person_reaches_the_pod_and_an_older_one_never_comes_back() {
    on_a_node("sealed values", async |installation| {
        let team = Team::new(installation, "sealed-values").await;
        let (first, second) = (seal(&team, "first-7c1d").await, seal(&team, "second-90ab").await);
        let (_, machine_and_grant) = SHOP.split_once("---").unwrap();
        team.apply(&format!("{first}---{machine_and_grant}")).await;
        for (kind, name) in [("Secret", "db"), ("Machine", "web"), ("Grant", "web-reads-db")] {
            team.ready(kind, name).await;
        }
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), "first-7c1d");

        team.apply(&second).await;
        team.file_becomes("web", PASSWORD, Some("second-90ab")).await;
        // As a revert in Git does.
        team.apply(&first).await;
        let said = team.condition("Secret", "db", "Programmed", "False", "SealedValueOutdated").await;
        assert!(said.contains("seal it again with sikkerkey-operator seal"), "{said}");
        assert_eq!(team.read("web", PASSWORD).await.unwrap(), "second-90ab");
        team.apply(&first.replace("name: db", "name: copy")).await;
        let said = team.condition("Secret", "copy", "Programmed", "False", "UnsealFailed").await;
        assert!(said.starts_with("The ciphertext does not open as sealed-values/copy"), "{said}");

        // To another key, while what was sealed to the first one goes on opening.
        let third = seal(&team, "third-55e0").await;
        team.installation.admin(&["sealing-key", "rotate", "--vault", &team.installation.vault]).await.unwrap();
        let fourth = seal(&team, "fourth-21ff").await;
        team.apply(&third).await;
        team.file_becomes("web", PASSWORD, Some("third-55e0")).await;
        team.apply(&fourth).await;
        team.file_becomes("web", PASSWORD, Some("fourth-21ff")).await;
        team.ready("Secret", "db").await;
    });
}
