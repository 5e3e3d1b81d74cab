//! Clients that go away at any moment.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::{Change, Entity};
use tokio::task::JoinSet;
use tower_service::Service as _;

use crate::fixture::*;
use crate::process::Process;
use crate::wire::*;

/// Each reads a secret of its own, so that each read can be told from every other.
const CLIENTS: usize = 480;
const AT_ONCE: usize = 16;

/// A server with a secret for each client, which the host may read, and a pod whose identity does not end.
async fn prepared() -> Server {
    let server = Server::new().await;
    let secrets: Vec<_> = (0..CLIENTS).map(|n| secret(&format!("n{n}"), "shop")).collect();
    let ids: Vec<_> = secrets.iter().map(|it| it.id.as_str()).collect();
    let mut changes: Vec<_> = secrets.iter().flat_map(|it| server.version(it, "hunter2")).collect();
    changes.push(Change::put(Entity::Grant(grant(9, Grantee::Machine(host().id), &ids))));
    changes.push(Change::put(Entity::Machine(Machine { expires_at: None, ..pod() })));
    server.apply(changes).await.unwrap();
    server
}

/// What one client asks for.
fn request(n: usize, nonce: &str) -> Signed {
    const HELD: &str =
        r#"{"deliveryRevision":"rev1","held":{"shop/db":{"version":{"id":"sk_db","version":1}}},"waitSeconds":30}"#;
    let (pod, host, now) = (Client::pod(), Client::host(), sikkerkey_server::clock::Clock::now(&SystemClock).seconds());
    match n % 8 {
        0..=3 => host.request_with(now, nonce, "GET", &format!("/v1/secret/sk_n{n}"), b""),
        4 => pod.request_with(now, nonce, "POST", "/v1/secrets/export", b""),
        5 => host.request_with(now, nonce, "POST", "/v1/secrets/poll", br#"{"watch":["sk_db"]}"#),
        6 => pod.request_with(now, nonce, "POST", "/v1/machine/sync", HELD.as_bytes()),
        _ => host.request_with(now, nonce, "GET", "/v1/secrets", b""),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_cut_the_connection_at_any_byte_leave_nothing_behind_and_every_200_has_its_rows() {
    const SEED: u64 = 0x51_4b_4b;
    let server = prepared().await;
    let (clock, database) = (server.clock.clone(), server.database());
    let directory = server.stop().await;
    let process = Process::start(directory.path(), "info").await;
    let mut clients = JoinSet::new();
    for lane in 0..AT_ONCE {
        let address = process.address.clone();
        clients.spawn(async move {
            let mut answered = Vec::new();
            for n in (lane..CLIENTS).step_by(AT_ONCE) {
                let mut dice = Dice(SEED + u64::try_from(n).unwrap());
                let nonce = format!("cut-{n}");
                let bytes = bytes(&request(n, &nonce));
                let is_waiting = n % 8 == 6;
                // In the request, in the answer, or not at all; who waits for news goes away before it comes.
                let (sent, read) = match dice.below(4) {
                    _ if is_waiting => (bytes.len() - dice.below(2), 0),
                    0 => (dice.below(bytes.len()), 0),
                    1 => (bytes.len(), dice.below(300)),
                    2 => (bytes.len(), 0),
                    _ => (bytes.len(), usize::MAX / 2),
                };
                let answer = cut(&address, &bytes[..sent], read.min(1 << 16), dice.below(2) == 0).await;
                match status(&answer) {
                    Some(200) => answered.push((n, nonce)),
                    None => {}
                    Some(other) => panic!("{other} {}", String::from_utf8_lossy(&answer)),
                }
            }
            answered
        });
    }
    let answered: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    assert!(answered.len() > CLIENTS / 8, "{}", answered.len());

    // Everybody's place is free again, but for the one that asks for this.
    for (gauge, is) in [("connections", 1), ("waiting_sidecars", 0), ("queued_requests", 0)] {
        until(gauge, async || metric(&process, &format!("sikkerkey_{gauge}")).await <= is).await;
    }
    let last = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(process.connect().await.send(last).await.unwrap().0, 200);
    if let TestDatabase::Postgres(_) = database {
        let open = "select count(*) || '' from pg_stat_activity where datname = current_database()
                    and state like 'idle in transaction%'";
        until("no transaction is left open", async || database.query(open).await == ["0"]).await;
    }
    end(process).await;

    let nonces: BTreeSet<_> = database.query("select nonce from nonce").await.into_iter().collect();
    let server = Server::open(directory, clock).await.unwrap();
    verify_audit(&server).await;
    let rows = server.audit().await;
    let read: Vec<_> = rows.iter().filter(|it| it.action == Action::SecretRead).collect();
    let by_host: Vec<_> = read.iter().map(|it| it.secret.as_ref().unwrap().to_string()).collect();
    let mut exports = 0;
    for (n, nonce) in &answered {
        assert!(nonces.contains(nonce), "the nonce of request {n} is not there");
        match n % 8 {
            0..=3 => assert_eq!(by_host.iter().filter(|it| **it == format!("sk_n{n}")).count(), 1, "request {n}"),
            4 => exports += 1,
            _ => {}
        }
    }
    let exported = read.iter().filter(|it| it.machine.as_ref() == Some(&pod().id)).count();
    assert!(exports > 0 && exported >= exports, "{exported} {exports}");
    // Nobody was taken for an attacker because he went away.
    let refused: Vec<_> = rows.iter().filter(|it| it.action == Action::AuthFailure).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// The server's future for a request is dropped after it was polled `polls` times. Returns whether it was answered.
async fn dropped_after(server: &Server, request: Signed, polls: usize) -> bool {
    let mut router = server.router.clone();
    let mut answering = pin!(router.call(request.build()));
    for _ in 0..polls {
        let polled = std::future::poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await;
        if polled.is_ready() {
            return true;
        }
        // Whoever it waits for gets on a step.
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn a_request_that_is_dropped_at_any_await_happens_whole_or_not_at_all() {
    const ENOUGH: usize = 100_000;
    let server = Server::new().await;
    let pod = Client::pod();
    let (mut polls, mut cut_off, mut happened, mut not_happened) = (0, 0, 0, 0);
    loop {
        let nonce = format!("dropped-{polls}");
        let request = pod.request_with(START / 1000, &nonce, "GET", "/v1/secret/sk_db", b"");
        let before = server.audit().await.len();
        let was_answered = dropped_after(&server, request.clone(), polls).await;
        // Sent again, it is a replay if it has happened, and answered if it has not: either way it has one row.
        let again = server.send(request).await;
        let rows = server.audit().await.split_off(before);
        let read = rows.iter().filter(|it| it.action == Action::SecretRead).count();
        assert_eq!(read, 1, "after {polls} polls: {rows:?}");
        match again.status.as_u16() {
            200 => not_happened += 1,
            401 => happened += 1,
            other => panic!("{other} {}", again.text()),
        }
        assert!(!(was_answered && again.status == 200), "after {polls} polls");
        if was_answered {
            break;
        }
        cut_off += 1;
        // Early on every await, later in larger steps: committing takes many polls.
        polls += 1 + polls / 16;
        assert!(polls < ENOUGH);
    }
    assert!(cut_off > 3 && not_happened > 0 && happened > 0, "{cut_off} {not_happened} {happened}");
    until("nobody waits", async || server.engine.app.writer.waiting() == 0).await;
    verify_audit(&server).await;
    let server = Arc::new(server.restart().await.unwrap());
    assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200);
}
