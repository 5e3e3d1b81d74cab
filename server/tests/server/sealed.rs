//! A server whose root key comes later, from a file, a descriptor or a command.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::timeout;

use crate::fixture::*;
use crate::process::{Connection, Process};
use crate::root_key::{Keys, admin, refusal};
use sikkerkey_server::clock::SystemClock;

fn plain(path: &str) -> Signed {
    Signed { method: "GET", target: path.into(), headers: vec![], body: vec![], address: "127.0.0.1".into() }
}

async fn get(connection: &mut Connection, path: &str) -> (u16, String) {
    let (status, body) = connection.send(plain(path)).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn read(connection: &mut Connection) -> (u16, String) {
    let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    let (status, body) = connection.send(request).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Waits until the server is ready.
async fn ready(connection: &mut Connection) {
    let wait = async { while get(connection, "/readyz").await.0 != 200 {} };
    timeout(Duration::from_secs(30), wait).await.expect("it opens in time");
}

#[tokio::test]
async fn a_server_without_its_root_key_file_is_sealed_until_it_is_there() {
    let directory = Server::new().await.stop().await;
    let (data, keys) = (directory.path(), Keys::new());
    let key = keys.take(data, "key");
    let late = keys.path("late").display().to_string();
    let mut process = Process::start_with(data, "info", &["--root-key-file", &late]).await;
    let mut connection = process.connect().await;
    assert_eq!(get(&mut connection, "/healthz").await, (200, "ok\n".into()));
    let (status, text) = get(&mut connection, "/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("the server is sealed: the root key file") && text.contains(&late), "{text}");
    let (status, text) = read(&mut connection).await;
    assert_eq!((status, text.contains("sealed"), text.contains(&late)), (503, true, false), "{text}");

    // The person at the server is told, and the data is taken.
    let status = admin(data, &["seal", "status"]).await.unwrap();
    assert_eq!(status["sealed"], true);
    assert!(status["missing"].as_str().unwrap().contains(&late), "{status}");
    let refused = admin(data, &["vault", "list"]).await.unwrap_err();
    assert!(refused.contains("the server is sealed"), "{refused}");
    let second = refusal(data, &["--root-key-file", &key]).await;
    assert!(second.contains("another sikkerkey-server is using"), "{second}");

    std::fs::rename(&key, &late).unwrap();
    // The same connection goes on.
    ready(&mut connection).await;
    assert_eq!(read(&mut connection).await, (200, r#"{"value":"hunter2"}"#.into()));
    assert_eq!(admin(data, &["seal", "status"]).await.unwrap()["sealed"], false);
    assert!(process.child.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn a_sealed_server_ends_when_the_key_that_comes_is_wrong_or_it_is_told_to() {
    let directory = Server::new().await.stop().await;
    let (data, keys) = (directory.path(), Keys::new());
    keys.take(data, "key");
    let late = keys.path("late");
    let arguments = ["--root-key-file", late.to_str().unwrap()];
    let mut process = Process::start_with(data, "info", &arguments).await;
    keys.make("wrong");
    std::fs::rename(keys.path("wrong"), &late).unwrap();
    let status = timeout(Duration::from_secs(30), process.child.wait()).await.expect("it ends by itself").unwrap();
    assert!(!status.success());
    let refused = refusal(data, &arguments).await;
    assert!(refused.contains("not the one the data was sealed with"), "{refused}");

    std::fs::remove_file(&late).unwrap();
    let mut process = Process::start_with(data, "info", &arguments).await;
    let pid = process.child.id().unwrap().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let status = timeout(Duration::from_secs(30), process.child.wait()).await.expect("it ends").unwrap();
    assert!(status.success(), "{status}");
    assert!(!data.join("admin.sock").exists());
}

#[tokio::test]
async fn a_first_start_waits_for_its_root_key_as_well() {
    let (directory, keys) = (tempfile::tempdir().unwrap(), Keys::new());
    let late = keys.path("late");
    let process = Process::start_with(directory.path(), "info", &["--root-key-file", late.to_str().unwrap()]).await;
    let mut connection = process.connect().await;
    assert_eq!(get(&mut connection, "/readyz").await.0, 503);
    keys.make("key");
    std::fs::rename(keys.path("key"), &late).unwrap();
    ready(&mut connection).await;
    assert!(!directory.path().join("root.key").exists());
}

#[tokio::test]
async fn the_root_key_comes_by_a_file_descriptor() {
    let directory = Server::new().await.stop().await;
    let (data, keys) = (directory.path(), Keys::new());
    let (key, other) = (keys.take(data, "key"), keys.make("other"));
    let run = |script: &str| {
        let line = format!(
            "exec {} admin --data-dir {} --root-key-fd {script} vault list",
            env!("CARGO_BIN_EXE_sikkerkey-server"),
            data.display()
        );
        let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (done, text) = run(&format!("7 7< {key}"));
    assert!(done && text.contains("vault_v"), "{text}");
    let (done, text) = run(&format!("7 7< {other}"));
    assert!(!done && text.contains("not the one the data was sealed with"), "{text}");
    for (script, problem) in [
        ("200".to_owned(), "cannot read the root key from file descriptor 200"),
        ("0".to_owned(), "must be a pipe or a file"),
        ("7 7< /dev/null".to_owned(), "must be a pipe or a file"),
        (format!("7 7< {}", data.join("sikkerkey.db").display()), "must hold 32 bytes"),
    ] {
        let (done, text) = run(&script);
        assert!(!done && text.contains(problem), "{script}: {text}");
    }
    // A pipe, from which it can be read once. The server is in the place of the shell, so that it ends with the test.
    let line = format!(
        "exec {} serve --data-dir {} --listen 127.0.0.1:0 --public-url http://localhost:1 --root-key-fd 7 7<<E\n$(cat {key})\nE\n",
        env!("CARGO_BIN_EXE_sikkerkey-server"),
        data.display()
    );
    let process = Process::watch(tokio::process::Command::new("sh").args(["-c", &line])).await;
    let mut connection = process.connect().await;
    assert_eq!(read(&mut connection).await, (200, r#"{"value":"hunter2"}"#.into()));
}

/// A key pair for `kms.sh`, and the command that uses it.
fn key_pair(keys: &Keys) -> String {
    let directory = keys.path("pair");
    std::fs::create_dir(&directory).unwrap();
    let run = |arguments: &[&str]| {
        let done = Command::new("openssl").args(arguments).current_dir(&directory).stderr(Stdio::null()).status();
        assert!(done.unwrap().success(), "{arguments:?}");
    };
    run(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "private.pem"]);
    run(&["pkey", "-in", "private.pem", "-pubout", "-out", "public.pem"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/kms.sh");
    format!("sh {} {}", script.display(), directory.display())
}

#[tokio::test]
async fn a_command_keeps_the_root_key_and_the_server_waits_for_it() {
    let directory = Server::new().await.stop().await;
    let (data, keys) = (directory.path(), Keys::new());
    let (old, command) = (keys.take(data, "key"), key_pair(&keys));
    let rotate = ["--root-key-file", &old, "rotate-root-key", "--new-root-key-command", &command];
    // A command that fails, answers something else, or does not open what it wrapped changes nothing.
    let one_way = keys.path("one-way.sh");
    std::fs::write(&one_way, "cat > /dev/null; echo AAAA").unwrap();
    let one_way = format!("sh {}", one_way.display());
    for (line, problem) in [
        ("/bin/false", "failed"),
        ("/bin/echo", "answered something else"),
        ("/nowhere/kms", "cannot run"),
        (&one_way, "does not open what it has just wrapped"),
    ] {
        let refused = admin(data, &["--root-key-file", &old, "rotate-root-key", "--new-root-key-command", line]).await;
        let refused = refused.unwrap_err();
        assert!(refused.contains(problem), "{line}: {refused}");
    }
    let answer = admin(data, &rotate).await.unwrap();
    assert_eq!(answer["argument"], format!("--root-key-command '{command}'"));
    assert_eq!(answer["by"], "root key command sh");
    let refused = refusal(data, &["--root-key-file", &old]).await;
    assert!(refused.contains("not the one the data was sealed with"), "{refused}");

    // Away, then there.
    let (private, away) = (keys.path("pair/private.pem"), keys.path("away"));
    std::fs::rename(&private, &away).unwrap();
    let mut process = Process::start_with(data, "info", &["--root-key-command", &command]).await;
    let mut connection = process.connect().await;
    let (status, text) = get(&mut connection, "/readyz").await;
    assert!(status == 503 && text.contains("the root key command sh unwrap"), "{text}");
    let complains = async {
        while !process.log.lock().await.contains("private.pem") {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), complains).await.expect("the log has what the command says");
    std::fs::rename(&away, &private).unwrap();
    ready(&mut connection).await;
    assert_eq!(read(&mut connection).await, (200, r#"{"value":"hunter2"}"#.into()));
    // Back to a file, while it runs.
    let new = keys.make("new");
    admin(data, &["rotate-root-key", "--new-root-key-file", &new]).await.unwrap();
    process.child.kill().await.unwrap();
    let refused =
        timeout(Duration::from_secs(30), admin(data, &["--root-key-command", &command, "vault", "list"])).await;
    let refused = refused.unwrap().unwrap_err();
    assert!(refused.contains("cannot open the master key"), "{refused}");
    assert!(admin(data, &["--root-key-file", &new, "vault", "list"]).await.is_ok());
}

#[tokio::test]
async fn a_new_installation_begins_with_a_command() {
    let (directory, keys) = (tempfile::tempdir().unwrap(), Keys::new());
    let command = key_pair(&keys);
    for _ in 0..2 {
        let mut process = Process::start_with(directory.path(), "info", &["--root-key-command", &command]).await;
        ready(&mut process.connect().await).await;
        let status = admin(directory.path(), &["seal", "status"]).await.unwrap();
        assert_eq!(status["wrappedBy"], "root key command sh");
        process.child.kill().await.unwrap();
    }
}
