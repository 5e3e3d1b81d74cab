//! More than the server can serve: it sheds, it is killed in the middle, and everything it has answered stands somewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::{Change, Entity};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::process::{Connection, Process};
use crate::wire::*;

const MACHINES: u8 = 8;
const CLIENTS_OF_EACH: usize = 12;
/// So few that they are soon told to wait, and so many that the writer always has something to do.
const RATE: &str = "40";

/// A server with several hosts that read one secret each.
async fn prepared() -> Server {
    let server = Server::new().await;
    let mut changes = Vec::new();
    for n in 0..MACHINES {
        let machine = Machine { id: id(n), public_key: key(0x40 + n).public_key(), ..host() };
        changes.extend(server.version(&secret(&format!("n{n}"), "shop"), "hunter2"));
        changes.push(Change::put(Entity::Membership(Membership { machine: id(n), ..member("shop") })));
        let secret = format!("sk_n{n}");
        changes.push(Change::put(Entity::Grant(grant(0x40 + n, Grantee::Machine(id(n)), &[&secret]))));
        changes.push(Change::put(Entity::Machine(machine)));
    }
    server.apply(changes).await.unwrap();
    server
}

fn id(n: u8) -> sikkerkey_protocol::id::MachineId {
    uuid(0x40 + n).parse().unwrap()
}

/// How many were answered with each status and machine; how many were sent.
#[derive(Default)]
struct Seen {
    answered: BTreeMap<(u8, u16), usize>,
    sent: usize,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        for (key, count) in other.answered {
            *self.answered.entry(key).or_default() += count;
        }
    }

    fn of_status(&self, status: u16) -> usize {
        self.answered.iter().filter(|((_, it), _)| *it == status).map(|(_, count)| count).sum()
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    counts: [Arc<AtomicUsize>; 3],
    clients: JoinSet<Seen>,
}

const STATUSES: [u16; 3] = [200, 429, 503];

impl Load {
    fn start(process: &Process) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let counts: [Arc<AtomicUsize>; 3] = Default::default();
        let mut clients = JoinSet::new();
        for client in 0..usize::from(MACHINES) * CLIENTS_OF_EACH {
            let (address, stop, counts) = (process.address.clone(), Arc::clone(&stop), counts.clone());
            clients.spawn(async move {
                let n = u8::try_from(client % usize::from(MACHINES)).unwrap();
                let machine = Client::new(uuid(0x40 + n), 0x40 + n);
                let mut seen = Seen::default();
                let Ok(mut connection) = Connection::open(&address).await else { return seen };
                while !stop.load(Ordering::Relaxed) {
                    let request = machine.request(&SystemClock, "GET", &format!("/v1/secret/sk_n{n}"), b"");
                    seen.sent += 1;
                    // The server is gone: so is the client.
                    let Ok((status, body)) = connection.send(request).await else { break };
                    assert_eq!(status == 200, body == br#"{"value":"hunter2"}"#[..], "{status} {body:?}");
                    let place = STATUSES.iter().position(|it| *it == status);
                    counts[place.unwrap_or_else(|| panic!("{status} {body:?}"))].fetch_add(1, Ordering::Relaxed);
                    *seen.answered.entry((n, status)).or_default() += 1;
                }
                seen
            });
        }
        Self { stop, counts, clients }
    }

    /// Waits until so many more were answered with this status.
    async fn more(&self, status: u16, count: usize) {
        let counter = &self.counts[STATUSES.iter().position(|it| *it == status).unwrap()];
        let end = counter.load(Ordering::Relaxed) + count;
        until(&format!("{count} more {status}"), async || counter.load(Ordering::Relaxed) >= end).await;
    }

    async fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        self.clients.join_all().await.into_iter().for_each(|it| all.add(it));
        all
    }
}

/// Keeps the writer from writing until it is dropped, as a disk does that hangs.
pub enum Hold {
    Sqlite(sqlx::SqliteConnection),
    Postgres(PgConnection),
}

impl Hold {
    pub async fn on(database: &TestDatabase) -> Self {
        match database {
            TestDatabase::Sqlite(path) => {
                let mut connection = crate::database::sqlite(path).await;
                sqlx::raw_sql("begin immediate").execute(&mut connection).await.unwrap();
                Self::Sqlite(connection)
            }
            TestDatabase::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                let lock = "begin; select value from meta where name = 'head' for update";
                sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
                Self::Postgres(connection)
            }
        }
    }

    pub async fn end(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

/// How many rows there are of what each machine read.
async fn rows(server: &Server) -> BTreeMap<u8, usize> {
    let mut rows = BTreeMap::new();
    for entry in server.audit().await.iter().filter(|it| it.action == Action::SecretRead) {
        let n = (0..MACHINES).find(|n| entry.machine.as_ref() == Some(&id(*n))).expect("one of these");
        assert_eq!(entry.secret.as_ref().unwrap().as_str(), format!("sk_n{n}"));
        *rows.entry(n).or_default() += 1;
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_saturation_and_kill_9_every_200_has_its_row_and_every_refusal_is_counted() {
    let server = prepared().await;
    let (clock, database) = (server.clock.clone(), server.database());
    let directory = server.stop().await;
    let arguments = ["--machine-rate", RATE];

    // More than it can write, and more than each may ask. Ended in order, it has counted every answer.
    let process = Process::start_with(directory.path(), "info", &arguments).await;
    let load = Load::start(&process);
    load.more(200, 200).await;
    load.more(429, 200).await;
    let hold = Hold::on(&database).await;
    load.more(503, 50).await;
    hold.end().await;
    load.more(200, 100).await;
    let first = load.end().await;
    end(process).await;
    let server = Server::open(Arc::clone(&directory), clock.clone()).await.unwrap();
    let read = rows(&server).await;
    for n in 0..MACHINES {
        assert_eq!(read.get(&n), first.answered.get(&(n, 200)), "machine {n}");
    }
    server.stop().await;
    let counted = database.query("select kind || ' ' || sum(count) from activity group by kind order by kind").await;
    let expected = [format!("overloaded {}", first.of_status(503)), format!("rate_limited {}", first.of_status(429))];
    assert_eq!(counted, expected);

    // And killed in the middle of it, again and again.
    let mut all = first;
    for _ in 0..2 {
        let mut process = Process::start_with(directory.path(), "info", &arguments).await;
        let load = Load::start(&process);
        load.more(429, 50).await;
        load.more(200, 100).await;
        process.child.kill().await.unwrap();
        all.add(load.end().await);
    }
    let server = Server::open(directory, clock).await.unwrap();
    verify_audit(&server).await;
    let mut unanswered = 0;
    for (n, rows) in rows(&server).await {
        let answered = all.answered[&(n, 200)];
        // Rows beyond that are of those whose answer was on its way.
        assert!(rows >= answered, "machine {n}: {rows} rows for {answered} answers");
        unanswered += rows - answered;
        let usage = server.engine.app.live.read().ledger.secret_usage(&format!("sk_n{n}").parse().unwrap());
        assert_eq!(usize::try_from(usage.usage.reads).unwrap(), rows, "machine {n}");
    }
    assert!(unanswered <= 2 * usize::from(MACHINES) * CLIENTS_OF_EACH, "{unanswered}");
}
