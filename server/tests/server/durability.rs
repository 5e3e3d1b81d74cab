//! No value leaves before its row is durable.

use sikkerkey_protocol::policy::{CountedBy, PolicyDocument, RateCap, Ttl};
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Change, Entity, EntityKey, EntityKind};
use sikkerkey_server::refusal::RefusalKind;

use crate::fixture::*;

/// The audit takes no rows: the last statement of each group fails.
pub const BREAK: [&str; 2] = [
    "create trigger broken before insert on audit begin select raise(abort, 'disk full'); end",
    "create trigger broken before insert on audit for each row execute function audit_is_append_only()",
];
pub const MEND: [&str; 2] = ["drop trigger broken", "drop trigger broken on audit"];

#[tokio::test]
async fn when_the_group_cannot_be_written_nothing_leaves_and_nothing_has_happened() {
    let server = Server::new().await;
    let (pod, database) = (Client::pod(), server.database());
    let rows = server.audit().await.len();
    database.execute(database.by(BREAK[0], BREAK[1])).await;

    let request = pod.request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
    let answer = server.send(request.clone()).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("hunter2"));
    let export = server.post(&pod, "/v1/secrets/export", "").await;
    assert_eq!((export.status.as_u16(), export.text().contains("hunter2")), (503, false));
    let sync = server.post(&pod, "/v1/machine/sync", "{}").await;
    assert_eq!((sync.status.as_u16(), sync.text().contains("hunter2")), (503, false));

    // A change is taken back as a whole, and so are its counters.
    let change = server.apply(vec![
        Change::Remove(EntityKey { kind: EntityKind::Grant, id: uuid(1) }),
        Change::Remove(EntityKey { kind: EntityKind::Secret, id: "sk_db".into() }),
        Change::put(Entity::Grant(grant(7, Grantee::Machine(host().id), &["sk_db"]))),
    ]);
    assert_eq!(change.await.unwrap_err().kind, RefusalKind::Unavailable);
    {
        let world = server.engine.app.live.read();
        assert!(world.state.grants.contains_key(&uuid(1)) && !world.state.grants.contains_key(&uuid(7)));
        assert!(world.state.value(&"sk_db".parse().unwrap()).is_some());
        assert!(world.ledger.usage(&Grantee::Fleet(fleet().id), &"sk_db".parse().unwrap()).is_none());
        assert!(!world.ledger.is_gone("sk_db"));
    }
    let ready =
        Signed { method: "GET", target: "/readyz".into(), headers: vec![], body: vec![], address: POD_ADDRESS.into() };
    assert_eq!(server.send(ready.clone()).await.status, 503);

    // It recovers by itself, and the nonce was not burnt by what did not happen.
    database.execute(database.by(MEND[0], MEND[1])).await;
    assert_eq!(server.send(request).await.status, 200);
    assert_eq!(server.send(ready).await.status, 200);
    let read: Vec<_> = server.audit().await.split_off(rows);
    assert_eq!(read.iter().map(|it| it.action).collect::<Vec<_>>(), [Action::SecretRead]);
    assert_eq!(database.query("select count(*) || '' from entity where id like '%07'").await, ["0"]);
    // What was restored to memory is what is on the disk: the next start agrees with it.
    server.restart().await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_read_only_releases_nothing() {
    let server = Server::new().await;
    let TestDatabase::Sqlite(path) = server.database() else { return };
    // Another writer holds the lock for good: as hard to write to as a full disk.
    let mut other = crate::database::sqlite(&path).await;
    sqlx::raw_sql("begin immediate").execute(&mut other).await.unwrap();
    let answer = server.get(&Client::pod(), "/v1/secret/sk_db").await;
    assert_eq!((answer.status.as_u16(), answer.text().contains("hunter2")), (503, false));
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    drop(other);
    assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 200);
}

fn guarded(document: PolicyDocument) -> [Entity; 2] {
    let secret = Secret { policy: Some("guard".into()), version: 1, ..secret("db", "shop") };
    [Entity::Policy(policy(document)), Entity::Secret(secret)]
}

async fn read_in_parallel(server: &Server, count: usize) -> usize {
    let pod = std::sync::Arc::new(Client::pod());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (router, clock, pod) = (server.router.clone(), server.clock.clone(), pod.clone());
        tasks.spawn(async move { send_to(&router, pod.request(&*clock, "GET", "/v1/secret/sk_db", b"")).await });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|it| [200, 403, 429].contains(&it.status.as_u16())));
    answers.iter().filter(|it| it.status == 200).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn n_reads_allowed_are_n_however_many_ask_at_once() {
    let server = Server::new().await;
    let ttl = Ttl { expires_at: None, max_reads: Some(37) };
    for entity in guarded(PolicyDocument { ttl: Some(ttl), ..PolicyDocument::default() }) {
        server.put(entity).await;
    }
    assert_eq!(read_in_parallel(&server, 1000).await, 37);
    let server = server.restart().await.unwrap();
    assert_eq!(read_in_parallel(&server, 10).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rate_cap_holds_for_the_minute_and_the_day() {
    let server = Server::new().await;
    let cap = RateCap { per_minute: Some(10), per_day: Some(15), counted_by: CountedBy::Machine };
    for entity in guarded(PolicyDocument {
        time_zone: Some("Europe/Oslo".into()),
        rate_cap: Some(cap),
        ..PolicyDocument::default()
    }) {
        server.put(entity).await;
    }
    assert_eq!(read_in_parallel(&server, 100).await, 10);
    server.clock.advance_seconds(60);
    let server = server.restart().await.unwrap();
    assert_eq!(read_in_parallel(&server, 100).await, 5);
    // Midnight in Oslo is 23:00 UTC: eleven hours after the start.
    server.clock.advance_seconds(11 * 3600 - 61);
    server.put(Entity::Machine(sikkerkey_server::model::machine::Machine { expires_at: None, ..pod() })).await;
    assert_eq!(read_in_parallel(&server, 20).await, 0);
    server.clock.advance_seconds(1);
    assert_eq!(read_in_parallel(&server, 20).await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_and_reads_in_one_group_keep_their_order() {
    let server = Server::new().await;
    // Grants come and go while many read. Each answer must agree with the audit, and the state with the disk.
    let before = server.audit().await.len();
    let mut tasks = tokio::task::JoinSet::new();
    let pod = std::sync::Arc::new(Client::pod());
    for _ in 0..400 {
        let (router, clock, pod) = (server.router.clone(), server.clock.clone(), pod.clone());
        tasks.spawn(async move { send_to(&router, pod.request(&*clock, "GET", "/v1/secret/sk_db", b"")).await });
    }
    for _ in 0..20 {
        server.remove(EntityKind::Grant, &uuid(1)).await;
        server.put(Entity::Grant(grant(1, Grantee::Fleet(fleet().id), &["sk_db"]))).await;
    }
    let answers = tasks.join_all().await;
    let rows = server.audit().await.split_off(before);
    let mut granted = true;
    for row in &rows {
        match row.action {
            Action::AccountUpdate => granted = !granted,
            Action::SecretRead => assert!(granted),
            Action::SecretReadDenied => assert!(!granted),
            other => panic!("{other:?}"),
        }
    }
    let answered = answers.iter().filter(|it| it.status == 200).count();
    assert_eq!(answered, rows.iter().filter(|it| it.action == Action::SecretRead).count());
    assert_eq!(answers.len(), 400);
    server.restart().await.unwrap();
}
