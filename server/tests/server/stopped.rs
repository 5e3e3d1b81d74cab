//! A server that stands still in the middle of a group, while it holds the lock that every group needs.

use std::time::{Duration, Instant};

use sikkerkey_server::audit::entry::Action;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::fixture::*;
use crate::process::Process;
use crate::replicas::{Replicas, read};
use crate::wire::*;

/// PostgreSQL ends a session that idles inside a transaction after ten seconds; a busy machine may take its time.
const GETS_ON: Duration = Duration::from_secs(25);

/// Groups that wait to be written.
const WAITING: &str = "select count(*) || '' from pg_locks where not granted and relation = 'audit'::regclass";
/// The sessions of those that have burnt a nonce, and do not keep house: that forgets rows of the log.
const READS: &str = "select pid || '' from pg_locks waits where not granted and relation = 'audit'::regclass
     and exists (select from pg_locks where pid = waits.pid and relation = 'nonce'::regclass)
     and not exists (select from pg_locks where pid = waits.pid and relation = 'log'::regclass and mode like 'Row%')";
/// The sessions of all servers.
const SESSIONS: &str = "select pid || '' from pg_stat_activity
     where application_name = 'sikkerkey-server' and datname = current_database()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_get_on_and_the_one_that_stood_still_releases_nothing_of_its_lost_group() {
    let replicas = Replicas::new().await;
    let database = replicas.here.database();
    let others = database.query(SESSIONS).await;
    let first = replicas.start(0).await;
    let mut of_first = database.query(SESSIONS).await;
    of_first.retain(|it| !others.contains(it));
    let second = replicas.start(1).await;
    let TestDatabase::Postgres(url) = &database else { panic!("replicas share a PostgreSQL") };
    let (pod, mut at_second) = (Client::pod(), second.connect().await);
    assert_eq!(first.connect().await.send(read(&pod, "before-1")).await.unwrap().0, 200);
    assert_eq!(at_second.send(read(&pod, "before-2")).await.unwrap().0, 200);

    // Nobody can write to the audit, so a group that has begun stays where it is: its nonces burnt, its value decrypted.
    let mut lock = PgConnection::connect(url).await.unwrap();
    let mut wasted = 0;
    let (request, answer) = loop {
        sqlx::raw_sql("begin; lock table audit in share mode").execute(&mut lock).await.unwrap();
        let request = read(&pod, &format!("stopped-{wasted}"));
        let (mut connection, sent) = (first.connect().await, request.clone());
        let answer = tokio::spawn(async move { connection.send(sent).await });
        until("a group waits to be written", async || database.query(WAITING).await == ["1"]).await;
        if matches!(&*database.query(READS).await, [session] if of_first.contains(session)) {
            break (request, answer);
        }
        // Another group came before it.
        sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
        assert_eq!(answer.await.unwrap().unwrap().0, 200);
        wasted += 1;
        assert!(wasted < 10, "it never is the read that waits");
    };
    stop(&first).await;
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    lock.close().await.unwrap();

    // Until its session is ended, the others are refused; then they get on.
    let begun = Instant::now();
    let mut tries = 0;
    let status = loop {
        tries += 1;
        let (status, body) = at_second.send(read(&pod, &format!("other-{tries}"))).await.unwrap();
        assert!(status == 200 || (status == 503 && !String::from_utf8_lossy(&body).contains("hunter2")), "{status}");
        if status == 200 || begun.elapsed() > GETS_ON {
            break status;
        }
    };
    assert_eq!(status, 200, "the other server does not get on");

    signal(&first, "-CONT");
    let (status, body) = answer.await.unwrap().unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(status == 503 && !body.contains("hunter2"), "{status} {body}");
    // It happened nowhere, so its nonce is good yet, once and anywhere; and the one that stood still is well again.
    assert_eq!(at_second.send(request.clone()).await.unwrap().0, 200);
    assert_eq!(first.connect().await.send(request).await.unwrap().0, 401);
    let mut again = first.connect().await;
    assert_eq!(again.send(plain("/readyz")).await.unwrap().0, 200);
    assert_eq!(again.send(read(&pod, "after")).await.unwrap().0, 200);
    replicas.here.engine.app.writer.catch_up().await.unwrap();
    verify_audit(&replicas.here).await;
    let read = replicas.here.audit().await.iter().filter(|it| it.action == Action::SecretRead).count();
    assert_eq!(read, 5 + wasted);
}

/// Stops a server. The signal alone leaves its threads running until one of them has come to take it, and on a busy
/// machine they get to the end of a group meanwhile.
async fn stop(process: &Process) {
    signal(process, "-STOP");
    let threads = format!("/proc/{}/task", process.child.id().expect("it runs"));
    until("every thread stands still", async || {
        std::fs::read_dir(&threads).unwrap().all(|thread| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
            // The state comes after the name, which may hold anything.
            stat.rsplit_once(") ").is_some_and(|(_, after)| after.starts_with('T'))
        })
    })
    .await;
}
