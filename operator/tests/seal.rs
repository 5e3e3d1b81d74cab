//! `sikkerkey-operator seal` as a program: what it reads and prints, with a key file and from a server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sikkerkey_crds::secret::Secret;
use sikkerkey_protocol::sealed::{self, Binding, PublishedKey, SUITE, SealingPrivateKey};

fn private() -> SealingPrivateKey {
    SealingPrivateKey::derive(&[9; 32])
}

fn published(vault: &str) -> String {
    let key = PublishedKey {
        vault: vault.parse().unwrap(),
        key_id: "seal-2026-11-a".to_owned(),
        suite: SUITE.to_owned(),
        public_key: private().public_key().unwrap(),
    };
    serde_json::to_string_pretty(&key).unwrap()
}

fn seal(arguments: &[&str], value: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sikkerkey-operator"))
        .args(["seal", "--cluster", "prod", "--namespace", "shop", "--name", "stripe-key"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended before it reads.
    let _ = child.stdin.take().unwrap().write_all(value.as_bytes());
    child.wait_with_output().unwrap()
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn opened(output: &Output) -> sealed::Content {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let object: Secret = serde_yaml::from_slice(&output.stdout).unwrap();
    let source = object.spec.source.sealed.unwrap();
    assert_eq!((object.metadata.name.as_deref(), source.key_id.as_str()), (Some("stripe-key"), "seal-2026-11-a"));
    let vault = "vault_v".parse().unwrap();
    let binding = Binding {
        vault: &vault,
        key_id: &source.key_id,
        cluster: Some("prod"),
        namespace: "shop",
        name: Some("stripe-key"),
    };
    sealed::open(&private(), &binding, &STANDARD.decode(source.ciphertext).unwrap()).unwrap()
}

/// Answers one request with `answer`, and hands its first line over.
fn serve(answer: String) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.windows(4).any(|it| it == b"\r\n\r\n") {
            let mut more = [0; 512];
            let length = stream.read(&mut more).unwrap();
            asked.extend_from_slice(&more[..length]);
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
        String::from_utf8(asked).unwrap().lines().next().unwrap().to_owned()
    });
    (url, asked)
}

fn key_file(directory: &Path, content: &str) -> String {
    let path = directory.join("key.json");
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[test]
fn a_value_from_standard_input_is_sealed_to_a_key_file_and_never_twice_alike() {
    let directory = tempfile::tempdir().unwrap();
    let key = key_file(directory.path(), &published("vault_v"));
    let (one, other) = (seal(&["--key", &key], "hunter2"), seal(&["--key", &key], "hunter2"));
    assert_eq!(opened(&one).value.expose(), "hunter2");
    assert!(opened(&other).sealed_at >= opened(&one).sealed_at);
    assert_ne!(one.stdout, other.stdout);
    assert!(one.stderr.is_empty());
}

#[test]
fn a_file_that_is_no_key_is_refused_with_where_one_comes_from() {
    let directory = tempfile::tempdir().unwrap();
    let key = key_file(directory.path(), "{}");
    let said = error(&seal(&["--key", &key], "hunter2"));
    assert!(
        said.contains(" is not a sealing key: sikkerkey-server admin sealing-key show --vault ID prints one"),
        "{said}"
    );
    assert!(!said.contains("hunter2"));
    let said = error(&seal(&["--key", "/nowhere/key.json"], "hunter2"));
    assert!(said.contains("cannot read /nowhere/key.json"), "{said}");
}

#[test]
fn the_key_comes_from_the_server_and_has_to_be_the_vaults() {
    let (url, asked) = serve(published("vault_v"));
    let output = seal(&["--server", &url, "--vault", "vault_v"], "hunter2");
    assert_eq!(opened(&output).value.expose(), "hunter2");
    assert_eq!(asked.join().unwrap(), "GET /v1/sealing-key/vault_v HTTP/1.1");

    let (url, asked) = serve(published("vault_w"));
    let said = error(&seal(&["--server", &url, "--vault", "vault_v"], "hunter2"));
    assert!(
        said.contains("the server answered something else than a sealing key of vault vault_v: check --server"),
        "{said}"
    );
    asked.join().unwrap();
    let said = error(&seal(&["--server", "http://server.example", "--vault", "vault_v"], "hunter2"));
    assert!(said.contains("plain http is accepted on the loopback interface only"), "{said}");
}
