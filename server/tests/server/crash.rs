//! The real binary, killed in the middle of its work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::audit::verify::Verifier;
use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::Grantee;
use tokio::sync::Mutex;

use crate::fixture::*;
use crate::process::{Connection, Process};

const SECRETS: usize = 2000;
const CLIENTS: usize = 16;

/// A server with many secrets that the host may read, so that each read can be told from every other.
async fn prepared() -> Server {
    let server = Server::new().await;
    let secrets: Vec<_> = (0..SECRETS).map(|n| secret(&format!("n{n}"), "shop")).collect();
    let ids: Vec<_> = secrets.iter().map(|it| it.id.as_str()).collect();
    let mut changes: Vec<_> = secrets.iter().flat_map(|it| server.version(it, "value")).collect();
    changes.push(sikkerkey_server::model::Change::put(Entity::Grant(grant(9, Grantee::Machine(host().id), &ids))));
    server.apply(changes).await.unwrap();
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_answered_before_kill_9_has_its_row() {
    let server = prepared().await;
    let clock = server.clock.clone();
    let directory = server.stop().await;
    let next = Arc::new(AtomicUsize::new(0));
    let answered: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for round in 1..=3 {
        let mut process = Process::start(directory.path(), "info").await;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let mut connection = process.connect().await;
            let (next, answered) = (Arc::clone(&next), Arc::clone(&answered));
            clients.spawn(async move {
                let host = Client::host();
                loop {
                    let id = format!("sk_n{}", next.fetch_add(1, Ordering::Relaxed) % SECRETS);
                    let request = host.request(&SystemClock, "GET", &format!("/v1/secret/{id}"), b"");
                    // The server is gone: so is the client.
                    let Ok((status, body)) = connection.send(request).await else { return };
                    assert_eq!((status, &body[..]), (200, &br#"{"value":"value"}"#[..]));
                    answered.lock().await.insert(id);
                }
            });
        }
        while answered.lock().await.len() < round * 300 {
            tokio::task::yield_now().await;
        }
        process.child.kill().await.unwrap();
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    }

    let server = Server::open(directory, clock).await.unwrap();
    let rows = server.engine.app.records.after(0, u32::MAX).await.unwrap();
    let mut verifier = Verifier::new(server.engine.app.keyring.audit());
    for row in &rows {
        verifier.next(row).unwrap();
    }
    let entries = server.audit().await;
    let read = entries.iter().filter(|it| it.action == Action::SecretRead);
    let read: Vec<_> = read.map(|it| it.secret.as_ref().unwrap().to_string()).collect();
    let recorded: BTreeSet<_> = read.iter().cloned().collect();
    let answered = answered.lock().await;
    assert!(answered.len() >= 900);
    assert_eq!(answered.difference(&recorded).collect::<Vec<_>>(), Vec::<&String>::new());
    // What was written and not answered are the requests that were on their way at a kill.
    assert!(recorded.len() - answered.len() <= 3 * CLIENTS, "{} {}", recorded.len(), answered.len());
    // Counters are written in the same transaction as the rows.
    let world = server.engine.app.live.read();
    let host = Grantee::Machine(host().id);
    for id in &recorded {
        let reads = world.ledger.usage(&host, &id.parse().unwrap()).unwrap().reads;
        assert_eq!(reads, read.iter().filter(|it| *it == id).count() as u64, "{id}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_early_leaves_nothing_half_done() {
    use tokio::io::AsyncWriteExt;
    let server = Server::new().await;
    let directory = server.stop().await;
    let process = Process::start(directory.path(), "info").await;
    let host = Client::host();
    for cut in [1, 40, 200, usize::MAX] {
        let request = host.request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
        let mut text = format!("GET {} HTTP/1.1\r\nhost: x\r\n", request.target);
        for (name, value) in &request.headers {
            text = format!("{text}{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        let mut stream = tokio::net::TcpStream::connect(&process.address).await.unwrap();
        stream.write_all(&text.as_bytes()[..cut.min(text.len())]).await.unwrap();
        drop(stream);
    }
    let mut connection = Connection::open(&process.address).await.unwrap();
    for _ in 0..20 {
        let request = host.request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
        assert_eq!(connection.send(request).await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn sigterm_ends_the_server_with_success_and_answers_whoever_waits() {
    let server = Server::new().await;
    let mut machine = pod();
    machine.expires_at = None;
    server.put(Entity::Machine(machine)).await;
    let directory = server.stop().await;
    let mut process = Process::start(directory.path(), "info").await;
    let mut connection = process.connect().await;
    let body =
        r#"{"deliveryRevision":"rev1","held":{"shop/db":{"version":{"id":"sk_db","version":1}}},"waitSeconds":55}"#;
    let request = Client::pod().request(&SystemClock, "POST", "/v1/machine/sync", body.as_bytes());
    let waiting = tokio::spawn(async move { connection.send(request).await });
    let mut metrics = process.connect().await;
    loop {
        let plain = Signed {
            method: "GET",
            target: "/metrics".into(),
            headers: vec![],
            body: vec![],
            address: "127.0.0.1".into(),
        };
        let (_, text) = metrics.send(plain).await.unwrap();
        if std::str::from_utf8(&text).unwrap().contains("sikkerkey_waiting_sidecars 1") {
            break;
        }
    }
    drop(metrics);
    let pid = process.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    assert_eq!(waiting.await.unwrap().unwrap().0, 200);
    let status = tokio::time::timeout(std::time::Duration::from_secs(20), process.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(!directory.path().join("admin.sock").exists());
}
