//! Values that stand in Git: the published key, and what opens after keys were changed and data restored.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sikkerkey_protocol::sealed::{self, Binding, Content, PublishedKey};
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_server::audit::entry::{Action, Actor, Severity};
use sikkerkey_server::clock::{Clock as _, SystemClock};
use sikkerkey_server::entropy::{Entropy as _, SystemEntropy};
use sikkerkey_server::ledger::ActivityKind;

use crate::fixture::*;
use crate::process::Process;
use crate::root_key::{Keys, admin};

const APPLY: &str = "/v1/ai/kubernetes/secrets/apply";

fn unsigned(target: &str) -> Signed {
    Signed { method: "GET", target: target.into(), headers: vec![], body: vec![], address: POD_ADDRESS.into() }
}

#[tokio::test]
async fn the_key_is_published_to_whoever_knows_the_vault_and_made_by_the_first_who_asks() {
    let server = Server::new().await;
    let before = server.audit().await.len();
    let first = server.send(unsigned("/v1/sealing-key/vault_v")).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let key: PublishedKey = serde_json::from_str(first.text()).unwrap();
    assert_eq!((key.vault.as_str(), key.suite.as_str()), ("vault_v", sealed::SUITE));
    let made = server.last_audit().await;
    assert_eq!(
        (made.action, made.actor, made.action.severity()),
        (Action::SealingKeyCreate, Actor::System, Severity::High)
    );
    assert_eq!(made.source_ip, Some(POD_ADDRESS.parse().unwrap()));

    assert_eq!(server.send(unsigned("/v1/sealing-key/vault_v")).await.text(), first.text());
    for target in ["/v1/sealing-key/vault_none", "/v1/sealing-key/proj_shop", "/v1/sealing-key/%00"] {
        let missing = server.send(unsigned(target)).await;
        let text = "there is no such vault: check its id, sikkerkey-server admin vault list shows it";
        assert_eq!((missing.status.as_u16(), missing.error().as_str()), (404, text), "{target}");
    }
    assert_eq!(server.audit().await.len(), before + 1, "only the making of the key is a row");
    assert_eq!(server.send(Signed { method: "POST", ..unsigned("/v1/sealing-key/vault_v") }).await.status, 405);

    let server = server.restart().await.unwrap();
    let minute = server.clock.now().0 / 60_000;
    let counted = server.engine.app.records.activity(minute, minute + 1).await.unwrap();
    let counted: Vec<_> = counted.into_iter().map(|(key, it)| (key.kind, it.count)).collect();
    assert_eq!(counted, [(ActivityKind::Malformed, 3), (ActivityKind::SealingKey, 2)]);
    assert_eq!(server.send(unsigned("/v1/sealing-key/vault_v")).await.text(), first.text());
}

/// What a person seals for `shop/api` with nothing but the key's file.
fn sealed(key: &Value, value: &str, at: i64) -> String {
    let key: PublishedKey = serde_json::from_value(key.clone()).unwrap();
    let binding =
        Binding { vault: &key.vault, key_id: &key.key_id, cluster: Some("prod"), namespace: "shop", name: Some("api") };
    let content = Content { sealed_at: at, field_names: vec![], value: SecretText::new(value.into()) };
    let bytes = sealed::seal(&key.public_key, &binding, &content, |bytes| SystemEntropy.fill(bytes)).unwrap();
    let source = json!({ "keyId": key.key_id, "ciphertext": STANDARD.encode(bytes), "namespaceScope": false });
    let object = json!({ "namespace": "shop", "name": "api", "namespaceUid": "uid-shop", "uid": "1", "generation": 1 });
    json!({ "object": object, "source": { "sealed": source } }).to_string()
}

async fn apply(process: &Process, body: &str) -> (u16, Value) {
    let request = Client::agent().request(&SystemClock, "POST", APPLY, body.as_bytes());
    let (status, body) = process.connect().await.send(request).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sealed_opens_after_every_key_was_changed_and_after_a_restore() {
    let directory = Server::new().await.stop().await;
    let (data, keys) = (directory.path(), Keys::new());
    let (old, new) = (keys.take(data, "old"), keys.make("new"));
    let mut process = Process::start_with(data, "info", &["--root-key-file", &old]).await;
    let vault = ["--vault", "vault_v"];
    let key = admin(data, &["sealing-key", "show", vault[0], vault[1]]).await.unwrap();
    let now = SystemClock.now().0;
    let (first, second) = (sealed(&key, "value-one", now - 2000), sealed(&key, "value-two", now - 1000));

    let rotated = admin(data, &["sealing-key", "rotate", vault[0], vault[1]]).await.unwrap();
    assert_ne!(rotated["keyID"], key["keyID"]);
    assert_eq!(admin(data, &["sealing-key", "show", vault[0], vault[1]]).await.unwrap(), rotated);
    let listed = admin(data, &["sealing-key", "list"]).await.unwrap();
    let standing = |n: usize| (&listed["sealingKeys"][n]["keyID"], &listed["sealingKeys"][n]["published"]);
    assert_eq!(standing(0), (&rotated["keyID"], &json!(true)));
    assert_eq!(standing(1), (&key["keyID"], &json!(false)));
    admin(data, &["rotate-project-key", "--all"]).await.unwrap();
    admin(data, &["rotate-root-key", "--new-root-key-file", &new]).await.unwrap();
    process.child.kill().await.unwrap();

    let mut process = Process::start_with(data, "trace", &["--root-key-file", &new]).await;
    let (status, state) = apply(&process, &second).await;
    assert_eq!((status, &state["version"]), (200, &json!(1)), "{state}");
    let backup = keys.path("backup");
    admin(data, &["backup", "--out", backup.to_str().unwrap()]).await.unwrap();
    let log = process.log.lock().await.clone();
    assert!(log.contains(APPLY) && !log.contains("value-two"));
    process.child.kill().await.unwrap();

    let place = Arc::new(tempfile::tempdir().unwrap());
    let restored = place.path();
    let restore = ["--root-key-file", &new, "restore", "--from", backup.to_str().unwrap()];
    admin(restored, &restore).await.unwrap();
    admin(restored, &["--root-key-file", &new, "agent", "approve", &Client::agent().id]).await.unwrap();
    std::fs::copy(&new, restored.join("root.key")).unwrap();
    // What was signed before the restore is refused until a minute after it.
    let clock = Arc::new(ManualClock::at(SystemClock.now().0));
    clock.advance_seconds(120);
    let server = Server::open(Arc::clone(&place), clock).await.unwrap();
    let refused = server.post(&Client::agent(), APPLY, &first).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (409, &json!("SealedValueOutdated")));
    let taken = server.post(&Client::agent(), APPLY, &sealed(&key, "value-three", now)).await;
    assert_eq!((taken.status.as_u16(), &taken.json()["version"]), (200, &json!(2)), "{}", taken.text());
    server.stop().await;
    for (path, bytes) in files(restored).into_iter().chain(files(data)).chain(files(backup.parent().unwrap())) {
        for value in ["value-one", "value-two", "value-three"] {
            assert!(!bytes.windows(value.len()).any(|it| it == value.as_bytes()), "{value} is in {}", path.display());
        }
    }
}

fn files(directory: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|it| it.unwrap().path());
    entries.filter(|it| it.is_file()).map(|it| (it.clone(), std::fs::read(it).unwrap())).collect()
}
