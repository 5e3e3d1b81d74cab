//! What `kubectl sikkerkey convert` prints is taken by a real API server, as a page of commands has it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::kubectl::KubectlError;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_e2e::yaml;

use crate::{BOUND, with_kinds};

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
        // The dry run looks: a field that there is not is refused, once the API server has put the policies into force.
        let refused = text.replace("kind: Machine\n", "kind: Machine\nspecs: {}\n");
        assert_ne!(refused, text);
        wait_for("a refusal of the field", BOUND, async || {
            let said = kubectl.run_with_input(["apply", "--dry-run=server", "-f", "-"], &refused).await;
            match said {
                Err(KubectlError::Failed { stderr, .. }) if stderr.contains("specs") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .unwrap();
    }
    let output = converted(&program, &["-f", "plain.yaml", "-o", "json"]);
    let list = String::from_utf8(output.stdout).unwrap();
    kubectl.run_with_input(["apply", "-f", "-"], &list).await.unwrap();
    let there = kubectl.run(["get", "sks,skm,skg", "-n", "shop", "-o", "name"]).await.unwrap();
    assert_eq!(there.lines().count(), 8, "{there}");
    cluster.stop().await;
}

/// A workload with a part that no API server knows, of all that one reader of YAML takes for text and another does not.
const ODD: &str = r#"
{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: b}}
---
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec:
  containers: [{name: app, image: "app:1", volumeMounts: [{name: s, mountPath: /s}]}]
  volumes: [{name: s, secret: {secretName: s}}]
odd:
  words: [y, Y, yes, Yes, YES, yES, on, On, ON, oN, true, True, TRUE, n, N, no, No, NO, off, Off, OFF, false, ~, null, Null, nULL]
  quoted: ['y', "yes", 'On', "0400", '1_000', "~", '', !!str yes, !!str 1, ! yes]
  integers: [0400, 0o400, 0O17, 0x1F, 0b11, -0x10, +7, 08, 0_7, 1_000, -1_0, 18446744073709551615, 18446744073709551616]
  floats: [1e3, 1.5, .5, -.5, 1., 1_0.5, 6.02e23, 1e999, 5.e1]
  texts: [1:30, 2001-01-01, 2001-01-01T00:00:00Z, 1.2.3, 0x, 0xg, _1, +, nan, inf, +inf, 1e, 10Mi, 100m, <<, =]
  tagged: [!!binary aGk=, !!bool "yes", !!int "0400", !!float 1, !!null "", !own yes]
  keys: {yes: a, No: b, 010: c, 1_0: d, 1.50: e, 'on': f, "1_1": g}
  merged: {<<: [{a: 1, b: 1}, {b: 2, c: 2}], c: 3}
  after: {c: 3, <<: {c: 4}}
  anchored: [&it {a: yes}, *it, {<<: *it, b: 1}]
  twice: {a: 1, a: 2}
  block: |
    yes
  folded: >-
    a
    b
  "json\u0041": "\x41\u00e9\e"
"#;

/// The same with one kind of number: Go writes `1` for `1.0`.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn manifests_are_read_as_kubectl_reads_them_and_printed_as_it_will() {
    let program = cargo::build_workspace().unwrap().program("kubectl-sikkerkey").unwrap();
    let cluster = Cluster::start(Options::control_plane()).await.unwrap();
    let kubectl = cluster.kubectl();
    let directory = tempfile::tempdir().unwrap();
    let manifests = directory.path().join("manifests.yaml");
    let convert = |text: &str, output: &str| {
        std::fs::write(&manifests, text).unwrap();
        converted(&program, &["-f", manifests.to_str().unwrap(), "-o", output])
    };
    let read = async |text: &str| -> Value {
        let args = ["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-"];
        serde_json::from_str(&kubectl.run_with_input(args, text).await.unwrap()).unwrap()
    };
    let (_, pod) = ODD.split_once("---").unwrap();
    let expected = plain(&read(pod).await["odd"]);
    assert_eq!(expected["words"][0], true, "it reads as it always did: {expected}");
    let output = convert(ODD, "json");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = list["items"].as_array().unwrap().iter().find(|it| it["kind"] == "Pod").unwrap();
    for (part, expected) in expected.as_object().unwrap() {
        assert_eq!(plain(&found["odd"][part]), *expected, "{part}");
    }
    let printed = String::from_utf8(convert(ODD, "yaml").stdout).unwrap();
    let printed = printed.split("---\n").find(|document| document.contains("\nkind: Pod\n")).unwrap();
    assert_eq!(plain(&read(printed).await["odd"]), expected, "{printed}");
    assert_eq!(plain(&yaml::documents::<Value>(printed).unwrap()[0]["odd"]), expected, "to other readers: {printed}");

    for value in ["yes", "off", "n", "0400", "1_000", "1.5"] {
        let secret =
            |value: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData:\n  a: {value}\n");
        let apply = async |text: &str| kubectl.run_with_input(["apply", "--dry-run=server", "-f", "-"], text).await;
        let refused = apply(&secret(value)).await.unwrap_err().to_string();
        assert!(refused.contains("stringData"), "{refused}");
        let output = convert(&secret(value), "yaml");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && told.contains("the value of key a is no text"), "{value}: {told}");
        assert_eq!(output.status.code(), Some(1));
        let quoted = secret(&format!("'{value}'"));
        apply(&quoted).await.unwrap();
        assert!(convert(&quoted, "yaml").status.success());
    }
    cluster.stop().await;
}

#[test]
fn what_cannot_be_read_is_bad_usage() {
    let program = cargo::build_workspace().unwrap().program("kubectl-sikkerkey").unwrap();
    for (arguments, what) in [
        (vec!["-f", "nowhere.yaml"], "cannot read nowhere.yaml as text"),
        (vec!["-f", "plain.told.txt"], "plain.told.txt is not YAML that kubectl reads, at line"),
        (vec!["--fields", "x"], "write PATH=FIELD,FIELD"),
    ] {
        let output = converted(&program, &arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(what) && output.stdout.is_empty(), "{told}");
    }
}
