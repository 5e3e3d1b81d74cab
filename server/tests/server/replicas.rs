//! Two servers on one PostgreSQL database, each a process of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sikkerkey_protocol::policy::{CountedBy, PolicyDocument, RateCap};
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::audit::verify::Verifier;
use sikkerkey_server::clock::{Clock as _, SystemClock};
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Change, Entity, EntityKind};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::process::{Connection, Process};

/// How many requests each client has under way is one, so this is how many there are at once.
const CLIENTS: usize = 16;

/// Two directories for two servers on one database, and a third server in this process.
pub struct Replicas {
    pub directories: [Arc<TempDir>; 2],
    pub here: Server,
}

impl Replicas {
    /// With the usual machines and secrets; the pod's identity does not end.
    pub async fn new() -> Self {
        let directories = directories().await;
        let here = Server::open_at(directories[0].clone(), SystemClock.now()).await;
        here.seed().await;
        here.put(Entity::Machine(Machine { expires_at: None, ..pod() })).await;
        Self { directories, here }
    }

    pub async fn start(&self, n: usize) -> Process {
        Process::start_with(self.directories[n].path(), "info", &["--machine-rate", "0"]).await
    }
}

/// Two directories for two servers on one new PostgreSQL database.
async fn directories() -> [Arc<TempDir>; 2] {
    let directories = [Arc::new(tempfile::tempdir().unwrap()), Arc::new(tempfile::tempdir().unwrap())];
    TestDatabase::make_postgres(directories[0].path()).await;
    for file in ["database-url", "root.key"] {
        std::fs::copy(directories[0].path().join(file), directories[1].path().join(file)).unwrap();
    }
    directories
}

pub fn read(client: &Client, nonce: &str) -> Signed {
    client.request_with(SystemClock.now().seconds(), nonce, "GET", "/v1/secret/sk_db", b"")
}

/// Each request is sent several times at once, to both servers, one of which is killed and comes back. Whatever
/// happens, it is good once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_copies_of_a_request_over_two_servers_and_a_kill_exactly_one_is_answered() {
    const REQUESTS: usize = 10_000;
    const COPIES: usize = 8;
    let replicas = Replicas::new().await;
    let (first, second) = (replicas.start(0).await, replicas.start(1).await);
    let addresses = [first.address.clone(), second.address.clone()];
    let next = Arc::new(AtomicUsize::new(0));
    let killed = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS / 2 {
        let (next, addresses, killed) = (Arc::clone(&next), addresses.clone(), Arc::clone(&killed));
        clients.spawn(async move {
            let pod = Client::pod();
            let mut open: [Option<Connection>; 2] = [None, None];
            // By nonce: how many copies were answered with the value, and how many were refused as replays.
            let mut outcomes: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= REQUESTS {
                    return outcomes;
                }
                let request = read(&pod, &format!("n{n}"));
                for copy in 0..COPIES {
                    let to = (n + copy) % 2;
                    if to == 0 && killed.load(Ordering::Relaxed) {
                        open[0] = None;
                        continue;
                    }
                    if open[to].is_none() {
                        open[to] = Connection::open(&addresses[to]).await.ok();
                    }
                    let Some(connection) = &mut open[to] else { continue };
                    match connection.send(request.clone()).await {
                        Ok((200, body)) => {
                            assert_eq!(&body[..], br#"{"value":"hunter2"}"#);
                            outcomes.entry(n).or_default().0 += 1;
                        }
                        Ok((401, _)) => outcomes.entry(n).or_default().1 += 1,
                        Ok((status, body)) => panic!("{status} {}", String::from_utf8_lossy(&body)),
                        Err(_) => open[to] = None,
                    }
                }
            }
        });
    }
    let mut first = Some(first);
    while let Some(mut process) = first.take() {
        if next.load(Ordering::Relaxed) < REQUESTS / 2 {
            first = Some(process);
            a_moment().await;
        } else {
            process.child.kill().await.unwrap();
            killed.store(true, Ordering::Relaxed);
        }
    }
    let mut answered = 0;
    let mut refused = 0;
    while let Some(outcomes) = clients.join_next().await {
        for (n, (values, replays)) in outcomes.unwrap() {
            // None at all: the one that won was on its way at the kill.
            assert!(values <= 1, "request {n} was answered {values} times");
            answered += values;
            refused += replays;
        }
    }
    assert!(answered > REQUESTS - 2 * CLIENTS, "{answered}");
    assert!(refused > REQUESTS * 3, "{refused}");
    replicas.here.engine.app.writer.catch_up().await.unwrap();
    let rows = replicas.here.audit().await;
    let read = rows.iter().filter(|it| it.action == Action::SecretRead).count();
    assert!((answered..answered + 2 * CLIENTS).contains(&read), "{answered} {read}");
    verify(&replicas.here).await;
}

/// Between two looks at something that is going to happen.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

async fn verify(server: &Server) {
    let mut verifier = Verifier::new(server.engine.app.keyring.audit());
    loop {
        let rows = server.engine.app.records.after(verifier.head().seq, 10_000).await.unwrap();
        for row in &rows {
            verifier.next(row).unwrap();
        }
        if rows.is_empty() {
            break;
        }
    }
}

/// Sends reads to one server until told to stop. Returns how many came back with the value and how many did not.
fn load(process: &Process, clients: usize, stop: &Arc<AtomicBool>) -> JoinSet<(usize, usize)> {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    let run = RUN.fetch_add(1, Ordering::Relaxed);
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (address, stop) = (process.address.clone(), Arc::clone(stop));
        tasks.spawn(async move {
            let mut connection = Connection::open(&address).await.unwrap();
            let (pod, mut values, mut others) = (Client::pod(), 0, 0);
            while !stop.load(Ordering::Relaxed) {
                let request = read(&pod, &format!("load-{run}-{client}-{}", values + others));
                match connection.send(request).await.unwrap() {
                    (200, _) => values += 1,
                    (403 | 404 | 429, _) => others += 1,
                    (status, body) => panic!("{status} {}", String::from_utf8_lossy(&body)),
                }
            }
            (values, others)
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_has_revoked_no_other_releases_from_the_next_group_on() {
    let replicas = Replicas::new().await;
    let loaded = replicas.start(0).await;
    let grant_of_pod = grant(1, Grantee::Fleet(fleet().id), &["sk_db"]);
    for _ in 0..5 {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = load(&loaded, CLIENTS, &stop);
        let seen = || async { reads(&replicas.here).await };
        let before = seen().await;
        while seen().await < before + 50 {
            a_moment().await;
        }
        replicas.here.remove(EntityKind::Grant, &uuid(1)).await;
        // The row of the revocation stands in the audit among the reads of the other server: none comes after it.
        while !has_denial_at_the_end(&replicas.here).await {
            a_moment().await;
        }
        stop.store(true, Ordering::Relaxed);
        let (values, denials) = clients.join_all().await.into_iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        assert!(values > 0 && denials > 0, "{values} {denials}");
        let rows = replicas.here.audit().await;
        let revoked = rows.iter().rposition(|it| it.action == Action::AccountUpdate).unwrap();
        let after: Vec<_> = rows[revoked..].iter().filter(|it| it.action == Action::SecretRead).collect();
        assert!(after.is_empty(), "{} reads after the revocation", after.len());
        replicas.here.put(Entity::Grant(grant_of_pod.clone())).await;
    }
    verify(&replicas.here).await;
}

async fn reads(server: &Server) -> u64 {
    server.engine.app.writer.catch_up().await.unwrap();
    let world = server.engine.app.live.read();
    world.ledger.secret_usage(&"sk_db".parse().unwrap()).usage.reads
}

async fn has_denial_at_the_end(server: &Server) -> bool {
    server.engine.app.records.newest(1, None).await.unwrap()[0].entry.contains("secret_read_denied")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_is_exact_over_two_servers_and_a_thousand_readers() {
    const CAP: u32 = 100;
    let replicas = Replicas::new().await;
    let cap = RateCap { per_minute: None, per_day: Some(CAP), counted_by: CountedBy::Machine };
    let document = PolicyDocument { time_zone: Some("UTC".into()), rate_cap: Some(cap), ..PolicyDocument::default() };
    replicas.here.put(Entity::Policy(policy(document))).await;
    let secret = Secret { policy: Some("guard".into()), version: 1, ..secret("db", "shop") };
    replicas.here.put(Entity::Secret(secret)).await;
    let servers = [replicas.start(0).await, replicas.start(1).await];
    let mut readers = JoinSet::new();
    for n in 0..1000 {
        let address = servers[n % 2].address.clone();
        readers.spawn(async move {
            let mut connection = Connection::open(&address).await.unwrap();
            connection.send(read(&Client::pod(), &format!("reader-{n}"))).await.unwrap().0
        });
    }
    let mut answers = BTreeMap::new();
    for status in readers.join_all().await {
        *answers.entry(status).or_insert(0) += 1;
    }
    assert_eq!(answers, BTreeMap::from([(200, 100), (429, 900)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_learns_another_knows_at_once() {
    let replicas = Replicas::new().await;
    let other = replicas.start(1).await;
    // A machine that registered elsewhere a moment ago is no stranger.
    for n in 0x40..0x48_u8 {
        let machine = Machine { id: uuid(n).parse().unwrap(), public_key: key(n).public_key(), ..host() };
        let id = machine.id.clone();
        let membership = Membership { machine: id.clone(), ..member("shop") };
        replicas
            .here
            .apply(vec![
                Change::put(Entity::Machine(machine)),
                Change::put(Entity::Membership(membership)),
                Change::put(Entity::Grant(grant(n, Grantee::Machine(id), &["sk_db"]))),
            ])
            .await
            .unwrap();
        let mut connection = other.connect().await;
        let request = read(&Client::new(uuid(n), n), "first");
        assert_eq!(connection.send(request).await.unwrap().0, 200, "{n:x}");
    }
    // A sidecar that waits at one server hears of a change at the other.
    let mut connection = other.connect().await;
    let body =
        r#"{"deliveryRevision":"rev1","held":{"shop/db":{"version":{"id":"sk_db","version":1}}},"waitSeconds":55}"#;
    let request = Client::pod().request(&SystemClock, "POST", "/v1/machine/sync", body.as_bytes());
    let waiting = tokio::spawn(async move { connection.send(request).await.unwrap() });
    let secret = Secret { version: 1, ..secret("db", "shop") };
    replicas.here.apply(replicas.here.version(&secret, "hunter3")).await.unwrap();
    let started = std::time::Instant::now();
    let (status, body) = waiting.await.unwrap();
    assert!(status == 200 && String::from_utf8_lossy(&body).contains("hunter3"), "{status} {body:?}");
    assert!(started.elapsed().as_secs() < 20, "it was heard of by looking now and then, not at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_survives_the_loss_of_its_connection_and_a_stranger_in_the_log_ends_it() {
    let replicas = Replicas::new().await;
    let mut process = replicas.start(1).await;
    let database = replicas.here.database();
    let mut connection = process.connect().await;
    let end_sessions = "select count(pg_terminate_backend(pid)) || '' from pg_stat_activity
         where application_name = 'sikkerkey-server' and datname = current_database()";
    for n in 0..3 {
        database.query(end_sessions).await;
        let answer = connection.send(read(&Client::pod(), &format!("lost-{n}"))).await;
        let Ok((200, _)) = answer else { panic!("{answer:?}\n{}", process.log.lock().await) };
    }
    // A row that no server has written: neither of them goes on with it.
    database
        .execute(
            "insert into log select seq + 1, seq, time, body, mac from log order by seq desc limit 1;
             update meta set value = replace(value, '\"seq\":', '\"seq\":1') where name = 'head'",
        )
        .await;
    drop(connection.send(read(&Client::pod(), "tampered")).await);
    let status = process.ended().await;
    assert!(!status.success());
    let log = process.log.lock().await;
    assert!(log.contains("the head in the database was not written by this server"), "{log}");
}

/// Two servers in this process on one PostgreSQL database, each with a clock of its own.
pub struct Two {
    pub servers: [Server; 2],
}

impl Two {
    /// With the usual machines and secrets.
    pub async fn new() -> Self {
        let directories = directories().await;
        let [first, second] = directories.map(|it| Server::open_at(it, sikkerkey_server::model::millis::Millis(START)));
        let first = first.await;
        first.seed().await;
        Self { servers: [first, second.await] }
    }
}
