//! `admin account`, `admin member`, and how `admin` ends: the real binary, beside a server that runs and without one.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::browser::Browser;
use crate::fixture::*;
use crate::process::Process;

/// How a command ends: its status, what it answers, and what it says on standard error.
async fn admin(data: &Path, arguments: &[&str], input: &str) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command.args(["admin", "--output", "json"]).args(TestDatabase::of(data).arguments(data)).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Whoever takes no input may be gone before it is written.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), answer, error)
}

async fn done(data: &Path, arguments: &[&str], input: &str) -> Value {
    let (status, answer, error) = admin(data, arguments, input).await;
    assert_eq!(status, 0, "{arguments:?}: {error}");
    answer
}

async fn refused(data: &Path, arguments: &[&str], input: &str) -> String {
    let (status, answer, error) = admin(data, arguments, input).await;
    assert_eq!((status, answer), (1, Value::Null), "{arguments:?}: {error}");
    error
}

fn at(process: &Process) -> Browser {
    let mut browser = Browser::at("127.0.0.1");
    // Reached by plain HTTP on loopback, where no browser takes a cookie that wants TLS.
    (browser.origin, browser.cookie_name) = ("http://localhost:1", "sikkerkey-session");
    assert!(process.address.starts_with("127.0.0.1:"));
    browser
}

async fn log_in(browser: &Browser, process: &Process, password: &str) -> u16 {
    let body = json!({ "email": "jane@example.com", "password": password }).to_string();
    let request = browser.request("POST", "/v1/account/login", &body).build();
    let response = process.connect().await.respond(request).await;
    assert!(response.headers().get_all("set-cookie").iter().all(|it| !it.to_str().unwrap().contains("Secure")));
    browser.keep(response.headers());
    response.status().as_u16()
}

async fn is_in(browser: &Browser, process: &Process) -> bool {
    process.connect().await.send(browser.request("GET", "/v1/account/whoami", "")).await.unwrap().0 == 200
}

#[tokio::test]
async fn the_first_account_is_made_at_the_command_line_and_logs_in() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    TestDatabase::make(data).await;
    let process = Process::start(data, "info").await;
    let browser = at(&process);
    let made = done(data, &["account", "create", "jane@example.com"], "gazing at goats\n").await;
    assert_eq!(made["accountId"].as_str().map(str::len), Some(36), "{made}");
    assert_eq!(log_in(&browser, &process, "gazing at goats\n").await, 401, "the line break is none of the password");
    assert_eq!(log_in(&browser, &process, "gazing at goats").await, 200);
    assert!(is_in(&browser, &process).await);
    let sessions = done(data, &["account", "sessions", "jane@example.com"], "").await;
    assert_eq!(sessions["sessions"][0]["address"], json!("127.0.0.1"));
    let listed = done(data, &["account", "list"], "").await;
    let row = json!({
        "email": "jane@example.com", "standing": "Active", "vaults": 0, "canLogIn": true, "secondFactor": false,
    });
    assert_eq!(listed["accounts"], json!([row]));

    let ended = done(data, &["account", "end-sessions", "jane@example.com"], "").await;
    assert_eq!(ended["sessionsEnded"], json!(1));
    assert!(!is_in(&browser, &process).await);
    log_in(&browser, &process, "gazing at goats").await;
    assert_eq!(done(data, &["account", "suspend", "jane@example.com"], "").await["sessionsEnded"], json!(1));
    assert_eq!(log_in(&browser, &process, "gazing at goats").await, 403);
    done(data, &["account", "activate", "Jane@Example.com"], "").await;

    let file = data.join("new-password");
    std::fs::write(&file, "looking at llamas").unwrap();
    let arguments = ["account", "set-password", "jane@example.com", "--password-file", file.to_str().unwrap()];
    done(data, &arguments, "").await;
    assert_eq!(log_in(&browser, &process, "gazing at goats").await, 401);
    assert_eq!(log_in(&browser, &process, "looking at llamas").await, 200);
    let log = process.log.lock().await;
    assert!(!log.contains("goats") && !log.contains("llamas"), "{log}");
}

#[tokio::test]
async fn members_of_a_vault_are_added_given_another_role_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    TestDatabase::make(data).await;
    // A server that has run once: from then on there are data.
    drop(Process::start(data, "info").await);
    let vault = done(data, &["vault", "create", "--name", "shop", "--owner", "team@example.com"], "").await;
    let vault = vault["vaultId"].as_str().unwrap();
    done(data, &["account", "create", "jane@example.com"], "gazing at goats").await;
    let roles = async || {
        let listed = done(data, &["member", "list", "--vault", vault], "").await;
        let rows = listed["members"].as_array().unwrap().clone();
        rows.iter().map(|it| format!("{} {}", it["email"].as_str().unwrap(), it["role"].as_str().unwrap())).collect()
    };
    let none: Vec<String> = roles().await;
    assert_eq!(none, ["team@example.com owner"]);
    for role in ["auditor", "manager", "owner"] {
        done(data, &["member", "add", "jane@example.com", "--vault", vault, "--role", role], "").await;
        assert_eq!(roles().await, ["team@example.com owner".to_owned(), format!("jane@example.com {role}")]);
    }
    done(data, &["member", "remove", "jane@example.com", "--vault", vault], "").await;
    assert_eq!(roles().await, none);
    let error = refused(data, &["member", "remove", "jane@example.com", "--vault", vault], "").await;
    assert!(error.contains("account jane@example.com is no member of vault"), "{error}");
}

#[tokio::test]
async fn what_is_refused_ends_with_one_and_what_is_no_command_with_two() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    TestDatabase::make(data).await;
    drop(Process::start(data, "info").await);
    for (arguments, input, text) in [
        (&["account", "create", "jane@example.com"][..], "short", "the password has fewer than 12 characters"),
        (&["account", "create", "jane"][..], "gazing at goats", "jane is not an e-mail address"),
        (&["account", "set-password", "nobody@example.com"][..], "gazing at goats", "account list shows them"),
        (&["account", "sessions", "nobody@example.com"][..], "", "there is no account nobody@example.com"),
        (&["account", "suspend", "nobody@example.com"][..], "", "there is no account nobody@example.com"),
        (
            &["account", "create", "jane@example.com", "--password-file", "/nowhere/at/all"][..],
            "",
            "cannot read the password from /nowhere/at/all",
        ),
    ] {
        let error = refused(data, arguments, input).await;
        assert!(error.contains(text), "{arguments:?}: {error}");
        assert!(!error.contains("goats"), "{error}");
    }
    for arguments in [
        &["account", "create"][..],
        &["account", "create", "jane@example.com", "gazing at goats"][..],
        &["account", "create", "jane@example.com", "--password", "gazing at goats"][..],
        &["member", "add", "jane@example.com", "--vault", "vault_v", "--role", "king"][..],
        &["no-such-command"][..],
    ] {
        let (status, answer, error) = admin(data, arguments, "").await;
        assert_eq!((status, answer), (2, Value::Null), "{arguments:?}: {error}");
    }
    assert_eq!(done(data, &["account", "list"], "").await["accounts"], json!([]));
}
