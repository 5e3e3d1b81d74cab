//! At the shell, in the log, and over a restore.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::model::millis::Millis;

use super::*;
use crate::process::Process;

/// A value that is looked for everywhere. No generator makes it.
const BAIT: &str = "bait-7f3a9c51-é\"value";

#[tokio::test]
async fn a_value_is_in_no_answer_no_row_and_no_line_of_the_log_whichever_way_it_came() {
    let server = server().await;
    let first = made(&server, json!({"name": "db", "value": "hunter0"})).await;
    let directory = server.stop().await;
    let process = Process::start(directory.path(), "trace").await;
    let mut connection = process.connect().await;
    let structured = json!({"user": BAIT, "password": BAIT}).to_string();
    let of_ci = |rest: &str| format!("{SECRETS}{rest}");
    let mut made = String::new();
    let mut statuses = Vec::new();
    for (path, body) in [
        (of_ci(""), json!({"name": "s", "value": structured, "fieldNames": ["user", "password"]})),
        (of_ci(&format!("/{first}/update")), json!({"value": BAIT})),
        (of_ci("/{made}/update"), json!({"value": structured})),
        (of_ci("/{made}/rotate"), json!({"fields": ["password"]})),
        (of_ci("/{made}/rollback"), json!({"version": 1})),
        (
            "/v1/ai/dynamic-secrets".into(),
            json!({
                "projectId": "proj_ci", "name": "d", "intervalSeconds": 300, "fieldNames": ["user", "password"],
                "staticFields": {"user": BAIT},
            }),
        ),
        (
            "/v1/ai/dynamic-secrets".into(),
            json!({"secretId": "{made}", "intervalSeconds": 300, "fields": ["password"]}),
        ),
        (of_ci("/{made}/update"), json!({"value": structured})),
        ("/v1/ai/trash/{made}/restore".into(), json!({})),
        // In places where none belongs it is not repeated either.
        (of_ci("/{made}/rotate"), json!({"fields": [BAIT]})),
        (of_ci("/{made}/rotate"), json!({"charset": BAIT})),
        (of_ci("/{made}/rollback"), json!({"version": BAIT})),
        (of_ci("/{made}/update"), json!({"value": BAIT})),
        (of_ci("/{made}/update"), json!({"value": {"user": BAIT}})),
        (of_ci(""), json!({"name": "x", "value": BAIT, "fieldNames": ["a"]})),
        (of_ci(""), json!({"name": "x", "value": BAIT, "projectId": BAIT})),
        (of_ci(""), json!({"name": format!("{BAIT}\u{1}"), "value": BAIT})),
        (of_ci("/{made}/note"), json!({"note": format!("{BAIT}\u{1}")})),
        ("/v1/ai/dynamic-secrets".into(), json!({"secretId": BAIT, "intervalSeconds": 300})),
        (
            "/v1/ai/dynamic-secrets".into(),
            json!({"projectId": "proj_ci", "name": "e", "intervalSeconds": 300, "fieldNames": ["a"], "staticFields": {BAIT: BAIT}}),
        ),
        ("/v1/ai/canaries".into(), json!({"projectId": BAIT, "name": "c"})),
    ] {
        let (path, body) = (path.replace("{made}", &made), body.to_string().replace("{made}", &made));
        let request = Client::assistant().request(&SystemClock, "POST", &path, body.as_bytes());
        let (status, answer) = connection.send(request).await.unwrap();
        assert!(!contains(&answer), "{path}: {}", String::from_utf8_lossy(&answer));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        if made.is_empty() {
            answer["id"].as_str().unwrap().clone_into(&mut made);
        }
        statuses.push(status);
    }
    assert_eq!(statuses[..9], [200, 200, 200, 200, 200, 200, 200, 409, 404]);
    assert!(statuses[9..].iter().all(|it| (400..500).contains(it)), "{statuses:?}");
    for path in
        [of_ci(""), of_ci(&format!("/{made}")), of_ci(&format!("/{made}/versions")), "/v1/ai/dynamic-secrets".into()]
    {
        let (status, answer) =
            connection.send(Client::assistant().request(&SystemClock, "GET", &path, b"")).await.unwrap();
        assert!(status == 200 && !contains(&answer), "{path}: {}", String::from_utf8_lossy(&answer));
    }
    let log = process.log.lock().await.clone();
    assert!(log.contains("/v1/ai/dynamic-secrets"), "the log says too little to search");
    assert!(!contains(log.as_bytes()), "the log has it");
    // Values are sealed, so that the whole of the database may be searched: the audit is in it.
    let files = TestDatabase::of(directory.path()).files();
    assert!(
        files.iter().any(|(_, bytes)| memchr::memmem::find(bytes, made.as_bytes()).is_some()),
        "none of it is searched"
    );
    for (name, bytes) in &files {
        assert!(!contains(bytes), "{name} has it");
    }
}

/// Whether the bait is in there, as it is or as JSON has it.
fn contains(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"bait-7f3a9c51").is_some()
}

async fn admin(data: &Path, arguments: &[&str], input: &str) -> Result<Value, String> {
    use tokio::io::AsyncWriteExt as _;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command.args(["admin", "--output", "json"]).args(TestDatabase::of(data).arguments(data)).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    // A command that reads none of it may have ended.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()).await);
    let output = child.wait_with_output().await.unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[tokio::test]
async fn a_person_at_the_shell_does_the_same() {
    let server = server().await;
    let directory = server.stop().await;
    let data = directory.path();
    let run = async |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        admin(data, &words, "hunter1").await.unwrap_or_else(|error| panic!("{line}: {error}"))
    };
    let made = run("secret create --project ci --name db --value-file - --note for-people").await;
    let id = made["secretId"].as_str().unwrap().to_owned();
    let value = json!({"user": "u", "password": "p"}).to_string();
    let create =
        ["secret", "create", "--project", "ci", "--name", "conn", "--value-file", "-", "--fields", "user,password"];
    let conn = admin(data, &create, &value).await.unwrap()["secretId"].as_str().unwrap().to_owned();
    assert_eq!(run(&format!("secret set {id} --value-file -")).await["version"], 2);
    assert_eq!(run(&format!("secret rotate {id} --length 4 --charset numbers")).await["version"], 3);
    assert_eq!(run(&format!("secret rotate {conn} --field password")).await["version"], 2);
    let refused = admin(data, &["secret", "rotate", &conn], "").await.unwrap_err();
    assert!(refused.contains("name those with --field, or give --all-fields"), "{refused}");
    assert_eq!(run(&format!("secret rollback {id} --version 1")).await["version"], 4);
    let versions = run(&format!("secret versions {id}")).await;
    let shown: Vec<_> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["version"].as_u64().unwrap(), it["origin"].as_str().unwrap(), it["createdBy"].as_str().unwrap()))
        .collect();
    let by = "an administrator";
    assert_eq!(shown, [(4, "rolledBack", by), (3, "generated", by), (2, "set", by), (1, "set", by)]);
    run(&format!("secret rename {id} --name DB")).await;
    run(&format!("secret note {id} --note another")).await;
    let listed = run("secret list").await;
    let of = |listed: &Value, id: &str| {
        listed["secrets"].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap().clone()
    };
    let it = of(&listed, &id);
    assert_eq!(
        (&it["name"], &it["note"], &it["version"], &it["secretId"], &it["phase"]),
        (&json!("DB"), &json!("another"), &json!(4), &json!(id), &json!("Active"))
    );
    let timed = run(&format!("secret schedule set {conn} --every 3600 --field password")).await;
    assert_eq!((&timed["intervalSeconds"], &timed["fields"]), (&json!(3600), &json!(["password"])));
    assert_eq!(run("secret schedule list").await["dynamicSecrets"][0]["id"], json!(conn));
    let set = ["secret", "set", &conn, "--value-file", "-"];
    let refused = admin(data, &set, &value).await.unwrap_err();
    assert!(refused.contains(&format!("pause its schedule first (admin secret schedule pause {conn})")), "{refused}");
    run(&format!("secret schedule pause {conn}")).await;
    admin(data, &set, &value).await.unwrap();
    assert_eq!(run(&format!("secret schedule resume {conn}")).await["enabled"], true);
    run(&format!("secret schedule remove {conn}")).await;
    assert_eq!(run("secret schedule list").await["dynamicSecrets"], json!([]));

    run(&format!("secret delete {id}")).await;
    assert_eq!(run("trash list").await["secrets"][0]["id"], json!(id));
    run(&format!("trash restore {id}")).await;
    run(&format!("secret delete {id}")).await;
    run(&format!("secret restore {id}")).await;
    run(&format!("secret delete {id}")).await;
    run(&format!("secret purge {id}")).await;
    let refused = admin(data, &["trash", "purge", &id], "").await.unwrap_err();
    assert!(refused.contains(&format!("there is no secret {id} in the trash: trash list shows them")), "{refused}");

    let canary = run("canary create --project ci --name ROOT").await["secretId"].as_str().unwrap().to_owned();
    run(&format!("canary disable {canary}")).await;
    let canaries = run("canary list").await;
    assert_eq!((&canaries["canaries"][0]["id"], &canaries["canaries"][0]["enabled"]), (&json!(canary), &json!(false)));
    run(&format!("canary enable {canary}")).await;
    let refused = admin(data, &["secret", "set", &canary, "--value-file", "-"], "x").await.unwrap_err();
    assert!(
        refused
            .contains("make it an ordinary secret first (on its page, or with sikkerkey-server admin canary disarm)"),
        "{refused}"
    );
    run(&format!("canary disarm {canary}")).await;
    run(&format!("secret set {canary} --value-file -")).await;
    run("project freeze ci").await;
    run("project unfreeze ci").await;
    let server = Server::open_at(directory, Millis(START)).await;
    let unfrozen = server.audit().await.into_iter().filter(|it| it.action == Action::ProjectUnfreeze).count();
    assert_eq!(unfrozen, 1);
}

#[tokio::test]
async fn a_schedule_that_a_backup_brings_back_renews_once_and_purged_secrets_stay_where_the_backup_has_them() {
    let server = server().await;
    let fields = json!({"projectId": "proj_ci", "name": "timed", "intervalSeconds": 300});
    let id = post(&server, "/v1/ai/dynamic-secrets", fields).await.1["id"].as_str().unwrap().to_owned();
    let old = made(&server, json!({"name": "old", "value": "hunter"})).await;
    assert_eq!(act(&server, &format!("{SECRETS}/{old}/delete")).await.0, 200);
    let out = server.directory.path().join("backup.jsonl");
    let directory = server.stop().await;
    admin(directory.path(), &["backup", "--out", out.to_str().unwrap()], "").await.unwrap();
    let to = Arc::new(tempfile::tempdir().unwrap());
    TestDatabase::make(to.path()).await;
    std::fs::copy(directory.path().join("root.key"), to.path().join("root.key")).unwrap();
    admin(to.path(), &["restore", "--from", out.to_str().unwrap()], "").await.unwrap();

    let now = SystemClock.now().0 + 60_000;
    let server = Server::open_at(to, Millis(now)).await;
    let version = |server: &Server| server.engine.app.live.read().state.secrets[&id.parse().unwrap()].version;
    assert_eq!(version(&server), 1);
    for _ in 0..3 {
        keep_house(&server).await;
    }
    assert_eq!(version(&server), 2, "what was due while nobody was there is renewed once");
    let gone: sikkerkey_protocol::id::SecretId = old.parse().unwrap();
    assert!(!server.engine.app.live.read().state.secrets.contains_key(&gone), "its 30 days are over");
    server.clock.advance_seconds(300);
    keep_house(&server).await;
    assert_eq!(version(&server), 3);
}
