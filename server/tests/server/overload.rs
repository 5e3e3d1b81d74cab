//! More than the server can do, and more than one client's share.

use std::time::Duration;

use sikkerkey_protocol::kubernetes::Inventory;
use sikkerkey_server::rates::Rate;

use crate::fixture::*;

#[tokio::test]
async fn a_machine_in_a_loop_is_told_to_wait_and_nobody_else_is() {
    let server = Server::new().await;
    server.engine.app.rates.set(Rate { per_second: 5 });
    let (pod, host) = (Client::pod(), Client::host());
    for n in 0..10 {
        assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200, "{n}");
    }
    let rows = server.audit().await.len();
    for _ in 0..20 {
        let answer = server.get(&pod, "/v1/secret/sk_db").await;
        assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (429, "1"));
        assert!(answer.error().contains("asks too often"), "{}", answer.text());
    }
    // Counted, not written down one by one.
    assert_eq!(server.audit().await.len(), rows);
    assert_eq!(server.get(&host, "/v1/secret/sk_db").await.status, 200);
    server.clock.advance_seconds(1);
    for n in 0..6 {
        let status = server.get(&pod, "/v1/secret/sk_db").await.status;
        assert_eq!(status, if n < 5 { 200 } else { 429 }, "{n}");
    }
    let metrics = server.engine.app.metrics.render();
    assert!(metrics.contains(r#"sikkerkey_shed_total{cause="Rate"} 21"#), "{metrics}");
    let directory = server.stop().await;
    let counted = TestDatabase::of(directory.path())
        .query("select kind || ' ' || sum(count) || ' ' || min(first_of) from activity group by kind")
        .await;
    assert_eq!(counted, [format!("rate_limited 21 {} from {POD_ADDRESS}", uuid(0x11))]);
}

#[tokio::test]
async fn nobody_uses_up_the_rate_of_another() {
    let server = Server::new().await;
    server.engine.app.rates.set(Rate { per_second: 5 });
    let host = Client::host();
    for n in 0..50 {
        // Each from an address of its own, so that no lock is in the way.
        let forged = Client::new(uuid(0x12), 99).request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
        let status = server.send(forged.from(&format!("198.51.100.{n}"))).await.status;
        assert!(status == 401 || status == 429, "{status}");
        server.engine.app.lockout.lift_signer(&host.id);
    }
    for n in 0..10 {
        assert_eq!(server.get(&host, "/v1/secret/sk_db").await.status, 200, "{n}");
    }
    assert_eq!(server.get(&host, "/v1/secret/sk_db").await.status, 429);
}

#[tokio::test]
async fn while_the_writer_hangs_reads_are_refused_at_once() {
    let server = Server::new().await;
    let TestDatabase::Sqlite(path) = server.database() else { return };
    let mut other = crate::database::sqlite(&path).await;
    sqlx::raw_sql("begin immediate").execute(&mut other).await.unwrap();
    let (router, request) =
        (server.router.clone(), Client::pod().request(&*server.clock, "GET", "/v1/secret/sk_db", b""));
    let hanging = tokio::spawn(async move { send_to(&router, request).await });
    tokio::time::timeout(Duration::from_secs(20), async {
        while !server.engine.app.writer.is_overloaded() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is noticed in time");
    let answer = server.get(&Client::host(), "/v1/secret/sk_db").await;
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (503, "1"));
    assert!(answer.error().contains("more to do than it can"), "{}", answer.text());
    let metrics = server.engine.app.metrics.render();
    assert!(metrics.contains(r#"sikkerkey_shed_total{cause="Writer"} 1"#), "{metrics}");

    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    drop(other);
    let status = hanging.await.unwrap().status;
    assert!(status == 200 || status == 503, "{status}");
    // Changes were let in all the while, and reads are again.
    let answer = server.call(&Client::agent(), &Inventory {}).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
}
