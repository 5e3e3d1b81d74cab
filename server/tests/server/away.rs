//! The shared database stops, fails over, comes back, or goes back in time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::clock::{Clock as _, SystemClock};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::Machine;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::database::OwnPostgres;
use crate::fixture::*;
use crate::process::{Connection, Process};
use crate::replicas::{Two, read};
use crate::saturation::Hold;
use crate::wire::*;

const CLIENTS: usize = 8;

/// Reads without end, and what came of it.
struct Load {
    stop: Arc<AtomicBool>,
    values: Arc<AtomicUsize>,
    refusals: Arc<AtomicUsize>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    fn start(process: &Process, round: usize) -> Self {
        let (stop, values, refusals) = (Arc::<AtomicBool>::default(), Arc::default(), Arc::default());
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (address, stop) = (process.address.clone(), Arc::clone(&stop));
            let (values, refusals) = (Arc::<AtomicUsize>::clone(&values), Arc::<AtomicUsize>::clone(&refusals));
            clients.spawn(async move {
                let mut connection = Connection::open(&address).await.unwrap();
                let (pod, mut read_with) = (Client::pod(), Vec::new());
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let nonce = format!("away-{round}-{client}-{n}");
                    // Ended: so is the client.
                    let Ok((status, body)) = connection.send(read(&pod, &nonce)).await else { break };
                    let has_value = String::from_utf8_lossy(&body).contains("hunter2");
                    match status {
                        200 if has_value => {
                            values.fetch_add(1, Ordering::Relaxed);
                            read_with.push(nonce);
                        }
                        503 if !has_value => drop(refusals.fetch_add(1, Ordering::Relaxed)),
                        other => panic!("{other} {body:?}"),
                    }
                }
                read_with
            });
        }
        Self { stop, values, refusals, clients }
    }

    /// Waits until so many more were answered in this way.
    async fn more(&self, counter: &AtomicUsize, count: usize) {
        let end = counter.load(Ordering::Relaxed) + count;
        until("more answers", async || counter.load(Ordering::Relaxed) >= end).await;
    }

    /// The nonces of all that were answered with the value.
    async fn end(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

fn read_now(nonce: &str) -> Signed {
    read(&Client::pod(), nonce)
}

async fn status_of(process: &Process, request: Signed) -> u16 {
    process.connect().await.send(request).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nothing_leaves_and_one_that_went_back_in_time_ends_the_server() {
    let mut postgres = OwnPostgres::start();
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let database = TestDatabase::make_on(postgres.url(), directory.path()).await;
    let here = Server::open_at(Arc::clone(&directory), SystemClock.now()).await;
    here.seed().await;
    here.put(Entity::Machine(Machine { expires_at: None, ..pod() })).await;
    here.stop().await;
    let mut process = Process::start(directory.path(), "info").await;

    // It stops at once, as at a power failure, and comes back: twice.
    let mut answered = BTreeSet::new();
    for round in 0..2 {
        let load = Load::start(&process, round);
        load.more(&load.values, 50).await;
        postgres.stop_at_once();
        load.more(&load.refusals, CLIENTS * 2).await;
        assert_eq!(status_of(&process, plain("/readyz")).await, 503);
        assert_eq!(status_of(&process, plain("/healthz")).await, 200);
        // Whoever is not known here may be known to the database: he is not told that he is a stranger, nor locked out.
        for n in 0..5 {
            let stranger = read(&Client::new(uuid(0x77), 9), &format!("stranger-{round}-{n}"));
            assert_eq!(status_of(&process, stranger).await, 503);
        }
        postgres.start_again();
        load.more(&load.values, 50).await;
        until("it is ready again", async || status_of(&process, plain("/readyz")).await == 200).await;
        let stranger = read(&Client::new(uuid(0x77), 9), &format!("stranger-{round}"));
        assert_eq!(status_of(&process, stranger).await, 401);
        answered.extend(load.end().await);
    }
    let burnt: BTreeSet<_> = database.query("select nonce from nonce").await.into_iter().collect();
    assert!(answered.is_subset(&burnt), "{:?}", answered.difference(&burnt));
    let rows = database.query("select entry from audit").await;
    let read = rows.iter().filter(|it| it.contains(r#""secret_read""#)).count();
    assert!(read >= answered.len() && read <= answered.len() + 2 * CLIENTS, "{read} {}", answered.len());

    // A standby takes over that lacks the newest groups.
    postgres.stop_at_once();
    postgres.keep_copy();
    postgres.start_again();
    let load = Load::start(&process, 2);
    load.more(&load.values, 50).await;
    let forgotten = read_now("forgotten");
    assert_eq!(status_of(&process, forgotten.clone()).await, 200);
    postgres.stop_at_once();
    postgres.go_back_to_copy();
    postgres.start_again();
    let ended = process.ended().await;
    assert!(!ended.success());
    let lost = load.end().await;
    assert!(lost.len() >= 50);
    let log = process.log.lock().await.clone();
    assert!(log.contains("a standby that lacks the newest groups has taken over"), "{log}");

    // Started again, as it says, it serves; but not what it has answered before and knows nothing of any more.
    let process = Process::start(directory.path(), "info").await;
    assert_eq!(status_of(&process, forgotten).await, 401);
    let mut tries = 0..;
    until("it answers", async || {
        let status = status_of(&process, read_now(&format!("after-{:?}", tries.next()))).await;
        assert!(status == 200 || status == 401, "{status}");
        status == 200
    })
    .await;
    end(process).await;
    let here = Server::open(directory, Arc::new(ManualClock::at(START))).await.unwrap();
    verify_audit(&here).await;
    assert!(here.audit().await.iter().any(|it| it.detail.contains("too old for this server")));
    assert!(here.audit().await.iter().any(|it| it.action == Action::SecretRead));
    here.stop().await;
}

#[tokio::test]
async fn a_database_that_hangs_is_not_ready() {
    let server = Server::new().await;
    let ready = async || server.send(plain("/readyz")).await.status == 200;
    assert!(ready().await);
    let hold = Hold::on(&server.database()).await;
    let asking = {
        let (router, request) =
            (server.router.clone(), Client::pod().request(&*server.clock, "GET", "/v1/secrets", b""));
        // A shared database is looked at when nobody asks for anything, too.
        let asks = !crate::database::is_postgres();
        tokio::spawn(async move { if asks { Some(send_to(&router, request).await.status.as_u16()) } else { None } })
    };
    until("it is seen to hang", async || !ready().await).await;
    assert_eq!(server.send(plain("/healthz")).await.status, 200);
    hold.end().await;
    until("it is ready again", ready).await;
    let asked = asking.await.unwrap();
    assert!(asked.is_none_or(|it| it == 200 || it == 503), "{asked:?}");
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
}

/// Stands between a server and its database, and can swallow what goes over the connections there are.
struct Network {
    port: u16,
    swallow: watch::Sender<u64>,
}

impl Network {
    async fn before(database: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (swallow, swallowed) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut server, _)) = listener.accept().await {
                let mut swallowed = swallowed.clone();
                swallowed.mark_unchanged();
                tokio::spawn(async move {
                    let mut database = TcpStream::connect(("127.0.0.1", database)).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut server, &mut database) => {}
                        _ = swallowed.changed() => {
                            // Neither end hears anything again, and neither is told.
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
        });
        Self { port, swallow }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_without_a_word_is_looked_for_again() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let TestDatabase::Postgres(url) = TestDatabase::make_postgres(directory.path()).await else { unreachable!() };
    let here = Server::open_at(Arc::clone(&directory), SystemClock.now()).await;
    here.seed().await;
    here.put(Entity::Machine(Machine { expires_at: None, ..pod() })).await;
    here.stop().await;
    let (server, name) = url.rsplit_once('/').unwrap();
    let port = server.rsplit_once(':').unwrap().1;
    let network = Network::before(port.parse().unwrap()).await;
    let through = format!("{}/{name}", server.replace(port, &network.port.to_string()));
    std::fs::write(directory.path().join("database-url"), through).unwrap();
    let process = Process::start(directory.path(), "info").await;
    assert_eq!(status_of(&process, read_now("before")).await, 200);

    network.swallow.send_modify(|it| *it += 1);
    let lost = read_now("lost");
    let answer = {
        let (mut connection, lost) = (process.connect().await, lost.clone());
        tokio::spawn(async move { connection.send(lost).await.unwrap() })
    };
    until("it is not ready", async || status_of(&process, plain("/readyz")).await == 503).await;
    // New connections reach it.
    until("it is ready again", async || status_of(&process, plain("/readyz")).await == 200).await;
    let (status, body) = answer.await.unwrap();
    let has_value = String::from_utf8_lossy(&body).contains("hunter2");
    assert!((status == 200) == has_value, "{status} {body:?}");
    // It was answered once, or it can be.
    let again = status_of(&process, lost).await;
    assert_eq!(again, if status == 200 { 401 } else { 200 });
    end(process).await;
}

#[tokio::test]
async fn a_database_that_went_back_and_on_again_ends_whoever_has_seen_the_lost_past() {
    // As many groups as were lost, and more.
    for groups in [3, 9] {
        let Two { servers: [first, mut second] } = Box::pin(Two::new()).await;
        let database = first.database();
        let read = async |server: &Server, client: &Client| {
            assert_eq!(server.get(client, "/v1/secret/sk_db").await.status, 200);
        };
        let (pod, host) = (Client::pod(), Client::host());
        read(&first, &pod).await;
        let clock = first.clock.clone();
        let directory = first.stop().await;
        let tables = database
            .query("select tablename::text from pg_tables where schemaname = 'public' and tablename not like '\\_%'")
            .await;
        let each = |sql: &str| tables.iter().map(|it| sql.replace('T', it)).collect::<String>();
        database.execute(&format!("create schema kept; {}", each("create table kept.T as table T;"))).await;
        for _ in 0..3 {
            read(&second, &pod).await;
        }
        let back = each("delete from T; insert into T table kept.T;");
        database.execute(&format!("begin; set local session_replication_role = replica; {back} commit")).await;
        let first = Server::open(directory, clock).await.unwrap();
        for _ in 0..groups {
            read(&first, &host).await;
        }
        let answer = second.get(&pod, "/v1/secret/sk_db").await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        let error = format!("{:#}", second.engine.writer_ended().await);
        assert!(error.contains("a standby that lacks the newest groups has taken over"), "{error}");
        // And what it answered in that past is answered by nobody again.
        let answer = first.get(&pod, "/v1/secret/sk_db").await;
        assert!(answer.status == 401 && answer.error().contains("too old for this server"), "{}", answer.text());
        verify_audit(&first).await;
    }
}
