//! What `kubectl sikkerkey convert` prints is taken by a real API server, as a page of commands has it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sikkerkey_e2e::cargo;

use crate::with_kinds;

fn fixtures() -> PathBuf {
    cargo::workspace().join("operator/tests/fixtures/convert")
}

fn converted(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).current_dir(fixtures()).arg("convert").args(arguments).output().unwrap()
}

#[tokio::test]
async fn a_real_api_server_takes_all_that_is_converted() {
    let program = cargo::build_workspace().unwrap().program("kubectl-sikkerkey").unwrap();
    let cluster = with_kinds().await;
    let kubectl = cluster.kubectl();
    kubectl.run(["create", "namespace", "shop"]).await.unwrap();
    let stripe = "prod/shop/stripe=key,webhook";
    for (golden, arguments) in [
        ("plain", vec!["-f", "plain.yaml"]),
        ("external-secrets", vec!["-f", "external-secrets.yaml", "--fields", stripe]),
        ("taken-over", vec!["-f", "external-secrets.yaml", "--fields", stripe, "--take-over"]),
        ("vault", vec!["-f", "vault.yaml", "--fields", "secret/data/shop/db=username,owner"]),
    ] {
        let output = converted(&program, &arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = |suffix: &str| std::fs::read_to_string(fixtures().join(format!("{golden}.{suffix}"))).unwrap();
        assert_eq!(text, expected("expected.yaml"));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected("told.txt"));
        // Each of them has something that stays as it is.
        assert_eq!(output.status.code(), Some(1), "{golden}");
        let said = kubectl.run_with_input(["apply", "--dry-run=server", "-f", "-"], &text).await.unwrap();
        assert!(said.lines().all(|line| line.ends_with(" created (server dry run)")), "{said}");
        assert_eq!(said.lines().count(), text.matches("---\n").count(), "{said}");
        // The dry run looks: a field that there is not is refused.
        let refused = text.replace("kind: Machine\n", "kind: Machine\nspecs: {}\n");
        assert_ne!(refused, text);
        kubectl.run_with_input(["apply", "--dry-run=server", "-f", "-"], &refused).await.expect_err("no such field");
    }
    let output = converted(&program, &["-f", "plain.yaml", "-o", "json"]);
    let list = String::from_utf8(output.stdout).unwrap();
    kubectl.run_with_input(["apply", "-f", "-"], &list).await.unwrap();
    let there = kubectl.run(["get", "sks,skm,skg", "-n", "shop", "-o", "name"]).await.unwrap();
    assert_eq!(there.lines().count(), 8, "{there}");
    cluster.stop().await;
}

#[test]
fn what_cannot_be_read_is_bad_usage() {
    let program = cargo::build_workspace().unwrap().program("kubectl-sikkerkey").unwrap();
    for (arguments, what) in [
        (vec!["-f", "nowhere.yaml"], "cannot read nowhere.yaml as text"),
        (vec!["-f", "plain.told.txt"], "plain.told.txt is not YAML at line"),
        (vec!["--fields", "x"], "write PATH=FIELD,FIELD"),
    ] {
        let output = converted(&program, &arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(what) && output.stdout.is_empty(), "{told}");
    }
}
