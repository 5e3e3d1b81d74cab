//! Values and keys are nowhere but where they belong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::Grantee;

use crate::fixture::*;
use crate::process::Process;

const CANARY: &str = "canary-7f3a9c51e8d24b06-value";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The forms in which bytes could turn up somewhere.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    vec![
        bytes.to_vec(),
        hex(bytes).into_bytes(),
        hex(bytes).to_uppercase().into_bytes(),
        STANDARD.encode(bytes).trim_end_matches('=').as_bytes().to_vec(),
    ]
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

#[tokio::test]
async fn no_value_and_no_key_is_in_the_log_the_metrics_or_the_database() {
    let server = Server::new().await;
    let mut machine = pod();
    machine.expires_at = None;
    server.put(Entity::Machine(machine)).await;
    server.put_secret(secret("canary", "shop"), CANARY).await;
    for (n, to) in [(8, Grantee::Machine(host().id)), (9, Grantee::Fleet(fleet().id))] {
        server.put(Entity::Grant(grant(n, to, &["sk_canary"]))).await;
    }
    let directory = server.stop().await;
    let process = Process::start(directory.path(), "trace").await;
    let mut connection = process.connect().await;
    let (pod, host) = (Client::pod(), Client::host());
    let mut send = async |client: &Client, method, target: &str, body: &str| {
        connection.send(client.request(&SystemClock, method, target, body.as_bytes())).await.unwrap()
    };
    let mut delivered = 0;
    for (client, method, target, body) in [
        (&host, "GET", "/v1/secret/sk_canary", ""),
        (&host, "POST", "/v1/secrets/export", ""),
        (&host, "POST", "/v1/secrets/list", "{}"),
        (&host, "POST", "/v1/secrets/poll", r#"{"watch":["sk_canary"]}"#),
        (&pod, "POST", "/v1/machine/sync", "{}"),
        (&pod, "GET", "/v1/secret/sk_none", ""),
        (&pod, "POST", "/v1/secrets/poll", r#"{"watch":"#),
        // A value in a place where none belongs is not repeated either.
        (&pod, "POST", "/v1/secrets/poll", &format!(r#"{{"watch":"{CANARY}"}}"#)),
        (&host, "POST", "/v1/bootstrap/register", &format!(r#"{{"token":"{CANARY}","publicKey":"x"}}"#)),
    ] {
        let (_, answer) = send(client, method, target, body).await;
        delivered += usize::from(contains(&answer, CANARY.as_bytes()));
    }
    assert_eq!(delivered, 2, "the GET and the export deliver it");
    let plain =
        Signed { method: "GET", target: "/metrics".into(), headers: vec![], body: vec![], address: "127.0.0.1".into() };
    let (_, metrics) = connection.send(plain).await.unwrap();

    let root = std::fs::read_to_string(directory.path().join("root.key")).unwrap();
    let root: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&root[2 * i..2 * i + 2], 16).unwrap()).collect();
    let mut needles = forms(CANARY.as_bytes());
    needles.extend(forms(&root));
    // Private keys of the clients: the server never had them, and must not look as if.
    needles.extend([1, 2, 3].into_iter().flat_map(|seed| forms(&[seed; 32])));

    let log = process.log.lock().await.clone();
    assert!(log.contains("DEBUG") && log.contains("/v1/secret/sk_canary"), "the log says too little to search");
    let mut places = vec![("the log".to_owned(), log.into_bytes()), ("the metrics".to_owned(), metrics.to_vec())];
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() && file.file_name() != "root.key" {
            places.push((file.path().display().to_string(), std::fs::read(file.path()).unwrap()));
        }
    }
    let files = TestDatabase::of(directory.path()).files();
    assert!(files.iter().any(|(_, bytes)| contains(bytes, b"sk_canary")), "the database is not among what is searched");
    places.extend(files);
    for (place, bytes) in &places {
        for needle in &needles {
            assert!(!contains(bytes, needle), "{} is in {place}", String::from_utf8_lossy(needle));
        }
    }
}
