use clap::Parser as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::admin::{Answer, Command, Request};
use crate::clock::SystemClock;
use crate::engine::{DataPlace, Engine, Options};
use crate::entropy::SystemEntropy;

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
    let options = Options {
        place: DataPlace::Directory(data.to_owned()),
        root_key_file: None,
        public_url: "https://sikkerkey.example.com".into(),
        proxies: vec![],
        shared_addresses: vec![],
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    Engine::open(options).await.unwrap()
}

/// Asks like the command line does: the socket when somebody listens, else the data.
async fn ask(data: &Path, line: &str) -> Result<Answer, String> {
    let request = request(line);
    match socket::ask(&data.join(SOCKET), &request).await.unwrap() {
        Some(answered) => answered,
        None => crate::admin::execute::alone(DataPlace::Directory(data.to_owned()), None, request).await.unwrap(),
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
    let server = tokio::spawn(async move { serve(app, &at, async move { drop(stopped.await) }).await });
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
    let beside = crate::admin::execute::alone(DataPlace::Directory(data.clone()), None, request("vault list"))
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
        let server = tokio::spawn(async move { talk(&app, far).await });
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

/// Signs and sends a request to the server's own router, and reads the answer.
async fn signed(app: &App, id: &str, seed: u8, method: &str, target: &str, body: &str) -> (u16, Value) {
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use sikkerkey_protocol::canonical::string_to_sign;
    use tower_service::Service as _;

    let key = crate::usecase::fixture::key(seed);
    let time = app.clock.now().seconds().to_string();
    let nonce = crate::entropy::uuid(&SystemEntropy);
    let signature = key.sign(&string_to_sign(method, target, &time, &nonce, body.as_bytes()));
    let mut request = axum::http::Request::builder().method(method).uri(target);
    if !id.is_empty() {
        request = request.header("x-machine-id", id).header("x-timestamp", time).header("x-nonce", nonce);
        request = request.header("x-signature", signature.to_string());
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = crate::http::router(app.clone()).call(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn every_list_shows_something_and_no_value(data: &Path) {
    for (list, rows) in [
        ("project list", "projects"),
        ("application list", "applications"),
        ("grant list", "grants"),
        ("canary list", "canaries"),
        ("ip-allowlist list", "allowlists"),
        ("enrolment-token list", "enrolmentTokens"),
        ("policy list", "policies"),
        ("account list", "accounts"),
        ("machine list", "machines"),
        ("secret list", "secrets"),
    ] {
        let answer = ask(data, list).await.ok().unwrap();
        assert!(!answer.json[rows].as_array().unwrap().is_empty(), "{list}");
        for value in ["hunter2", "db.example.com"] {
            assert!(!answer.json.to_string().contains(value) && !answer.text.contains(value), "{list}");
        }
    }
}

#[tokio::test]
async fn everything_that_a_client_needs_is_set_up_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let engine = open(&data).await;
    engine.close().await.unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let plain = file("plain", "hunter2");
    let structured = file("structured", r#"{"host":"db.example.com","password":"p"}"#);
    let once = file("once.json", r#"{"ttl":{"maxReads":1}}"#);

    let vault = text(&ask(&data, "vault create --name team --owner team@example.com").await, "/vaultId");
    let project = text(&ask(&data, &format!("project create --vault {vault} --name shop")).await, "/projectId");
    let application = ask(&data, &format!("application create --vault {vault} --name store")).await;
    let application = text(&application, "/applicationId");
    ask(&data, &format!("application assign shop --application {application}")).await.ok().unwrap();
    let db = ask(&data, &format!("secret create --project shop --name db --value-file {plain}")).await;
    let db = text(&db, "/secretId");
    let line = format!("secret create --project shop --name conn --value-file {structured} --fields host,password");
    let conn = text(&ask(&data, &line).await, "/secretId");
    let trap = text(&ask(&data, "secret create --project shop --name root --generate --length 64").await, "/secretId");
    ask(&data, &format!("canary arm {trap}")).await.ok().unwrap();
    ask(&data, &format!("policy set --project shop --name once --file {once}")).await.ok().unwrap();
    ask(&data, &format!("policy bind {conn} --policy once")).await.ok().unwrap();
    let token = text(&ask(&data, &format!("machine bootstrap --vault {vault} --name nas")).await, "/token");
    let line = format!(
        "enrolment-token create --vault {vault} --name jobs --project {project} --secret {db} --max-uses 3 --name-pattern job-{{uuid8}}"
    );
    let enrolment = text(&ask(&data, &line).await, "/token");
    let listed = ask(&data, "enrolment-token list").await.ok().unwrap();
    assert!(!listed.json.to_string().contains(&enrolment) && !listed.text.contains(&enrolment));

    let engine = open(&data).await;
    let public_key = |seed| serde_json::to_string(&crate::usecase::fixture::key(seed).public_key()).unwrap();
    let body = format!(r#"{{"token":"{token}","publicKey":{},"hostname":"nas"}}"#, public_key(1));
    let (status, registered) = signed(&engine.app, "", 1, "POST", "/v1/bootstrap/register", &body).await;
    assert_eq!(status, 200, "{registered}");
    let host = registered["machineId"].as_str().unwrap().to_owned();
    let body = format!(r#"{{"token":"{enrolment}","publicKey":{},"hostname":"ci"}}"#, public_key(2));
    let path = format!("/v1/{vault}/enroll/register");
    let (status, enrolled) = signed(&engine.app, "", 2, "POST", &path, &body).await;
    assert_eq!(status, 200, "{enrolled}");
    assert!(enrolled["machineName"].as_str().unwrap().starts_with("job-"));
    engine.close().await.unwrap();

    for line in [
        format!("machine approve {host}"),
        format!("project add-machine shop --machine {host}"),
        format!("grant create --machine {host} --secret {db} --secret {conn} --secret {trap}"),
        format!("ip-allowlist add --vault {vault} 0.0.0.0/32 --label unspecified"),
        format!("ip-allowlist on --vault {vault}"),
    ] {
        ask(&data, &line).await.unwrap_or_else(|refused| panic!("{line}: {refused}"));
    }
    every_list_shows_something_and_no_value(&data).await;

    let engine = open(&data).await;
    let read = async |id: &str, seed, secret: &str| {
        signed(&engine.app, id, seed, "GET", &format!("/v1/secret/{secret}"), "").await
    };
    assert_eq!(read(&host, 1, &db).await, (200, serde_json::json!({ "value": "hunter2" })));
    assert_eq!(read(enrolled["machineId"].as_str().unwrap(), 2, &db).await.0, 200);
    let (status, body) = read(&host, 1, &conn).await;
    assert_eq!((status, body["value"].as_str()), (200, Some(r#"{"host":"db.example.com","password":"p"}"#)));
    assert_eq!(read(&host, 1, &conn).await.0, 403);
    let (_, projects) = signed(&engine.app, &host, 1, "GET", "/v1/cli/projects", "").await;
    assert_eq!(projects["projects"][0]["applicationName"], "store");
    let (status, body) = read(&host, 1, &trap).await;
    assert_eq!((status, body["value"].as_str().map(str::len)), (200, Some(64)));
    assert_eq!(read(&host, 1, &db).await.0, 423);
    engine.close().await.unwrap();

    ask(&data, "project unfreeze shop").await.ok().unwrap();
    for (line, status) in [
        (format!("machine disable {host}"), 403),
        (format!("machine enable {host}"), 200),
        ("account ban team@example.com".to_owned(), 403),
        ("account unverify team@example.com".to_owned(), 403),
        ("account activate team@example.com".to_owned(), 200),
        (format!("ip-allowlist disable --vault {vault} 0.0.0.0"), 403),
        (format!("ip-allowlist off --vault {vault}"), 200),
        (format!("secret delete {db}"), 403),
    ] {
        ask(&data, &line).await.unwrap_or_else(|refused| panic!("{line}: {refused}"));
        let engine = open(&data).await;
        assert_eq!(signed(&engine.app, &host, 1, "GET", &format!("/v1/secret/{db}"), "").await.0, status, "{line}");
        engine.close().await.unwrap();
    }
}
