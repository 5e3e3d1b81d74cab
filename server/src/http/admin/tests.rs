use clap::Parser as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::admin::{Answer, Command, Request};
use crate::cli::RootKeyArguments;
use crate::crypto::root_key::Source;
use crate::engine::{DataPlace, Engine, Options};

#[derive(clap::Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn request(line: &str) -> Request {
    let words = std::iter::once("admin").chain(line.split_whitespace());
    Line::try_parse_from(words).unwrap().command.into_request().unwrap()
}

async fn open(data: &Path) -> Engine {
    let public_url = "https://sikkerkey.example.com".into();
    let options = Options { public_url, ..Options::new(DataPlace::Directory(data.to_owned()), Source::Beside) };
    Engine::open(options).await.unwrap()
}

/// Asks like the command line does: the socket when somebody listens, else the data.
async fn ask(data: &Path, line: &str) -> Result<Answer, String> {
    let request = request(line);
    match socket::ask(&data.join(SOCKET), &request).await.unwrap() {
        Some(answered) => answered,
        None => {
            crate::admin::execute::alone(DataPlace::Directory(data.to_owned()), RootKeyArguments::default(), request)
                .await
                .unwrap()
        }
    }
}

#[track_caller]
fn text(answer: &Result<Answer, String>, place: &str) -> String {
    let answer = answer.as_ref().unwrap_or_else(|refused| panic!("{refused}"));
    answer
        .json
        .pointer(place)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{place} in {}", answer.json))
        .to_owned()
}

#[tokio::test]
async fn commands_do_the_same_beside_the_server_and_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let engine = open(&data).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let (app, at) = (engine.app.clone(), data.clone());
    let server =
        tokio::spawn(
            async move { serve(listen(&at).unwrap(), Door::open(app), async move { drop(stopped.await) }).await },
        );
    let ready = async {
        while !data.join(SOCKET).exists() {
            assert!(!server.is_finished());
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), ready).await.expect("the socket is there");
    let mode = std::fs::metadata(data.join(SOCKET)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let vault = text(&ask(&data, "vault create --name team --owner team@example.com").await, "/vaultId");
    let again = ask(&data, "vault create --name team --owner team@example.com").await;
    assert_eq!(again.err(), Some(format!("team@example.com has a vault team already: {vault}")));
    let token = ask(&data, &format!("machine bootstrap --vault {vault} --name nas")).await;
    let token = text(&token, "/token");
    assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()));
    let suspended = ask(&data, "account suspend team@example.com").await.ok().unwrap();
    assert_eq!(suspended.text, "account team@example.com: Suspended");
    // While the server has the data, nobody opens it beside it.
    let beside = crate::admin::execute::alone(
        DataPlace::Directory(data.clone()),
        RootKeyArguments::default(),
        request("vault list"),
    )
    .await
    .err()
    .unwrap();
    assert!(beside.to_string().starts_with("another sikkerkey-server is using"), "{beside}");

    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(!data.join(SOCKET).exists());
    engine.close().await.unwrap();

    let vaults = ask(&data, "vault list").await;
    assert_eq!((text(&vaults, "/vaults/0/vaultId"), text(&vaults, "/vaults/0/standing")), (vault, "Suspended".into()));
    ask(&data, "account activate team@example.com").await.ok().unwrap();
    let audit = ask(&data, "audit --limit 10").await;
    let actions: Vec<String> = (0..5).map(|it| text(&audit, &format!("/rows/{it}/action"))).collect();
    assert_eq!(
        actions,
        ["account_update", "account_update", "bootstrap_token_create", "management_denied", "vault_create"]
    );
    assert!(!audit.ok().unwrap().json.to_string().contains(&token), "a token stands in no row");
    let verified = ask(&data, "verify-audit").await.ok().unwrap();
    assert_eq!(verified.json["rows"], 6);
    let unlocked = ask(&data, "unlock --ip 192.0.2.1").await.ok().unwrap();
    assert_eq!(unlocked.text, "no server runs here, and locks end with the server: nothing is locked");
}

#[tokio::test]
async fn what_is_no_request_is_answered_without_repeating_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(&directory.path().join("data")).await;
    for (sent, text) in [
        (r#"{"SecretSet":{"id":"sk_a","value":"hunter2"}"#.to_owned(), "the request is not one this server knows"),
        (r#"{"Unheard":"hunter2"}"#.to_owned(), "the request is not one this server knows"),
        (format!("\"{}\"", "x".repeat(1024 * 1024)), "the request is larger than 1 MiB"),
    ] {
        let (mut near, far) = UnixStream::pair().unwrap();
        let app = engine.app.clone();
        let server = tokio::spawn(async move { talk(&Door::open(app), far).await });
        near.write_all(sent.as_bytes()).await.unwrap();
        near.shutdown().await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(text) && !answer.contains("hunter2"), "{answer}");
        server.await.unwrap().unwrap();
    }
    engine.close().await.unwrap();
}

#[test]
fn the_command_line_is_consistent_and_reads_files_where_the_person_is() {
    <Line as clap::CommandFactory>::command().debug_assert();
    let words = [
        "admin",
        "cluster",
        "trust",
        "--vault",
        "vault_v",
        "--name",
        "a",
        "--issuer",
        "x",
        "--jwks-file",
        "/nonexistent",
        "--subject",
        "y",
    ];
    let refused = Line::try_parse_from(words).ok().unwrap().command.into_request().unwrap_err();
    assert_eq!(refused.to_string(), "cannot read the cluster's keys from /nonexistent");
    for line in ["unlock", "vault create --name x", "adopt --cluster a --uid u", "secret set SK --value-file -"] {
        assert!(Line::try_parse_from(std::iter::once("admin").chain(line.split_whitespace())).is_err(), "{line}");
    }
}
